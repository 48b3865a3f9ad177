package check

import "github.com/wedsync/wedsync/reports/claim"

// Bulk is what became of the messages of the bulk lane. A copy that did not come was shed, which is what
// the lane is for; it is never called lost. Doubled, invented and misdirected copies are flaws as in any
// lane, see Judge.
type Bulk struct {
	Messages  int
	OK        int // of Messages: taken by a server
	Refused   int
	Unknown   int
	Expected  int // copies of the ones that were taken: one for each vendor that was there
	Delivered int // of Expected
	Bytes     int64

	Latencies Latencies           // of what was delivered, from scheduled send
	PerPhase  map[claim.Phase]int // messages
}

// Shed is how many copies did not come.
func (b *Bulk) Shed() int { return b.Expected - b.Delivered }

// Share is the share of copies that was shed.
func (b *Bulk) Share() float64 {
	if b.Expected == 0 {
		return 0
	}
	return float64(b.Shed()) / float64(b.Expected)
}

// Bulk counts the bulk messages of the phases that a claim is about.
func (j *Judgement) Bulk(c *claim.Claim) *Bulk {
	b := &Bulk{PerPhase: map[claim.Phase]int{}}
	for i := range j.Messages {
		m := &j.Messages[i]
		phase, _ := j.PhaseAt(m.Sched)
		if !m.Published || !m.Bulk || !c.In(phase) {
			continue
		}
		b.Messages++
		b.PerPhase[phase]++
		b.Bytes += m.Bytes
		switch m.Outcome {
		case Refused:
			b.Refused++
			continue
		case Unknown:
			b.Unknown++
			continue
		}
		b.OK++
		for _, n := range j.weddings[m.wedding].vendors {
			v := &j.Vendors[n]
			if n == m.publisher || !v.wants(m) {
				continue
			}
			b.Expected++
			if at := j.received[m.first+int(v.seat)]; at != 0 {
				b.Delivered++
				b.Latencies.add(at - m.Sched)
			}
		}
	}
	b.Latencies.sort()
	return b
}
