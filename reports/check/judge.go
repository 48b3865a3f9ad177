package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
)

// SLA is the promise about urgent messages: 200 ms from intended send to receive. It also is the time
// over which a pair is classed as connected or displaced.
const SLA = 200 * time.Millisecond

// Judgement is a history with every delivery judged. Tallies of it answer claims.
type Judgement struct {
	*History
	*Diary
	Flaws   []Problem          // all of them, in the order of time
	Counted map[claim.Flaw]int // how many of each class
	Copies  Copies
	Unsure  Unsure

	received []int64 // first receive of each pair, 0 for none; pair = Message.first + Vendor.seat
	last     int64   // the latest instant of the history
}

// Problem is one flaw, with what a person needs to look it up in the raw history.
type Problem struct {
	Flaw    claim.Flaw
	At      int64 // when the message was to be sent, or an unknown one arrived
	Message *Message
	Vendor  *Vendor
	Why     string
}

// Copies counts what clients received besides first deliveries.
type Copies struct {
	Shown     int // what applications got
	Replayed  int // of Shown: by resuming
	Withheld  int // known ids that the client held back
	SecondWay int // of Withheld: over another session, which two homes are for
	Twice     int // of Withheld: live, on the session that had delivered it live: a flaw
	ShownDup  int // of Shown: an id again: a flaw
	Echoed    int // of Shown: to the publisher itself
	Overtaken int // live after a later message that was under way at the same time: allowed
}

// Unsure counts messages whose publisher got no answer.
type Unsure struct {
	Recovered int // every due-like recipient has it
	Partial   int // some have it
	Vanished  int // nobody has it
}

// Judge judges. It takes h and d over: they must not be changed afterwards.
func Judge(h *History, d *Diary) *Judgement {
	j := &Judgement{History: h, Diary: d, Counted: map[claim.Flaw]int{}}
	h.displace(d)
	h.order()
	pairs := 0
	for i := range h.Messages {
		m := &h.Messages[i]
		m.first = pairs
		if m.Published {
			pairs += len(h.weddings[m.wedding].vendors)
		}
	}
	j.received = make([]int64, pairs)
	byTime := func(a, b arrival) int { return cmp.Compare(a.at, b.at) }
	if !slices.IsSortedFunc(h.arrivals, byTime) {
		slices.SortStableFunc(h.arrivals, byTime)
	}
	slices.SortStableFunc(h.Lags, func(a, b Lag) int { return cmp.Compare(a.At, b.At) })
	j.receive()
	j.sentTwice()
	j.due()
	j.last = j.latest()
	j.catchUp()
	slices.SortStableFunc(j.Flaws, func(a, b Problem) int { return cmp.Compare(a.At, b.At) })
	return j
}

// order numbers the messages of each publisher and lane as they were sent.
func (h *History) order() {
	sent := make([]int32, 0, len(h.Messages))
	for i := range h.Messages {
		if h.Messages[i].Published {
			sent = append(sent, int32(i))
		}
	}
	slices.SortStableFunc(sent, func(a, b int32) int { return cmp.Compare(h.Messages[a].Sent, h.Messages[b].Sent) })
	next := make([][3]int32, len(h.Vendors))
	for _, i := range sent {
		m := &h.Messages[i]
		n := &next[m.publisher][m.laneIndex()]
		m.order = *n
		*n++
	}
}

func (m *Message) laneIndex() int {
	switch {
	case m.Urgent:
		return 1
	case m.Bulk:
		return 2
	}
	return 0
}

func (j *Judgement) flaw(f claim.Flaw, at int64, m *Message, v *Vendor, format string, args ...any) {
	j.Counted[f]++
	j.Flaws = append(j.Flaws, Problem{Flaw: f, At: at, Message: m, Vendor: v, Why: fmt.Sprintf(format, args...)})
}

// receive goes through what applications were shown, in the order of time: everything but loss is seen
// here.
func (j *Judgement) receive() {
	j.Copies.Shown = len(j.arrivals) + len(j.photos)
	for i := range j.photos { // before the other copies of these messages, which come later
		j.shown(&j.photos[i])
	}
	latest := make(map[stream]*Message) // the latest sent one that each recipient was shown live
	for i := range j.arrivals {
		a := &j.arrivals[i]
		m := &j.Messages[a.message]
		// Two homes shed different bulk messages, so that these have no order.
		if !j.shown(a) || a.replayed || m.Bulk {
			continue
		}
		s := stream{from: m.publisher, to: a.vendor, urgent: m.Urgent}
		if newest := latest[s]; newest != nil && m.order < newest.order {
			if m.Done != 0 && m.Done <= newest.Sent {
				j.flaw(claim.Reordered, m.Sched, m, &j.Vendors[a.vendor], "received live after %s, which was sent %s after this one's answer",
					newest.ID, inMS(newest.Sent-m.Done))
			} else {
				j.Copies.Overtaken++
			}
			continue
		}
		latest[s] = m
	}
}

