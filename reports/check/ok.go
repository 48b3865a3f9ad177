package check

import (
	"cmp"
	"math"
	"slices"

	"github.com/wedsync/wedsync/reports/claim"
)

// Answers is how publishers were answered: ok latency is answer minus scheduled send.
type Answers struct {
	Published int
	OK        int
	Refused   int
	Unknown   int
	Slow      int       // ok, but over the limit
	MaybeSlow int       // over the limit by no more than the generator's own lag
	Stalled   int       // not of Published: whose publisher had stopped reading, so that it could not hear an answer
	Latencies Latencies // unanswered and refused publishes are infinite
	PerPhase  map[claim.Phase]int
	Stall     Stall
	Misses    []*Message // refused, unanswered and slow ones, in the order of their scheduled send
}

// Stall is the longest stretch of a run in which publishes were pending and none was acknowledged.
type Stall struct{ From, To int64 }

// Answers counts the publishes that a claim of kind ok is about.
func (j *Judgement) Answers(c *claim.Claim) *Answers {
	a := &Answers{PerPhase: map[claim.Phase]int{}}
	var about []*Message
	for i := range j.Messages {
		m := &j.Messages[i]
		phase, _ := j.PhaseAt(m.Sched)
		if !m.Published || !c.About(m.Lane()) || !c.In(phase) {
			continue
		}
		if j.Vendors[m.publisher].stalled(m) {
			a.Stalled++
			continue
		}
		about = append(about, m)
		a.Published++
		a.PerPhase[phase]++
		switch m.Outcome {
		case Refused:
			a.Refused++
		case Unknown:
			a.Unknown++
		default:
			a.OK++
			a.Latencies.add(m.Done - m.Sched)
			over := m.Done - m.Sched - int64(c.Within)
			if over <= 0 || c.Within == 0 {
				continue
			}
			if over <= j.lagBetween(m.Sched, m.Done) {
				a.MaybeSlow++
				continue
			}
			a.Slow++
			a.Misses = append(a.Misses, m)
			continue
		}
		a.Latencies.add(math.MaxInt64)
		a.Misses = append(a.Misses, m)
	}
	a.Latencies.sort()
	slices.SortStableFunc(a.Misses, func(x, y *Message) int { return cmp.Compare(x.Sched, y.Sched) })
	a.Stall = stall(about, j.last)
	return a
}

// stall sweeps over the publishes: while at least one is pending, the time since the last ok grows.
func stall(messages []*Message, end int64) Stall {
	type event struct {
		at int64
		by int // +1 pending, -1 no longer
		ok bool
	}
	events := make([]event, 0, 2*len(messages))
	for _, m := range messages {
		done := m.Done
		if done == 0 {
			done = end
		}
		events = append(events, event{at: m.Sched, by: 1}, event{at: max(done, m.Sched), by: -1, ok: m.Outcome == Acknowledged})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	var longest Stall
	var since int64
	pending := 0
	for _, e := range events {
		if pending == 0 {
			since = e.at
		} else if (e.ok || pending+e.by == 0) && e.at-since > longest.To-longest.From {
			longest = Stall{From: since, To: e.at}
		}
		if e.ok {
			since = e.at
		}
		pending += e.by
	}
	return longest
}
