package fleet

import (
	"time"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// Message is the account of one message: who must receive it and who has. The wedding's lock guards it.
type Message struct {
	id        string
	lane      protocol.Lane
	publisher *vendor
	phase     string
	sched     time.Time // the intended instant: latencies count from here
	sent      time.Time // when it was handed to the client
	accounts  []account // by vendor index
	expected  int       // recipients that must receive it
	delivered int       // of them, those who have
	late      int       // of them, those who got it too late
	slowest   time.Duration
	confirmed map[string]bool // recipients whose receipt the server has passed on
	answer    answer
	complete  chan struct{} // closed when it is answered and every expected recipient has it
	settled   time.Time     // when its account was closed; zero while it is open

	// Of a bulk message: its one line in the history.
	bytes  int
	got    []int64 // by vendor index: when it came first, µs after sent; -1: not
	copies int     // that came over another session
	booked bool    // the line is written
}

// account is one vendor's share in a message.
type account struct{ expected, delivered bool }

// answer is what the publisher was told.
type answer struct {
	outcome string // journal.OK, Fail or Info; empty: nothing yet
	why     string
	via     string
	held    []string
	after   time.Duration // since the intended instant
}

func newMessage(id string, lane protocol.Lane, from *vendor, sched time.Time, phase string, vendors []*vendor) *Message {
	m := &Message{id: id, lane: lane, publisher: from, phase: phase, sched: sched, accounts: make([]account, len(vendors)),
		complete: make(chan struct{})}
	for i, v := range vendors {
		if v != from && v.arrived && !v.leaving {
			m.accounts[i].expected = true
			m.expected++
		}
	}
	return m
}

// verdict is what a receipt means.
type verdict uint8

const (
	first     verdict = iota // an expected recipient has it now
	beyond                   // the same, but its sender was not told ok, so that nothing was promised; or it was given up
	extra                    // a vendor has it that need not
	duplicate                // the vendor had it already
)

// receive books that a vendor was given the message.
func (m *Message) receive(vendor int, at time.Time, sla time.Duration) (verdict, time.Duration) {
	a := &m.accounts[vendor]
	latency := at.Sub(m.sched)
	if a.delivered {
		return duplicate, latency
	}
	a.delivered = true
	if !a.expected {
		return extra, latency
	}
	if m.unpromised() {
		return beyond, latency
	}
	if m.lane == protocol.Bulk && !m.settled.IsZero() {
		return beyond, latency // has been counted as shed
	}
	m.delivered++
	m.slowest = max(m.slowest, latency)
	if latency > sla {
		m.late++
	}
	return first, latency
}

// note keeps when a bulk message came first. It tells whether its line in the history will say so: a message that comes
// after it, or in another way than bulk does, needs one of its own.
func (m *Message) note(vendor int, what verdict, got *client.Message) bool {
	if m.lane != protocol.Bulk || m.booked || what == duplicate || got.Replayed {
		return false
	}
	m.got[vendor] = max(got.At.Sub(m.sent).Microseconds(), 0)
	return true
}

// unpromised tells that the answer was another than ok. Only an ok is a promise to the recipients.
func (m *Message) unpromised() bool {
	return m.answer.outcome == journal.Fail || m.answer.outcome == journal.Info
}

// whole tells whether nothing more is awaited of the message.
func (m *Message) whole() bool {
	return m.answer.outcome == journal.OK && m.delivered == m.expected || m.unpromised()
}

// missing counts the expected recipients that do not have it.
func (m *Message) missing() int { return m.expected - m.delivered }

// Receipt is what the sender of a message sees of it.
type Receipt struct {
	ID        string
	Outcome   string // ok, fail (refused: nobody should have it) or info (no answer: anybody may); empty: no answer yet
	Why       string // the reason of another outcome than ok
	Expected  int    // vendors who must receive it
	Delivered int    // those who have
	Late      int    // those who got it later than the lane allows
	Confirmed int    // those whose receipt the server has passed back so far
	Missing   []string
	Slowest   time.Duration // the slowest delivery, from the intended instant
	Answer    time.Duration // when the ok came, from the intended instant
	Via       string        // the region that gave the ok
	Held      []string      // the regions that hold it
}

func (m *Message) receipt(vendors []*vendor) Receipt {
	r := Receipt{ID: m.id, Outcome: m.answer.outcome, Why: m.answer.why, Expected: m.expected, Delivered: m.delivered, Late: m.late,
		Confirmed: len(m.confirmed), Slowest: m.slowest, Answer: m.answer.after, Via: m.answer.via, Held: m.answer.held}
	for i, a := range m.accounts {
		if a.expected && !a.delivered {
			r.Missing = append(r.Missing, vendors[i].Name)
		}
	}
	return r
}
