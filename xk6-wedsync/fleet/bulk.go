package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// bulkPatience is how long copies of a bulk message are awaited. Then its line is written, and the copies that have not
// come count as shed; one that comes all the same has a line of its own in the history.
const bulkPatience = 5 * time.Second

// Bulk publishes an event on the bulk lane, in the way of Urgent. The payload must be JSON; see [Fleet.Photo].
//
// Nobody promises that such a message arrives: expected = delivered + shed, and it is booked apart from the others.
func (w *Wedding) Bulk(from, event string, payload []byte, at time.Time) (*Message, error) {
	if event == "" || event == protocol.UrgentEvent {
		return nil, fmt.Errorf("the event of a bulk message is %q: give it a name of its own, such as photo", event)
	}
	return w.send(from, protocol.Bulk, event, payload, at)
}

// The size of a payload made by Photo.
const (
	photoHead, photoTail = `{"photo":"`, `"}`
	minPhoto             = len(photoHead) + len(photoTail)
	maxPhoto             = protocol.MaxFrame - 4096 // leaves room for the rest of the frame
)

// Photo returns a JSON payload of so many bytes. All of one size share their memory: a flood of them costs the
// generator no more than their sending.
func (f *Fleet) Photo(bytes int) ([]byte, error) {
	if bytes < minPhoto || bytes > maxPhoto {
		return nil, fmt.Errorf("bytes: %d should be between %d and %d", bytes, minPhoto, maxPhoto)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.photos[bytes]; p != nil {
		return p, nil
	}
	p := make([]byte, 0, bytes)
	p = append(p, photoHead...)
	for len(p) < bytes-len(photoTail) {
		p = append(p, 'A'+byte(len(p)*7%26))
	}
	p = append(p, photoTail...)
	if f.photos == nil {
		f.photos = map[int][]byte{}
	}
	f.photos[bytes] = p
	return p, nil
}

// queueBulk begins to look after a bulk message. It is called with mu held.
func (w *Wedding) queueBulk(m *Message, bytes int) {
	m.bytes, m.got = bytes, make([]int64, len(w.vendors))
	for i := range m.got {
		m.got[i] = -1
	}
	w.bulk = append(w.bulk, m)
	if !w.sweeping {
		w.sweeping = true
		w.working.Go(func() { w.sweep(w.ctx) }) // owner: w, whose end waits for it; ends with the wedding
	}
}

// sweep ends the accounts of bulk messages whose time is up, until the wedding ends.
func (w *Wedding) sweep(ctx context.Context) {
	tick := time.NewTicker(w.bulkPatience / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return // settleAll does the rest
		case now := <-tick.C:
			w.mu.Lock()
			missed := w.settleBulk(now.Add(-w.bulkPatience))
			w.mu.Unlock()
			w.tell(missed)
		}
	}
}

// settleBulk ends the accounts of bulk messages sent before an instant and returns what was shed. It is called with mu
// held.
func (w *Wedding) settleBulk(before time.Time) (missed []Observation) {
	n := 0
	for ; n < len(w.bulk) && w.bulk[n].sent.Before(before); n++ {
		m := w.bulk[n]
		m.booked = true
		if m.settled.IsZero() {
			missed = append(missed, w.settle(m, time.Now())...)
		}
		if w.books != nil {
			w.books.History.Bulk(m.record())
		}
	}
	clear(w.bulk[:n])
	w.bulk = w.bulk[n:]
	return missed
}

// record is the message's line in the history.
func (m *Message) record() journal.Record {
	r := journal.Record{T: clock.Of(m.sent), ID: m.id, Wedding: m.publisher.w.cfg.ID, Vendor: m.publisher.full, Sched: clock.Of(m.sched),
		Bytes: int64(m.bytes), Out: m.answer.outcome, Via: m.answer.via, Why: m.answer.why, Copies: int64(m.copies), Got: m.got}
	if r.Out == "" {
		r.Out = journal.Info // still under way: nobody has promised anything
	} else {
		r.Done = clock.Of(m.sched.Add(m.answer.after))
	}
	return r
}

// FloodConfig describes many bulk messages.
type FloodConfig struct {
	From     []string // who sends them, by turns
	Event    string
	Payload  []byte // of each
	Schedule ScheduleConfig
}

// Flood publishes bulk messages by a schedule of its own until that ends, and returns how many. It does what a loop over
// Schedule.Next and Bulk would do, and spares a script that loop: with ten photos for every other message, running
// JavaScript for each of them was a quarter of the generator's work.
func (w *Wedding) Flood(ctx context.Context, cfg FloodConfig) (sent int, err error) {
	if len(cfg.From) == 0 {
		return 0, errors.New("from: a flood needs somebody who sends it")
	}
	s, err := w.Schedule(cfg.Schedule)
	if err != nil {
		return 0, err
	}
	for {
		at, ok := s.Next(ctx)
		if !ok {
			return sent, nil
		}
		if _, err := w.Bulk(cfg.From[sent%len(cfg.From)], cfg.Event, cfg.Payload, at); err != nil {
			if w.over() {
				return sent, nil // between the instant and the sending
			}
			return sent, err
		}
		sent++
	}
}
