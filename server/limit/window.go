package limit

import "time"

// Window allows so many calls in a span of time. The span begins with a call and is fixed: when it is
// over, the next call begins another. Its owner makes sure that one call happens at a time.
type Window struct {
	calls int
	per   time.Duration
	began time.Time
	taken int
}

// NewWindow allows calls in each span of per; 0 calls or no span are no limit.
func NewWindow(calls int, per time.Duration) Window { return Window{calls: calls, per: per} }

// Take says whether a call at this time is allowed.
func (w *Window) Take(now time.Time) bool {
	if w.calls <= 0 || w.per <= 0 {
		return true
	}
	if w.taken == 0 || now.Sub(w.began) >= w.per {
		w.began, w.taken = now, 0
	}
	if w.taken >= w.calls {
		return false
	}
	w.taken++
	return true
}
