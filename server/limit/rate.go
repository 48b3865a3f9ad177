package limit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	bucketTime = 5 * time.Second
	maxBuckets = 12 // a minute
)

// Rate is the average number of events per second, as the protocol measures it:
//
//	average = events in the finished buckets / (buckets · 5 s)
//
// Buckets are 5 s long and the last 12 of them count, so the average changes every 5 s and looks
// back at most a minute. The bucket that is being filled does not count yet: whatever happens in it
// passes. A history begins, as in the original server, with one empty bucket, so for a limit of 100
// the first 5 s may bring 999 events; 1,000 of them make an average of 100, and the next ones are over the
// limit until the average has sunk: five seconds later, if nothing more happens.
//
// Its methods may be called from any goroutine.
type Rate struct {
	limit float64
	start time.Time

	bucket  atomic.Int64  // number of the bucket being filled, counted from start; moved under mu
	events  atomic.Int64  // in that bucket
	average atomic.Uint64 // of the finished ones, math.Float64bits

	mu   sync.Mutex // guards the following
	past history
}

// NewRate returns a Rate without events. A limit of 0 is never exceeded.
func NewRate(perSecond int) *Rate {
	r := &Rate{limit: float64(perSecond), start: time.Now()}
	r.past.push(0)
	return r
}

// Add counts n events. It takes no lock and allocates nothing.
func (r *Rate) Add(n int) {
	r.advance()
	r.events.Add(int64(n))
}

// Take counts n events, or says that the limit is exceeded. Then it counts nothing, so that what is
// refused does not keep the others out.
func (r *Rate) Take(n int) bool {
	if r.Exceeded() {
		return false
	}
	r.events.Add(int64(n))
	return true
}

// Average is the events per second of the last minute.
func (r *Rate) Average() float64 {
	r.advance()
	return math.Float64frombits(r.average.Load())
}

// Exceeded says whether the average has reached the limit.
func (r *Rate) Exceeded() bool {
	return r.limit > 0 && r.Average() >= r.limit
}

// advance finishes the buckets whose time is over. One caller does it; others that come in the
// meantime go on with the old average, and what they add falls into either bucket.
func (r *Rate) advance() {
	now := int64(time.Since(r.start) / bucketTime)
	if now <= r.bucket.Load() || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	behind := now - r.bucket.Load()
	if behind <= 0 {
		return // somebody else was faster
	}
	r.past.push(r.events.Swap(0))
	for range min(behind-1, maxBuckets) { // nobody came in these
		r.past.push(0)
	}
	r.average.Store(math.Float64bits(r.past.average()))
	r.bucket.Store(now)
}

// history is the last finished buckets. It is a pure value.
type history struct {
	buckets [maxBuckets]int64
	len     int // buckets that are there
	next    int // where the next one goes
	sum     int64
}

// push adds a bucket; the oldest of a full history leaves.
func (h *history) push(events int64) {
	h.sum += events - h.buckets[h.next]
	h.buckets[h.next] = events
	h.next = (h.next + 1) % maxBuckets
	h.len = min(h.len+1, maxBuckets)
}

// average is events per second; there is at least one bucket.
func (h *history) average() float64 {
	return float64(h.sum) / (float64(h.len) * bucketTime.Seconds())
}