// shown judges one thing that an application was shown, and tells whether it is the first copy that came to
// somebody who may have it.
func (j *Judgement) shown(a *arrival) bool {
	m, v := &j.Messages[a.message], &j.Vendors[a.vendor]
	if a.replayed {
		j.Copies.Replayed++
	}
	switch {
	case !m.Published:
		j.flaw(claim.Invented, a.at, m, v, "received, but nobody in this run published it")
		return false
	case m.wedding != v.wedding:
		j.flaw(claim.Crosstalk, m.Sched, m, v, "received a message of wedding %s", j.Vendors[m.publisher].Wedding)
		return false
	case v.Arrived == 0 && !v.everJoined():
		j.flaw(claim.Crosstalk, m.Sched, m, v, "received without ever having joined")
		return false
	case a.vendor == m.publisher:
		j.Copies.Echoed++
		return false
	}
	if m.Outcome == Refused {
		j.flaw(claim.Phantom, m.Sched, m, v, "received, though its publisher was refused: %s", m.Why)
	}
	pair := m.first + int(v.seat)
	if before := j.received[pair]; before != 0 {
		j.Copies.ShownDup++
		j.flaw(claim.Duplicated, m.Sched, m, v, "shown again after %s", inMS(a.at-before))
		return false
	}
	j.received[pair] = a.at
	return true
}

// stream is what has an order: the messages of one publisher in one lane, at one recipient.
type stream struct {
	from, to int32
	urgent   bool
}

func (v *Vendor) everJoined() bool {
	return slices.ContainsFunc(v.Sessions, func(s Session) bool { return s.Joined != 0 })
}

// sentTwice looks below the client's dedup: the server sent a message twice live on one session. A live
// copy beside a replayed one is the seam of a resume, and a copy on another session is a second home.
func (j *Judgement) sentTwice() {
	type key struct {
		message, vendor int32
		session         uint32
	}
	j.Copies.Withheld = len(j.withheld)
	for i := range j.Messages {
		j.Copies.Withheld += j.Messages[i].Copies
		j.Copies.SecondWay += j.Messages[i].Copies
	}
	live := map[key]int{}
	for i := range j.withheld {
		a := &j.withheld[i]
		switch m := &j.Messages[a.message]; {
		case !a.same:
			j.Copies.SecondWay++
		case m.Bulk: // has no replay, so the copy that the session brought before was live
			j.Copies.Twice++
			j.flaw(claim.Duplicated, m.Sched, m, &j.Vendors[a.vendor], "sent again on session %d", a.session)
		case !a.replayed:
			live[key{a.message, a.vendor, a.session}] = 0
		}
	}
	if len(live) == 0 {
		return
	}
	var order []arrival // one per key, so that the problems come in a fixed order
	for _, copies := range [][]arrival{j.arrivals, j.withheld} {
		for _, a := range copies {
			k := key{a.message, a.vendor, a.session}
			n, suspected := live[k]
			if !suspected || a.replayed {
				continue
			}
			if live[k] = n + 1; n == 1 {
				order = append(order, a)
			}
		}
	}
	for _, a := range order {
		m, v := &j.Messages[a.message], &j.Vendors[a.vendor]
		n := live[key{a.message, a.vendor, a.session}]
		j.Copies.Twice += n - 1
		j.flaw(claim.Duplicated, m.Sched, m, v, "sent %d times live on session %d", n, a.session)
	}
}

// due goes through what should have arrived: finds what is lost, and what became of unanswered
// publishes.
func (j *Judgement) due() {
	for i := range j.Messages {
		m := &j.Messages[i]
		if !m.Published || m.Outcome == Refused || m.Bulk {
			continue
		}
		has, lacks := 0, 0
		for _, n := range j.weddings[m.wedding].vendors {
			v := &j.Vendors[n]
			if n == m.publisher || !v.wants(m) {
				continue
			}
			if j.received[m.first+int(v.seat)] != 0 {
				has++
				continue
			}
			lacks++
			if m.Outcome == Acknowledged {
				j.flaw(claim.Lost, m.Sched, m, v, "never received; acknowledged by %s", m.Via)
			}
		}
		if m.Outcome == Unknown {
			switch {
			case has == 0:
				j.Unsure.Vanished++
			case lacks > 0:
				j.Unsure.Partial++
			default:
				j.Unsure.Recovered++
			}
		}
	}
}

// wants reports that v had arrived when m was sent, and stayed for long enough after its answer.
func (v *Vendor) wants(m *Message) bool {
	return v.Arrived != 0 && v.Arrived <= m.Sent && (v.Leaving == 0 || v.Leaving > max(m.Done, m.Sent)+int64(SLA))
}

// latest is the end of the history, or the latest thing in one that was cut off.
func (j *Judgement) latest() int64 {
	if j.End.Mono != 0 {
		return j.End.Mono
	}
	last := j.Start.Mono
	for i := range j.Messages {
		last = max(last, j.Messages[i].Sent, j.Messages[i].Done)
	}
	if n := len(j.arrivals); n > 0 {
		last = max(last, j.arrivals[n-1].at)
	}
	return last
}

// Last is the latest instant of the history.
func (j *Judgement) Last() int64 { return j.last }

func inMS(ns int64) string { return fmt.Sprintf("%.1f ms", float64(ns)/1e6) }
