package backbone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/protocol"
)

// write is one copy on its way to a log. Its fields below done are guarded by link.mu.
type write struct {
	subject string
	data    []byte
	until   time.Time
	done    func(Ack)   // called once, from any goroutine; must not block
	wanted  func() bool // whether anybody still waits for it; must not block

	token uint64
	tries int
	next  time.Time // when to send again
}

type cast struct {
	subject string
	data    []byte
}

// pendingBytes bounds the payloads of the copies under way to one log and lane; all logs share them.
const pendingBytes = 64 << 20

// put queues a copy. It never blocks; done tells what became of it.
func (l *link) put(w *write) {
	l.mu.Lock()
	err := l.ended
	if err == nil && (len(l.pending) >= l.limit || l.bytes > pendingBytes) {
		err = errQueueFull
	}
	if err == nil {
		l.last++
		w.token = l.last
		l.keep(w)
		select {
		case l.writes <- w:
		default: // more were given up than the writer took out of the queue
			l.forget(w)
			err = errQueueFull
		}
	}
	l.mu.Unlock()
	if err == errQueueFull {
		l.m.skipped.Inc()
	}
	if err != nil {
		w.done(l.outcome(err))
	}
}

// keep and forget hold the pending copies and their size together. mu is held.
func (l *link) keep(w *write)   { l.pending[w.token] = w; l.bytes += len(w.data) }
func (l *link) forget(w *write) { delete(l.pending, w.token); l.bytes -= len(w.data) }

// takes says whether a cast has a chance. What is not taken because too much waits is counted.
func (l *link) takes() bool {
	if !l.up.Load() {
		return false
	}
	full := l.waiting.Load() > paces[l.lane].casts
	if full {
		l.m.dropped.Inc()
	}
	return !full
}

// cast queues a message that nobody acknowledges. It never blocks.
func (l *link) cast(subject string, data []byte) {
	if !l.takes() {
		return
	}
	size := int64(len(data))
	if l.waiting.Add(size)-size <= paces[l.lane].casts {
		select {
		case l.casts <- cast{subject, data}:
			return
		default:
		}
	}
	l.waiting.Add(-size)
	l.m.dropped.Inc()
}

// run is the link's writer; it returns when ctx ends, and gives up what is pending. Copies to be
// stored go before casts.
func (l *link) run(ctx context.Context) {
	defer func() { l.end(context.Cause(ctx)) }()
	sweep := time.NewTimer(sweepEvery)
	sweep.Stop() // runs only while something is pending: an idle link costs nothing
	sweeping := false
	var rtt <-chan time.Time
	if l.lane == protocol.Urgent {
		ticker := time.NewTicker(rttEvery)
		defer ticker.Stop()
		rtt = ticker.C
	}
	for {
		var w *write
		select {
		case w = <-l.writes:
		default:
			select {
			case <-ctx.Done():
				return
			case w = <-l.writes:
			case c := <-l.casts:
				if conn := l.get(); conn != nil {
					// An error means that the link is down; a cast is not kept for later.
					_ = conn.Publish(c.subject, c.data)
				}
				l.waiting.Add(-int64(len(c.data)))
			case <-l.connected:
				l.resendAll()
			case <-rtt:
				l.measure()
			case now := <-sweep.C:
				l.giveUp(func(w *write) bool { return now.After(w.until) }, errNoAnswer)
				sweeping = l.resend(now)
				if sweeping {
					sweep.Reset(sweepEvery)
				}
			}
		}
		if w != nil {
			l.send(w, time.Now(), true)
			if !sweeping {
				sweeping = true
				sweep.Reset(sweepEvery)
			}
		}
	}
}

// send writes a copy into the connection if it is up; a copy that could not be sent stays pending.
// A first send does nothing if a reconnect has sent the copy while it was still in the queue.
func (l *link) send(w *write, now time.Time, first bool) {
	l.mu.Lock()
	conn := l.conn
	_, waiting := l.pending[w.token]
	if conn == nil || !waiting || !l.up.Load() || w.tries >= maxTries || first && w.tries > 0 {
		l.mu.Unlock()
		return
	}
	w.tries++
	w.next = now.Add(firstResend << (w.tries - 1))
	again := w.tries > 1
	l.mu.Unlock()
	if again {
		l.m.resent.Inc()
	}
	reply := l.inbox + "." + strconv.FormatUint(w.token, 36)
	if err := conn.PublishRequest(w.subject, reply, w.data); errors.Is(err, nats.ErrMaxPayload) {
		l.finish(w.token, l.outcome(fmt.Errorf("the log of %s does not take %d bytes: %w", l.peer.Node, len(w.data), err)))
	}
}

// resend sends again what somebody waits for and is due. It reports whether anything is pending.
func (l *link) resend(now time.Time) bool {
	var due []*write
	l.mu.Lock()
	for _, w := range l.pending {
		if w.tries < maxTries && now.After(w.next) && w.wanted() {
			due = append(due, w)
		}
	}
	left := len(l.pending) > 0
	l.mu.Unlock()
	l.sendInOrder(due)
	return left
}

// resendAll is for a new connection: what somebody waits for goes out at once, and so do the latest
// others, which heals a short break faster than repair does. After a longer one their number would
// keep the log busy for seconds, one disk write each; repair brings them in batches.
func (l *link) resendAll() {
	var due, others []*write
	l.mu.Lock()
	for _, w := range l.pending {
		w.tries = min(w.tries, maxTries-1)
		if w.wanted() {
			due = append(due, w)
		} else {
			others = append(others, w)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(others, byToken)
	l.sendInOrder(append(due, others[max(0, len(others)-resendMax):]...))
}

// sendInOrder sends copies in the order in which they were published.
func (l *link) sendInOrder(due []*write) {
	slices.SortFunc(due, byToken)
	for _, w := range due {
		l.send(w, time.Now(), false)
	}
}

func byToken(a, b *write) int { return cmp.Compare(a.token, b.token) }

func (l *link) giveUp(which func(*write) bool, err error) {
	var gone []*write
	l.mu.Lock()
	for _, w := range l.pending {
		if which(w) {
			l.forget(w)
			gone = append(gone, w)
		}
	}
	l.mu.Unlock()
	for _, w := range gone {
		w.done(l.outcome(err))
	}
}

// end gives up everything, and at once whatever is put later.
func (l *link) end(why error) {
	l.mu.Lock()
	l.ended = why
	l.mu.Unlock()
	l.giveUp(func(*write) bool { return true }, why)
}

// finish ends a pending copy; a second answer for the same token finds nothing.
func (l *link) finish(token uint64, a Ack) {
	l.mu.Lock()
	w := l.pending[token]
	if w != nil {
		l.forget(w)
	}
	l.mu.Unlock()
	if w != nil {
		w.done(a)
	}
}
