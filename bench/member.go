package bench

import (
	"context"
	"time"
)

// member receives what is sent to its room. All of it belongs to the goroutine of receive until that ends.
type member struct {
	client *client
	plan   *plan
	start  time.Time

	after   [2][]uint32 // when each message came after it was due, µs, at least 1; 0: it has not come
	missing int         // messages that have not come
	odd     int         // that came twice, or are not in the plan
	err     error       // that ended the receiving before its time
}

func newMember(c *client, p *plan, start time.Time) *member {
	m := &member{client: c, plan: p, start: start}
	for lane := range m.after {
		m.after[lane] = make([]uint32, len(p[lane]))
		m.missing += len(p[lane])
	}
	return m
}

// receive reads until everything has come, or until a deadline.
func (m *member) receive(deadline time.Time) {
	if m.err = m.client.ws.SetReadDeadline(deadline); m.err != nil {
		return
	}
	for m.missing > 0 {
		var heard []byte
		if heard, m.err = m.client.hear(); m.err != nil {
			return
		}
		now := time.Since(m.start)
		for lane, seq := range marks(heard) { // several: servers may put more than one message into a frame
			m.note(lane, seq, now)
		}
	}
}

// note takes a message down.
func (m *member) note(lane, seq int, now time.Duration) {
	if seq >= len(m.after[lane]) || m.after[lane][seq] != 0 {
		m.odd++
		return
	}
	m.after[lane][seq] = uint32(max((now - m.plan[lane][seq]).Microseconds(), 1))
	m.missing--
}

// publisher sends to its room on schedule.
type publisher struct {
	client *client
	room   string
	warm   time.Duration

	lags []time.Duration // of messages that count: how late this side was
	err  error
}

// publish sends every message when it is due, however late the ones before it were. Lag is what this process is
// responsible for: the time in which a write was blocked is the subject's, and is in its latency.
func (p *publisher) publish(ctx context.Context, sends []send, start time.Time) {
	var free time.Duration // when the last write was over
	var push []byte
	for _, s := range sends {
		if wait := s.due - time.Since(start); wait > 0 {
			if sleep(ctx, wait) != nil {
				return
			}
		}
		if s.due >= p.warm {
			p.lags = append(p.lags, time.Since(start)-max(s.due, free))
		}
		push = p.client.dialect.appendPublish(push[:0], p.room, s.message())
		if p.err = p.client.say(push); p.err != nil {
			return
		}
		free = time.Since(start)
	}
}
