package check

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// History is a run as the load generator saw it, in dense form: vendors and messages are numbered, and
// deliveries are small fixed-size records, so that millions of them fit into modest memory.
type History struct {
	Seed      uint64
	Start     Anchor
	End       Anchor // zero if the history was cut off
	Dropped   int64  // records the generator could not write
	Truncated bool

	Vendors  []Vendor
	Messages []Message
	Lags     []Lag

	weddings  []wedding
	arrivals  []arrival // what applications were shown
	photos    []arrival // the same, of bulk messages: first receipts only
	withheld  []arrival // what clients held back as already known
	vendorOf  map[string]int32
	weddingOf map[string]int32
	messageOf map[string]int32
}

// Anchor is one instant on both clocks.
type Anchor struct{ Mono, Wall int64 }

// Vendor is a participant of a wedding.
type Vendor struct {
	ID, Wedding, Type string
	Homes             int
	Arrived, Leaving  int64 // 0: never
	Sessions          []Session
	Pauses            []Pause

	wedding, seat int32  // seat: its number within the wedding
	displaced     []span // see displace
	offline       []span // without any joined session, see displace
}

// DualHomed reports whether the vendor keeps sockets in two regions.
func (v *Vendor) DualHomed() bool { return v.Homes >= 2 }

// Session is one connection of a vendor. A time is 0 if the state was not reached.
type Session struct {
	N      int64
	Region string
	Joined int64
	Caught int64 // when the server said that it had sent everything that was missed
	Ended  int64
	Left   bool // ended by choice
	Why    string
}

// Outcome is what a publisher was told.
type Outcome uint8

// Outcomes. A publish without an answer by the end of the history is Unknown.
const (
	Unknown Outcome = iota
	Acknowledged
	Refused
)

// Message is one publish, or an id that somebody received though nobody published it.
type Message struct {
	ID        string
	Urgent    bool
	Bulk      bool
	Published bool
	Sched     int64
	Sent      int64
	Done      int64 // 0: no answer
	Outcome   Outcome
	Via       string // region that answered
	Why       string
	Bytes     int64 // of the payload; bulk only
	Copies    int   // that came over another session and were held back; bulk only

	publisher, wedding int32
	order              int32 // among the publishes of this publisher and lane
	first              int   // index of its pair with seat 0, see Judgement.received
}

// Lane is the message's lane in words.
func (m *Message) Lane() string {
	switch {
	case m.Urgent:
		return journal.Urgent
	case m.Bulk:
		return journal.BulkLane
	}
	return journal.Normal
}

// Lag is how late the generator itself was, at worst, in the second before At.
type Lag struct{ At, Max int64 }

type wedding struct{ vendors []int32 }

// arrival is a received copy: 24 bytes, so that a run of two million deliveries, each with a copy over the
// second home, stays below 100 MB.
type arrival struct {
	at       int64
	message  int32
	vendor   int32
	session  uint32
	replayed bool
	same     bool
}

