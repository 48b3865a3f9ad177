package check

import (
	"math"
	"slices"

	"github.com/wedsync/wedsync/reports/claim"
)

// Window is the due deliveries of one lane that were scheduled within a stretch of time.
type Window struct {
	Messages  int
	Due       int
	Displaced int // of Due
	Stalled   int // of Due
	Lost      int
	Over      int       // connected ones that came later than SLA
	Connected Latencies // of connected recipients
	OK        Latencies // of publishers
}

// Window looks at the messages of a lane scheduled in [from, to).
func (j *Judgement) Window(lane string, from, to int64) *Window {
	w := &Window{}
	for i := range j.Messages {
		m := &j.Messages[i]
		if m.Published && m.Lane() == lane && m.Sched >= from && m.Sched < to {
			w.Messages++
			switch {
			case j.Vendors[m.publisher].stalled(m): // could not hear an answer
			case m.Outcome == Acknowledged:
				w.OK.add(m.Done - m.Sched)
			default:
				w.OK.add(math.MaxInt64)
			}
		}
	}
	j.Due(func(p *Pair) {
		if m := p.Message; m.Lane() != lane || m.Sched < from || m.Sched >= to {
			return
		}
		w.Due++
		if p.Received == 0 {
			w.Lost++
		}
		switch {
		case p.Displaced():
			w.Displaced++
			return
		case p.Stalled():
			w.Stalled++
			return
		}
		w.Connected.add(p.Latency())
		if p.Received != 0 && p.Latency() > int64(SLA) {
			w.Over++
		}
	})
	w.Connected.sort()
	w.OK.sort()
	return w
}

// SentDuring counts the urgent messages that were scheduled while an injection was in force: after it was
// injected and before its revert began.
func (j *Judgement) SentDuring(i *Injection) int {
	if i.Injected == 0 {
		return 0
	}
	end := i.Reverting
	if end == 0 {
		end = j.last
	}
	n := 0
	for k := range j.Messages {
		if m := &j.Messages[k]; m.Published && m.Urgent && m.Sched >= i.Injected && m.Sched < end {
			n++
		}
	}
	return n
}

// WhereLost splits the lost deliveries by where they lie in what their recipient has of that publisher
// and lane: before the first one it has, between two, or after the last one.
func (j *Judgement) WhereLost() (prefix, middle, suffix int) {
	type have struct{ first, last int32 }
	of := map[stream]have{}
	affected := map[stream]bool{}
	for i := range j.Flaws {
		if p := &j.Flaws[i]; p.Flaw == claim.Lost {
			affected[stream{p.Message.publisher, j.vendorOf[p.Vendor.ID], p.Message.Urgent}] = true
		}
	}
	if len(affected) == 0 {
		return 0, 0, 0
	}
	var lost []Pair
	j.Due(func(p *Pair) {
		s := stream{p.Message.publisher, j.vendorOf[p.Vendor.ID], p.Message.Urgent}
		if !affected[s] {
			return
		}
		if p.Received == 0 {
			lost = append(lost, *p)
			return
		}
		h, any := of[s]
		if !any {
			h = have{p.Message.order, p.Message.order}
		}
		of[s] = have{min(h.first, p.Message.order), max(h.last, p.Message.order)}
	})
	for _, p := range lost {
		h, any := of[stream{p.Message.publisher, j.vendorOf[p.Vendor.ID], p.Message.Urgent}]
		switch {
		case !any || p.Message.order > h.last:
			suffix++
		case p.Message.order < h.first:
			prefix++
		default:
			middle++
		}
	}
	return prefix, middle, suffix
}

// Weddings is how many there were.
func (h *History) Weddings() int { return len(h.weddings) }

// Regions lists the regions that had sessions, sorted.
func (h *History) Regions() []string {
	var all []string
	for i := range h.Vendors {
		for k := range h.Vendors[i].Sessions {
			if r := h.Vendors[i].Sessions[k].Region; !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	slices.Sort(all)
	return all
}

// JoinedAt counts the joined sessions of each region at the given instants, which must ascend.
func (h *History) JoinedAt(instants []int64) map[string][]int {
	counts := map[string][]int{}
	for _, r := range h.Regions() {
		counts[r] = make([]int, len(instants))
	}
	for i := range h.Vendors {
		for k := range h.Vendors[i].Sessions {
			s := &h.Vendors[i].Sessions[k]
			joined := s.joined()
			first, _ := slices.BinarySearch(instants, joined.from)
			for n := first; n < len(instants) && instants[n] < joined.to; n++ {
				counts[s.Region][n]++
			}
		}
	}
	return counts
}
