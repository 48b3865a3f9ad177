package check

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// CatchUpLimit is how long a vendor may count as stalled after it reads again. What it has not got by then
// is late or lost like anything else.
const CatchUpLimit = 5 * time.Second

// Pause is a stretch of time in which a vendor did not read its sockets, and the time that it took to catch
// up afterwards: to have everything that became due meanwhile.
//
//	stops reading ── From ─────── To ── reads what has piled up ── CaughtUp ── connected again
//
// Messages sent after To decide nothing about CaughtUp: a message cannot excuse its own lateness.
type Pause struct {
	From, To int64 // To 0: to the end of the history
	CaughtUp int64 // at most To + CatchUpLimit; 0: as To
	Behind   int   // due messages that it did not have at To
}

func (s *Pause) span() span {
	if s.To == 0 {
		return span{s.From, forever}
	}
	return span{s.From, max(s.CaughtUp, s.To)}
}

// stall takes in that the vendor stops reading, or reads again.
func (v *Vendor) stall(r *journal.Record) error {
	n := len(v.Pauses)
	open := n > 0 && v.Pauses[n-1].To == 0
	switch {
	case r.On == open:
		return fmt.Errorf("history: %s stops or begins to read at %d, which it had done before", v.ID, r.T)
	case r.On:
		v.Pauses = append(v.Pauses, Pause{From: r.T})
	default:
		v.Pauses[n-1].To = r.T
	}
	return nil
}

// catchUp works out when each pause was over.
func (j *Judgement) catchUp() {
	stalled := map[*Vendor]bool{}
	for i := range j.Vendors {
		if v := &j.Vendors[i]; len(v.Pauses) > 0 {
			stalled[v] = true
		}
	}
	if len(stalled) == 0 {
		return
	}
	j.Due(func(p *Pair) {
		if !stalled[p.Vendor] {
			return
		}
		for i := range p.Vendor.Pauses {
			s := &p.Vendor.Pauses[i]
			had := p.Received
			if had == 0 {
				had = forever
			}
			if s.To == 0 || p.Message.Sent >= s.To || p.Message.due().to <= s.From || had <= s.To {
				continue
			}
			s.Behind++
			s.CaughtUp = max(s.CaughtUp, min(had, s.To+int64(CatchUpLimit)))
		}
	})
}

// Pauses returns how long the vendors took to catch up after each pause that ended, sorted.
func (j *Judgement) Pauses() *Latencies {
	l := &Latencies{}
	for i := range j.Vendors {
		for _, s := range j.Vendors[i].Pauses {
			if s.To != 0 {
				l.add(max(s.CaughtUp-s.To, 0))
			}
		}
	}
	l.sort()
	return l
}
