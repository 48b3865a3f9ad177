package wan

import (
	"sync"
	"time"
)

// epoch is where the clock of buckets begins.
var epoch = time.Now()

// bucket lets bytes through at a rate: a token bucket, as the kernel's tbf. What comes too fast waits, and what finds
// too much waiting before it is dropped.
type bucket struct {
	rate  float64 // bytes a nanosecond
	burst int64   // bytes that may pass at once after a rest
	queue int64   // bytes that may wait

	mu    sync.Mutex // guards the following
	clear int64      // when everything that was let in has its tokens; it may lie in the past, by as much as burst
}

// The defaults of an Impairment with a rate.
const (
	defaultBurst = 10_000
	defaultQueue = 256 << 10
)

func newBucket(im Impairment) *bucket {
	if im.Rate == 0 {
		return nil
	}
	b := &bucket{rate: float64(im.Rate) / 1e9, burst: im.Burst, queue: im.Queue}
	if b.burst == 0 {
		b.burst = defaultBurst
	}
	if b.queue == 0 {
		b.queue = defaultQueue
	}
	return b
}

// wait says how long n bytes that come now have to wait, and whether there is room for them to do so. Without room they
// take no tokens, unless they insist.
func (b *bucket) wait(now int64, n int, insist bool) (ns int64, room bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear := max(b.clear, now-int64(float64(b.burst)/b.rate))
	clear += int64(float64(n) / b.rate)
	ns = max(0, clear-now)
	if !insist && float64(ns)*b.rate > float64(b.queue+int64(n)) {
		return ns, false
	}
	b.clear = clear
	return ns, true
}
