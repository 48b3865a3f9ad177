package check

import (
	"math"
	"slices"
)

// Latencies is a set of latencies in nanoseconds, with every one kept, so that percentiles are values
// that were measured and no histogram's buckets. An infinite one (math.MaxInt64) is a message that
// never came.
type Latencies struct {
	values []int64
}

func (l *Latencies) add(ns int64) { l.values = append(l.values, ns) }
func (l *Latencies) sort()        { slices.Sort(l.values) }

// Len is how many there are, infinite ones included.
func (l *Latencies) Len() int { return len(l.values) }

// Finite returns those that ended, ascending.
func (l *Latencies) Finite() []int64 {
	n, _ := slices.BinarySearch(l.values, math.MaxInt64)
	return l.values[:n]
}

// At returns the percentile p (0 to 100) by nearest rank: the smallest value that at least p percent of
// all do not exceed. It is false if there is none: of no values, or because the rank falls on a message
// that never came.
func (l *Latencies) At(p float64) (ns int64, ok bool) {
	n := len(l.values)
	if n == 0 {
		return 0, false
	}
	// The small bias keeps 99.9 % of 1000 at rank 999 in spite of binary fractions.
	rank := max(int(math.Ceil(p/100*float64(n)-1e-9)), 1)
	v := l.values[min(rank, n)-1]
	return v, v != math.MaxInt64
}
