package explore

import (
	"math/rand/v2"
	"time"
)

// Space is what schedules are drawn from.
type Space struct {
	Regions []string
	Faults  int           // at most so many in a schedule
	Length  time.Duration // within which they begin and end
}

// The bounds of what is drawn. Times are multiples of grain, so that a schedule can be read and retyped.
const (
	grain    = 500 * time.Millisecond
	minHold  = 2 * time.Second
	maxHold  = 10 * time.Second
	minDelay = 20 * time.Millisecond // less cannot be told from the noise of a busy machine
	maxDelay = 60 * time.Millisecond
	minLoss  = 1 // per cent
	maxLoss  = 10
)

// Draw makes the n-th schedule of a seed: the same one every time. It has at least one fault.
func (sp Space) Draw(seed uint64, n int) Schedule {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	want := 1 + rng.IntN(sp.Faults)
	var s Schedule
	// Some draws do not fit beside what is there; a schedule that is full stays smaller than wanted.
	for range 50 * want {
		if len(s) == want {
			break
		}
		if with := append(s[:len(s):len(s)], sp.fault(rng)); with.Check() == nil {
			s = with
		}
	}
	return s.sorted()
}

func (sp Space) fault(rng *rand.Rand) Fault {
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(rng.Int64N(int64(most-least)+1))).Truncate(grain)
	}
	order := rng.Perm(len(sp.Regions))
	f := Fault{Kind: Kinds[rng.IntN(len(Kinds))], Region: sp.Regions[order[0]]}
	f.Hold = between(minHold, min(maxHold, sp.Length))
	f.At = between(0, sp.Length-f.Hold)
	switch f.Kind {
	case Slow:
		f.Peer = sp.Regions[order[1]]
		f.Delay = (minDelay + time.Duration(rng.Int64N(int64(maxDelay-minDelay)+1))).Truncate(10 * time.Millisecond)
	case Lossy:
		f.Peer = sp.Regions[order[1]]
		f.Loss = float64(minLoss + rng.IntN(maxLoss-minLoss+1))
	}
	return f
}
