package urgent

import (
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// earlyBy is how long before the writes the flawed ok is given.
const earlyBy = time.Second

// ackEarly is the flaw of Config.AckEarly: it claims two regions at once, sends the live copies,
// and begins to write a second later. A region killed in between takes acknowledged events with it.
// Called with the shard locked.
func (l *Lane) ackEarly(ev *backbone.Event, h *hold) {
	h.ack(backbone.Ack{Region: l.b.Region()})
	h.ack(backbone.Ack{Region: l.b.OtherRegion()})
	l.b.Cast(ev)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.delayed.Add(1)
	go func() { // owned by the lane: ends after earlyBy, or when Close stops it
		defer l.delayed.Done()
		timer := time.NewTimer(earlyBy)
		defer timer.Stop()
		select {
		case <-timer.C:
			l.b.Write(ev, time.Now().Add(l.cfg.Deadline), func(backbone.Ack) {}, h.wanted)
		case <-l.stop: // a node that stops would have written nothing either
		}
	}()
}
