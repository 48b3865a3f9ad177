package bench

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"
)

// member receives what is sent to its room. All of it belongs to the goroutine of receive until that ends.
type member struct {
	ws    *websocket.Conn
	plan  *plan
	start time.Time

	after   [2][]uint32 // when each message came after it was due, µs, at least 1; 0: it has not come
	missing int         // messages that have not come
	odd     int         // that came twice, or are not in the plan
	err     error       // that ended the receiving before its time
}

func newMember(ws *websocket.Conn, p *plan, start time.Time) *member {
	m := &member{ws: ws, plan: p, start: start}
	for lane := range m.after {
		m.after[lane] = make([]uint32, len(p[lane]))
		m.missing += len(p[lane])
	}
	return m
}

// receive reads until everything has come, or until a deadline.
func (m *member) receive(deadline time.Time) {
	if m.err = m.ws.SetReadDeadline(deadline); m.err != nil {
		return
	}
	var buf [1024]byte // the mark is near the beginning; the rest of a longer message is of no interest
	for m.missing > 0 {
		_, r, err := m.ws.NextReader()
		if err != nil {
			m.err = err
			return
		}
		n, err := io.ReadFull(r, buf[:])
		now := time.Since(m.start)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			m.err = err
			return
		}
		if lane, seq, ok := readMark(buf[:n]); ok {
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
	ws    *websocket.Conn
	topic string
	warm  time.Duration

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
		push = appendMessage(push[:0], p.topic, s)
		if p.err = p.ws.WriteMessage(websocket.TextMessage, push); p.err != nil {
			return
		}
		free = time.Since(start)
	}
}

// listen throws away what a publisher is told, and lets gorilla answer pings.
func listen(ws *websocket.Conn) {
	for {
		if _, _, err := ws.NextReader(); err != nil {
			return
		}
	}
}