// ReadHistory reads raw/history.jsonl.gz. A history that was cut off is returned as Truncated; anything
// else that is wrong with it is an error.
func ReadHistory(r io.Reader) (*History, error) {
	h := NewHistory()
	err := journal.Read(r, h.Add)
	if errors.Is(err, journal.ErrTruncated) {
		h.Truncated = true
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// NewHistory returns an empty history.
func NewHistory() *History {
	return &History{vendorOf: map[string]int32{}, weddingOf: map[string]int32{}, messageOf: map[string]int32{}}
}

// Add takes in one record. Records of a vendor come after its declaration; otherwise the order is free,
// since the writers of a run are concurrent.
func (h *History) Add(r journal.Record) error {
	switch r.Kind {
	case journal.Run:
		h.Seed, h.Start = r.Seed, Anchor{Mono: r.T, Wall: r.WallNS}
	case journal.End:
		h.End, h.Dropped = Anchor{Mono: r.T, Wall: r.WallNS}, r.Dropped
	case journal.Lag:
		h.Lags = append(h.Lags, Lag{At: r.T, Max: r.MaxNS})
	case journal.Vendor:
		return h.declare(&r)
	case journal.Done:
		m := &h.Messages[h.message(r.ID)]
		if m.Done != 0 {
			return fmt.Errorf("history: two outcomes of message %s", r.ID)
		}
		m.Done = r.T
		m.answered(&r)
	default:
		v, known := h.vendorOf[r.Vendor]
		if !known {
			return fmt.Errorf("history: %s record of vendor %q, which was not declared", r.Kind, r.Vendor)
		}
		return h.observe(v, &r)
	}
	return nil
}

func (m *Message) answered(r *journal.Record) {
	m.Via, m.Why = r.Via, r.Why
	m.Outcome = map[string]Outcome{journal.OK: Acknowledged, journal.Fail: Refused, journal.Info: Unknown}[r.Out]
}

func (h *History) declare(r *journal.Record) error {
	if _, taken := h.vendorOf[r.Vendor]; taken {
		return fmt.Errorf("history: vendor %q is declared twice", r.Vendor)
	}
	w, known := h.weddingOf[r.Wedding]
	if !known {
		w = int32(len(h.weddings))
		h.weddingOf[r.Wedding] = w
		h.weddings = append(h.weddings, wedding{})
	}
	n := int32(len(h.Vendors))
	h.vendorOf[r.Vendor] = n
	h.Vendors = append(h.Vendors, Vendor{ID: r.Vendor, Wedding: r.Wedding, Type: r.Type, Homes: int(r.Homes),
		wedding: w, seat: int32(len(h.weddings[w].vendors))})
	h.weddings[w].vendors = append(h.weddings[w].vendors, n)
	return nil
}

// observe takes in a record of vendor n.
func (h *History) observe(n int32, r *journal.Record) error {
	v := &h.Vendors[n]
	switch r.Kind {
	case journal.Arrived:
		v.Arrived = r.T
	case journal.Leaving:
		v.Leaving = r.T
	case journal.Session:
		v.session(r)
	case journal.Pub:
		m, err := h.publish(n, r)
		if err != nil {
			return err
		}
		m.Urgent = r.Lane == journal.Urgent
	case journal.Bulk:
		return h.photo(n, r)
	case journal.Stall:
		return v.stall(r)
	case journal.Recv, journal.Dup:
		a := arrival{at: r.T, message: h.message(r.ID), vendor: n, session: uint32(r.Session), replayed: r.Replayed, same: r.Same}
		if r.Kind == journal.Recv {
			h.arrivals = append(h.arrivals, a)
		} else {
			h.withheld = append(h.withheld, a)
		}
	}
	return nil
}

// publish takes in a message of vendor n.
func (h *History) publish(n int32, r *journal.Record) (*Message, error) {
	m, v := &h.Messages[h.message(r.ID)], &h.Vendors[n]
	if m.Published {
		return nil, fmt.Errorf("history: message %s is published twice", r.ID)
	}
	if v.Wedding != r.Wedding {
		return nil, fmt.Errorf("history: %s of wedding %s published %s in wedding %s", r.Vendor, v.Wedding, r.ID, r.Wedding)
	}
	m.Published = true
	m.Sched, m.Sent, m.publisher, m.wedding = r.Sched, r.T, n, v.wedding
	return m, nil
}

// photo takes in a bulk message of vendor n, with everybody who has it.
func (h *History) photo(n int32, r *journal.Record) error {
	m, err := h.publish(n, r)
	if err != nil {
		return err
	}
	m.Bulk, m.Bytes, m.Copies, m.Done = true, r.Bytes, int(r.Copies), r.Done
	m.answered(r)
	vendors := h.weddings[m.wedding].vendors
	if len(r.Got) != len(vendors) {
		return fmt.Errorf("history: bulk message %s tells of %d vendors, its wedding has %d", r.ID, len(r.Got), len(vendors))
	}
	id := h.message(r.ID)
	for seat, us := range r.Got {
		if us >= 0 {
			h.photos = append(h.photos, arrival{at: r.T + us*int64(time.Microsecond), message: id, vendor: vendors[seat]})
		}
	}
	return nil
}

// session takes in a state of one of the vendor's connections.
func (v *Vendor) session(r *journal.Record) {
	var s *Session
	for i := range v.Sessions {
		if v.Sessions[i].N == r.Session {
			s = &v.Sessions[i]
		}
	}
	if s == nil {
		v.Sessions = append(v.Sessions, Session{N: r.Session, Region: r.Region})
		s = &v.Sessions[len(v.Sessions)-1]
	}
	switch r.State {
	case journal.Joined:
		s.Joined = r.T
	case journal.CaughtUp:
		s.Caught = r.T
	case journal.Left, journal.Closed:
		if s.Ended == 0 { // a session that left closes afterwards; it ended when it left
			s.Ended, s.Left, s.Why = r.T, r.State == journal.Left, r.Why
		}
	}
}

// message returns the number of an id, new or known.
func (h *History) message(id string) int32 {
	if n, known := h.messageOf[id]; known {
		return n
	}
	n := int32(len(h.Messages))
	h.messageOf[id] = n
	h.Messages = append(h.Messages, Message{ID: id, publisher: -1, wedding: -1})
	return n
}
