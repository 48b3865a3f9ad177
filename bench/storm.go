package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// stormLoad resets all sockets at once and lets every client come back at once.
type stormLoad struct {
	sockets int
}

func (l stormLoad) measure(ctx context.Context, subject *running, r *Round) error {
	c := newCrowd(subject, rooms(l.sockets, 10))
	defer c.leave()
	if _, err := c.connect(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	before, err := cpuTime(subject.pid)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	took := make([]time.Duration, l.sockets)
	var refused, lost atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	c.leave()
	for i := range c.clients {
		wg.Go(func() { // one a client; ends when it has joined, or with ctx
			for c.join(ctx, i) != nil {
				refused.Add(1)
				if sleep(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond)) != nil {
					lost.Add(1)
					break
				}
			}
			took[i] = time.Since(begin)
		})
	}
	wg.Wait()
	all := time.Since(begin)
	after, err := cpuTime(subject.pid)
	if err != nil {
		return err
	}
	h := newHistogram()
	for _, d := range took {
		record(h, d)
	}
	r.Expected, r.Delivered = l.sockets, l.sockets-int(lost.Load())
	r.add(figureStorm, "ms", all.Seconds()*1000)
	r.addLatency("one client", h, 50, 99)
	r.add("attempts that were refused", "", float64(refused.Load()))
	r.add("CPU of the storm", "s", (after - before).Seconds())
	return nil
}
