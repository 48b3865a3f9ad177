package check

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
)

// Pair is one due delivery: a message and one recipient that must have it.
type Pair struct {
	Message  *Message
	Vendor   *Vendor
	Phase    claim.Phase
	Received int64 // 0: lost
}

// Latency is receive minus scheduled send; of a lost message it is infinite (math.MaxInt64).
func (p *Pair) Latency() int64 {
	if p.Received == 0 {
		return math.MaxInt64
	}
	return p.Received - p.Message.Sched
}

// In reports whether the pair belongs to a population.
func (p *Pair) In(population claim.Population) bool {
	switch population {
	case claim.Connected:
		return !p.Displaced() && !p.Stalled()
	case claim.Stalled:
		return p.Stalled()
	case claim.Displaced:
		return p.Displaced()
	case claim.DualHomed:
		return p.Vendor.DualHomed()
	case claim.SingleHomed:
		return !p.Vendor.DualHomed()
	}
	return true
}

// Due calls each with every due delivery, message by message. Bulk is never due: see Bulk.
func (j *Judgement) Due(each func(*Pair)) {
	var p Pair
	for i := range j.Messages {
		m := &j.Messages[i]
		if !m.Published || m.Outcome != Acknowledged || m.Bulk {
			continue
		}
		p.Message = m
		p.Phase, _ = j.PhaseAt(m.Sched)
		for _, n := range j.weddings[m.wedding].vendors {
			p.Vendor = &j.Vendors[n]
			if n == m.publisher || !p.Vendor.wants(m) {
				continue
			}
			p.Received = j.received[m.first+int(p.Vendor.seat)]
			each(&p)
		}
	}
}

// Tally is the count of a selection of due deliveries.
type Tally struct {
	Messages  int // that had at least one due recipient
	Missed    int // of Messages: that missed at least one recipient, by loss or lateness
	Due       int
	OnTime    int
	Late      int // by more than any lag of the generator explains
	MaybeLate int
	Lost      int

	Latencies Latencies           // from scheduled send
	Service   Latencies           // from actual send
	PerPhase  map[claim.Phase]int // messages
	Misses    []Pair              // late and lost ones, in the order of their scheduled send
}

// Tally counts the due deliveries that a claim is about. within 0 means that nothing can be late.
func (j *Judgement) Tally(c *claim.Claim) *Tally {
	t := &Tally{PerPhase: map[claim.Phase]int{}}
	var current *Message
	missed := false
	j.Due(func(p *Pair) {
		if !c.About(p.Message.Lane()) || !c.In(p.Phase) || !p.In(c.Population) {
			return
		}
		if p.Message != current {
			current, missed = p.Message, false
			t.Messages++
			t.PerPhase[p.Phase]++
		}
		t.Due++
		t.Latencies.add(p.Latency())
		if p.Received != 0 {
			t.Service.add(p.Received - p.Message.Sent)
		} else {
			t.Service.add(math.MaxInt64)
		}
		switch j.judge(p, c.Within) {
		case lost:
			t.Lost++
		case late:
			t.Late++
		case maybeLate:
			t.MaybeLate++
			return
		default:
			t.OnTime++
			return
		}
		t.Misses = append(t.Misses, *p)
		if !missed {
			missed = true
			t.Missed++
		}
	})
	t.Latencies.sort()
	t.Service.sort()
	slices.SortStableFunc(t.Misses, func(a, b Pair) int { return cmp.Compare(a.Message.Sched, b.Message.Sched) })
	return t
}

type timeliness uint8

const (
	onTime timeliness = iota
	maybeLate
	late
	lost
)

func (j *Judgement) judge(p *Pair, within time.Duration) timeliness {
	switch {
	case p.Received == 0:
		return lost
	case within == 0 || p.Latency() <= int64(within):
		return onTime
	case p.Latency()-j.lagBetween(p.Message.Sched, p.Received) <= int64(within):
		return maybeLate
	}
	return late
}

// StallLimit is the scheduling lag of the generator from which on it could itself make a message late.
const StallLimit = 20 * time.Millisecond

// lagBetween sums the generator's own stalls in the seconds that overlap [from, to].
func (j *Judgement) lagBetween(from, to int64) int64 {
	first := sort.Search(len(j.Lags), func(i int) bool { return j.Lags[i].At >= from })
	var sum int64
	for _, l := range j.Lags[first:] {
		if l.At-int64(time.Second) > to {
			break
		}
		if l.Max > int64(StallLimit) {
			sum += l.Max
		}
	}
	return sum
}
