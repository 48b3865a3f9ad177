package backbone

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// MaxAhead is how far ahead of this machine's wall clock an event may be stamped and still move
// this node's clock. Without the limit one node with a broken clock would drag all others along.
const MaxAhead = time.Minute

// HLC is a hybrid logical clock reading (Kulkarni and others, 2014): 48 bits of Unix milliseconds
// and a 16-bit counter. Readings are compared as numbers. A reading is never lower than the wall
// clock of the node that took it, and always higher than every reading that node had seen before;
// so "came after" in cause is "greater" in number, even when wall clocks disagree.
type HLC uint64

// At returns the lowest reading of the millisecond of t.
func At(t time.Time) HLC { return HLC(t.UnixMilli()) << 16 }

// Time returns the wall clock part, in milliseconds.
func (h HLC) Time() time.Time { return time.UnixMilli(int64(h >> 16)) }

// String returns the decimal form, the one that is on the wire.
func (h HLC) String() string { return strconv.FormatUint(uint64(h), 10) }

// ParseHLC reads the decimal form.
func ParseHLC(s string) (HLC, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading a clock value: %q is not a decimal number of 64 bits", s)
	}
	return HLC(n), nil
}

// Clock hands out HLC readings. It is safe for concurrent use and allocates nothing.
type Clock struct {
	wall func() time.Time
	last atomic.Uint64
}

// NewClock returns a clock over the given wall clock.
func NewClock(wall func() time.Time) *Clock { return &Clock{wall: wall} }

// Now returns a reading greater than all that this clock has returned or observed.
// More than 65,536 readings in a millisecond carry over into the next one.
func (c *Clock) Now() HLC {
	wall := uint64(At(c.wall()))
	for {
		last := c.last.Load()
		next := max(wall, last+1)
		if c.last.CompareAndSwap(last, next) {
			return HLC(next)
		}
	}
}

// Observe tells the clock of a reading taken elsewhere. It returns false, and forgets it, if the
// reading is more than MaxAhead in the future.
func (c *Clock) Observe(h HLC) bool {
	last := c.last.Load()
	if uint64(h) <= last {
		return true
	}
	if h > At(c.wall().Add(MaxAhead)) {
		return false
	}
	for uint64(h) > last && !c.last.CompareAndSwap(last, uint64(h)) {
		last = c.last.Load()
	}
	return true
}
