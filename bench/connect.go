package bench

import (
	"context"
	"time"
)

// connectLoad joins sockets and lets them idle.
type connectLoad struct {
	sockets int
	settle  time.Duration // between the last join and the reading of the memory
}

func (l connectLoad) measure(ctx context.Context, subject *running, r *Round) error {
	c := newCrowd(subject, rooms(l.sockets, 10))
	defer c.leave()
	before, err := cpuTime(subject.pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	took, err := c.connect(ctx)
	if err != nil {
		return err
	}
	all := time.Since(begin)
	after, err := cpuTime(subject.pid)
	if err != nil {
		return err
	}
	if err := sleep(ctx, l.settle); err != nil {
		return err
	}
	resident, err := residentKiB(subject.pid)
	if err != nil {
		return err
	}
	h := newHistogram()
	for _, d := range took {
		record(h, d)
	}
	r.Expected, r.Delivered = l.sockets, len(took)
	r.add("RSS without clients", "MiB", float64(subject.base)/1024)
	r.add(figureMemory, "KiB", float64(resident-subject.base)/float64(l.sockets))
	r.add("CPU per 1,000 connects", "s", (after-before).Seconds()/float64(l.sockets)*1000)
	r.add("connects with 64 workers", "/s", float64(l.sockets)/all.Seconds())
	r.addLatency("connect", h, 50, 99)
	return nil
}
