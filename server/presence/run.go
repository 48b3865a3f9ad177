package presence

import (
	"context"
	"time"
)

// runDiffs delivers the diffs of all rooms, one after the other.
func (t *Tracker) runDiffs(ctx context.Context) {
	due := newAlarm()
	defer due.stop()
	for {
		t.mu.Lock()
		diffs, next := t.replica.diffs(time.Now())
		t.mu.Unlock()
		for _, d := range diffs {
			t.cfg.Deliver(d.Room, d)
		}
		t.metrics.diffs.Add(float64(len(diffs)))
		due.set(next)
		select {
		case <-ctx.Done():
			return
		case <-t.tell:
		case <-due.C:
		}
	}
}

// runGossip sends everything that goes to the peers, and watches their silence.
func (t *Tracker) runGossip(ctx context.Context) {
	beat := time.NewTicker(t.cfg.Heartbeat)
	defer beat.Stop()
	watch := time.NewTicker(t.cfg.DownAfter / watchesPerDown)
	defer watch.Stop()
	due := newAlarm()
	defer due.stop()

	t.mu.Lock()
	t.replica.hello(time.Now())
	t.mu.Unlock()
	due.set(t.flush(true))
	watched := time.Now()
	for {
		select {
		case <-ctx.Done():
			t.flush(true) // what has left is not to be kept for its return
			last := t.replica.own.message(goodbye)
			t.send(&last)
			return
		case <-beat.C:
			due.set(t.flush(true))
		case <-watch.C:
			now := time.Now()
			t.watch(now, now.Sub(watched))
			watched = now
		case <-t.gossip:
			due.set(t.flush(false))
		case <-due.C:
			due.set(t.flush(false))
		}
	}
}

// watchesPerDown is how often in DownAfter the silence of the peers is looked at.
const watchesPerDown = 10

// watch notices silent peers. since is the time from the look before.
func (t *Tracker) watch(now time.Time, since time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// This process was stopped, or starved: what its peers said meanwhile has not been read.
	if late := since - t.cfg.DownAfter/watchesPerDown; late > t.cfg.Heartbeat {
		t.log.Warn("presence was held up; the peers are not judged by this time", "late", late)
		t.replica.pardon(late)
	}
	if t.replica.expire(now) {
		t.changed()
	}
	for _, node := range t.replica.silence(now) {
		t.log.Warn("a node is silent: its presence entries leave", "node", node, "after", t.cfg.DownAfter)
		t.metrics.down.Inc()
		t.changed()
	}
}

// flush sends what is to be sent now, and returns when there will be more: zero if that is not known.
func (t *Tracker) flush(beat bool) (next time.Time) {
	t.mu.Lock()
	messages, next := t.replica.outgoing(time.Now(), beat)
	t.mu.Unlock()
	for i := range messages {
		if messages[i].kind == request {
			t.metrics.repairs.Inc()
			t.log.Debug("asking a node for its full presence state", "node", messages[i].to)
		}
		t.send(&messages[i])
	}
	return next
}

func (t *Tracker) send(m *message) {
	data := m.encode()
	copies := 1
	if m.to == "" {
		copies = int(t.peers.Load())
	}
	t.metrics.sent.Add(float64(copies * len(data)))
	t.cfg.Gossip(m.to, data)
}

// alarm is a timer that may have nothing to wait for.
type alarm struct{ *time.Timer }

func newAlarm() alarm {
	a := alarm{time.NewTimer(time.Hour)}
	a.Stop()
	return a
}

// set makes it ring at a time, or not at all if that is zero.
func (a alarm) set(at time.Time) {
	if at.IsZero() {
		a.Stop()
		return
	}
	a.Reset(time.Until(at))
}

func (a alarm) stop() { a.Stop() }
