package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/protocol"
)

const (
	// grace is how long messages may still be on their way when the last one has been sent.
	grace = 5 * time.Second
	// maxSendLag bounds the 99th percentile of the generator's own delay, as reports/check does for drills.
	maxSendLag = 10 * time.Millisecond
)

// broadcastLoad is publishers that send to their rooms on schedule: a publisher per room, besides its members.
type broadcastLoad struct {
	rooms, members int
	background     float64       // messages per second and room
	urgent         float64       // messages per second of all rooms together
	warm, length   time.Duration // of the time that does not count, and of the one after it that does
}

func (l broadcastLoad) sockets() int { return l.rooms * (l.members + 1) }

func (l broadcastLoad) measure(ctx context.Context, subject *running, r *Round) error {
	// Members come first, the publishers of the rooms behind them.
	c := newCrowd(subject, append(rooms(l.rooms*l.members, l.members), stages(l.rooms)...))
	defer c.leave()
	if _, err := c.connect(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	total := l.warm + l.length
	plans := planRooms(l.rooms, l.background, l.urgent, total)
	start := time.Now().Add(200 * time.Millisecond)
	members, publishers := make([]*member, l.rooms*l.members), make([]*publisher, l.rooms)
	var receiving, sending, listening sync.WaitGroup
	for i := range members {
		m := newMember(c.clients[i], &plans[i/l.members], start)
		members[i] = m
		receiving.Go(func() { m.receive(start.Add(total + grace)) }) // one a member; ends with its last message or the deadline
	}
	for i := range publishers {
		p := &publisher{client: c.clients[len(members)+i], room: roomName(i), warm: l.warm}
		publishers[i] = p
		listening.Go(p.client.listen)                                  // one a publisher; ends with the socket
		sending.Go(func() { p.publish(ctx, plans[i].sends(), start) }) // one a publisher; ends with its plan or ctx
	}
	everybody := slices.Clone(c.clients)
	abort := context.AfterFunc(ctx, func() {
		for _, one := range everybody {
			_ = one.ws.NetConn().Close() // ends the receiving
		}
	})
	used, err := usage(ctx, subject.pid, start.Add(l.warm), start.Add(total))
	if err != nil {
		cancel()
	}
	sending.Wait()
	receiving.Wait()
	abort()
	c.leave()
	listening.Wait()
	if err != nil {
		return err
	}
	l.judge(r, members, publishers, plans, used)
	return nil
}

// usage is the CPU time of a process between two moments.
func usage(ctx context.Context, pid int, from, to time.Time) (time.Duration, error) {
	if err := sleep(ctx, time.Until(from)); err != nil {
		return 0, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, time.Until(to)); err != nil {
		return 0, err
	}
	after, err := cpuTime(pid)
	return after - before, err
}

// judge counts what has arrived, when, and whether that proves anything.
func (l broadcastLoad) judge(r *Round, members []*member, publishers []*publisher, plans []plan, used time.Duration) {
	all, urgent, lag := newHistogram(), newHistogram(), newHistogram()
	deliveries := 0 // that count
	for i := range plans {
		deliveries += plans[i].count(l.warm) * l.members
		r.Expected += plans[i].count(0) * l.members
	}
	odd := 0
	for _, m := range members {
		r.Delivered += m.tally(l.warm, all, urgent)
		odd += m.odd
	}
	for _, p := range publishers {
		for _, d := range p.lags {
			record(lag, d)
		}
	}
	r.SendLagMS = milliseconds(lag, 99)
	r.add(figureCPU, "s", used.Seconds()/float64(deliveries)*1e6)
	r.addLatency("all", all, 50, 99, 99.9, 100)
	if urgent.TotalCount() > 0 {
		r.addLatency("urgent", urgent, 50, 99, 99.9, 100)
	}
	r.latencies = append(r.latencies, latency{"send-lag", lag})
	if lost := r.Expected - r.Delivered; lost > 0 {
		r.spoil("%d of %d deliveries are missing%s", lost, r.Expected, firstError(members, publishers))
	}
	if odd > 0 {
		r.spoil("%d deliveries came twice, or were never sent", odd)
	}
	if limit := float64(maxSendLag.Milliseconds()); r.SendLagMS > limit {
		r.spoil("the generator itself was %.1f ms late at the 99th percentile, the limit is %g: run it on a quieter machine", r.SendLagMS, limit)
	}
}

func firstError(members []*member, publishers []*publisher) string {
	for _, p := range publishers {
		if p.err != nil {
			return "; a publisher: " + p.err.Error()
		}
	}
	for _, m := range members {
		if m.err != nil {
			return "; a member: " + m.err.Error()
		}
	}
	return ""
}

// tally records when messages have arrived that count, and returns how many have arrived at all.
func (m *member) tally(warm time.Duration, all, urgent *hdr.Histogram) (arrived int) {
	for lane, dues := range m.plan {
		for seq, due := range dues {
			after := m.after[lane][seq]
			if after == 0 {
				continue
			}
			arrived++
			if due < warm {
				continue
			}
			d := time.Duration(after) * time.Microsecond
			record(all, d)
			if protocol.Lane(lane) == protocol.Urgent {
				record(urgent, d)
			}
		}
	}
	return arrived
}
