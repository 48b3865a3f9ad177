package fleet

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/wedsync/wedsync/internal/clock"
)

// Stalled describes vendors that stop reading their sockets from time to time, as a phone does whose owner has put it
// into a pocket. They are still connected as far as TCP knows, and must have everything in the end.
type Stalled struct {
	Share float64       // of the vendors, planners aside, spread evenly over the weddings: 0 to 1
	Every time.Duration // how often each of them stalls; the first time is drawn
	For   time.Duration // how long
}

// Validate says all that is wrong with the config.
func (s *Stalled) Validate() error {
	var errs []error
	if !(s.Share >= 0 && s.Share <= 1) {
		errs = append(errs, errors.New("stalled: share: should be between 0 and 1"))
	}
	if s.For <= 0 {
		errs = append(errs, errors.New("stalled: for: should be more than 0, as in '6s'"))
	}
	if s.Every <= s.For {
		errs = append(errs, errors.New("stalled: every: should be longer than for, as in '15s'"))
	}
	return errors.Join(errs...)
}

// silence is how long the client of a vendor that stalls goes without a sign of life: one that reads nothing hears
// nothing, and must not take that for the server's death.
func (s *Stalled) silence() time.Duration { return s.For + 2*time.Second }

// stallers chooses who stalls: over the first k weddings of n vendors, floor(k × n × share) of them.
func stallers(vendors []Vendor, share float64, index int, seed uint64) map[string]bool {
	var candidates []string
	for _, v := range vendors {
		if v.Type != Planner {
			candidates = append(candidates, v.Name)
		}
	}
	per := float64(len(vendors)) * share
	count := int(float64(index+1)*per) - int(float64(index)*per)
	chosen := map[string]bool{}
	for i := range min(count, len(candidates)) {
		// From the end, because those with one home are chosen from the beginning.
		n := uint64(len(candidates))
		chosen[candidates[n-1-(uint64(i+index)+seed)%n]] = true
	}
	return chosen
}

// nowAndThen lets the vendor stall until the wedding leaves or the schedules end.
func (v *vendor) nowAndThen() {
	w, s := v.w, v.w.cfg.Stalled
	rnd := rand.New(rand.NewPCG(w.cfg.Seed, hash(w.cfg.Seed, v.full, "stall")))
	wait := time.NewTimer(time.Duration(rnd.Int64N(int64(s.Every))))
	defer wait.Stop()
	for on := true; ; on = !on {
		select {
		case <-wait.C:
		case <-w.fleet.Stopped():
		case <-w.leaving:
		case <-w.ctx.Done():
		}
		over := w.over()
		if over && on {
			return
		}
		v.stall(on)
		if over {
			return
		}
		if on {
			wait.Reset(s.For)
		} else {
			wait.Reset(s.Every - s.For)
		}
	}
}

// over tells whether everything that runs by a schedule should end.
func (w *Wedding) over() bool {
	select {
	case <-w.fleet.Stopped():
	case <-w.leaving:
	case <-w.ctx.Done():
	default:
		return false
	}
	return true
}

// stall stops or resumes reading, and books it: before it stops, and after it resumes, so that no moment of it is missed.
func (v *vendor) stall(on bool) {
	w := v.w
	if !on {
		v.tap.turn(on)
	}
	now := time.Now()
	if w.books != nil {
		w.books.History.Stall(clock.Of(now), v.full, on)
	}
	w.mu.Lock()
	if on {
		v.stalledFrom, v.stalledTo = now, time.Time{}
	} else {
		v.stalledTo = now
	}
	w.mu.Unlock()
	if on {
		v.tap.turn(on)
		w.cfg.Observe(Observation{What: Stall, At: now, Type: v.Type, Phase: w.fleet.Phase()})
	}
}

// slow tells whether the vendor's own stall is why it has a message late. It is called with mu held.
func (v *vendor) slow(m *Message, sla time.Duration) bool {
	return !v.stalledFrom.IsZero() && m.sched.After(v.stalledFrom.Add(-sla)) && (v.stalledTo.IsZero() || m.sched.Before(v.stalledTo))
}
