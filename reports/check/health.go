package check

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
)

// Limits of the instrument. Beyond them the generator measures itself.
const (
	// SendLagLimit bounds the 99th percentile of actual minus scheduled send.
	SendLagLimit = 10 * time.Millisecond
	// StalledShare bounds the share of seconds in which the generator's worst lag exceeds StallLimit.
	StalledShare = 0.05
)

// Health is the state of the generator over the measured span.
type Health struct {
	Sends   Latencies // actual minus scheduled send, of urgent and normal messages
	Seconds int       // that reported their lag
	Stalled int       // of Seconds: over StallLimit
	Worst   int64     // the longest lag
}

// Health looks at the instrument itself.
func (j *Judgement) Health() *Health {
	h := &Health{}
	for i := range j.Messages {
		m := &j.Messages[i]
		if phase, _ := j.PhaseAt(m.Sched); m.Published && !m.Bulk && phase.Measured() {
			h.Sends.add(m.Sent - m.Sched)
		}
	}
	h.Sends.sort()
	from, to, _ := j.Measured(j.last)
	for _, l := range j.Lags {
		if l.At < from || l.At-int64(time.Second) > to {
			continue
		}
		h.Seconds++
		h.Worst = max(h.Worst, l.Max)
		if l.Max > int64(StallLimit) {
			h.Stalled++
		}
	}
	return h
}

// Err says why latencies of this run mean nothing, or nil.
func (h *Health) Err() error {
	if p99, ok := h.Sends.At(99); ok && p99 > int64(SendLagLimit) {
		return fmt.Errorf("the generator is saturated: 1 %% of its sends left more than %.1f ms late, the limit is %s",
			float64(p99)/1e6, claim.Words(SendLagLimit))
	}
	if share := h.Share(); share > StalledShare {
		return fmt.Errorf("the generator is saturated: it stood still for more than %s in %.0f %% of the seconds, the limit is %.0f %%",
			claim.Words(StallLimit), 100*share, 100*StalledShare)
	}
	if h.Sends.Len() > 0 && h.Seconds == 0 {
		return fmt.Errorf("the generator did not report its own lag, so its latencies cannot be believed")
	}
	return nil
}

// Share is the share of stalled seconds.
func (h *Health) Share() float64 {
	if h.Seconds == 0 {
		return 0
	}
	return float64(h.Stalled) / float64(h.Seconds)
}

// FirstReceives counts the first receives of vendors that were there when the message was sent, whatever
// its outcome: what the generator's histograms hold. The second figure is how many more or fewer there
// may be: a vendor was arriving or leaving in that very second, or the generator had closed the account of
// a message that was not acknowledged.
func (j *Judgement) FirstReceives() (n, unsure int64) {
	near := func(a, b int64) bool { return a != 0 && max(a-b, b-a) < int64(time.Second) }
	for i := range j.Messages {
		m := &j.Messages[i]
		if !m.Published {
			continue
		}
		for _, k := range j.weddings[m.wedding].vendors {
			v := &j.Vendors[k]
			received := j.received[m.first+int(v.seat)]
			if k == m.publisher || received == 0 {
				continue
			}
			afterwards := m.Outcome != Acknowledged && m.Done != 0 && received > m.Done
			switch {
			case near(v.Arrived, m.Sent) || near(v.Leaving, m.Sent) || afterwards:
				unsure++
				n++
			case v.Arrived != 0 && v.Arrived <= m.Sent && (v.Leaving == 0 || v.Leaving > m.Sent):
				n++
			}
		}
	}
	return n, unsure
}
