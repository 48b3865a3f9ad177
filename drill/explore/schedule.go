package explore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what a fault does.
type Kind string

// The kinds of faults that schedules are composed of.
const (
	Down   Kind = "down"   // every process of the region is killed and held down
	Frozen Kind = "frozen" // every process of the region is stopped, and goes on later
	Silent Kind = "silent" // every packet of the region is dropped, nothing is closed
	Slow   Kind = "slow"   // the link between two regions gets slower
	Lossy  Kind = "lossy"  // the link between two regions loses packets
)

// Kinds lists them, from the plainest to the most intricate.
var Kinds = []Kind{Down, Silent, Frozen, Slow, Lossy}

// link reports whether a fault of this kind has two ends.
func (k Kind) link() bool { return k == Slow || k == Lossy }

// Fault is one fault of a schedule.
type Fault struct {
	Kind   Kind
	Region string
	Peer   string        // of a link: its other end
	At     time.Duration // since the schedule began
	Hold   time.Duration
	Delay  time.Duration // Slow: added to each packet, each way
	Loss   float64       // Lossy: per cent of the packets, each way
}

// String is the fault for people, such as "from 4s for 8s: ap-southeast down".
func (f Fault) String() string {
	what := f.Region + " " + string(f.Kind)
	switch f.Kind {
	case Slow:
		what = fmt.Sprintf("%s - %s slower by %v each way", f.Region, f.Peer, f.Delay)
	case Lossy:
		what = fmt.Sprintf("%s - %s loses %v %%", f.Region, f.Peer, f.Loss)
	}
	return fmt.Sprintf("from %v for %v: %s", f.At, f.Hold, what)
}

// end is when the fault is reverted.
func (f Fault) end() time.Duration { return f.At + f.Hold }

// touches reports whether a fault has something to do with a region.
func (f Fault) touches(region string) bool { return f.Region == region || f.Peer == region }

// Schedule is what happens to a cluster, in the order of its beginning.
type Schedule []Fault

// String is the schedule for people, a line a fault.
func (s Schedule) String() string {
	var lines []string
	for _, f := range s {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

// End is when the last fault is reverted.
func (s Schedule) End() (end time.Duration) {
	for _, f := range s {
		end = max(end, f.end())
	}
	return end
}

// apart is what lies at least between a fault that takes a region away and the next one that touches another fault's
// region: the driver proves the end of one before it can prove the beginning of the other.
const apart = 3 * time.Second

// Check says what a schedule asks for that the service does not promise to survive, or that the driver cannot prove.
// The promise is about one region: two that are away at once leave one, and an ok takes two.
func (s Schedule) Check() error {
	for i, f := range s {
		if f.Hold <= 0 || f.At < 0 {
			return fmt.Errorf("%v: it has no duration, or begins before the schedule", f)
		}
		for _, g := range s[:i] {
			if f.At >= g.end()+apart || g.At >= f.end()+apart {
				continue
			}
			switch {
			case !f.Kind.link() && !g.Kind.link():
				return fmt.Errorf("%v, and %v: two regions would be away at once", g, f)
			case f.Kind.link() && g.Kind.link():
				if f.touches(g.Region) && f.touches(g.Peer) {
					return fmt.Errorf("%v, and %v: neither could be proved", g, f)
				}
			case f.Kind.link() && f.touches(g.Region), g.Kind.link() && g.touches(f.Region):
				return errors.New("a link to a region that is away cannot be probed")
			}
		}
	}
	return nil
}

// sorted returns the faults in the order of their beginning.
func (s Schedule) sorted() Schedule {
	s = slices.Clone(s)
	slices.SortStableFunc(s, func(a, b Fault) int { return int(a.At - b.At) })
	return s
}
