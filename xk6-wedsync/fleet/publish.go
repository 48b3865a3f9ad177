package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// Urgent publishes a text on the urgent lane. When it returns, the message is booked and on its way; Wait tells how it
// went. at is the intended instant, from which latencies count; zero: now.
//
// An error means that nothing was sent: a name that is not a vendor, or a wedding that is not there.
func (w *Wedding) Urgent(from, text string, at time.Time) (*Message, error) {
	payload, err := json.Marshal(struct {
		Text string `json:"text"`
		From string `json:"from"`
	}{text, from})
	if err != nil {
		return nil, fmt.Errorf("writing the urgent text: %w", err)
	}
	return w.send(from, protocol.Urgent, protocol.UrgentEvent, payload, at)
}

// Update publishes an ordinary event with a JSON payload, in the way of Urgent.
func (w *Wedding) Update(from, event string, payload []byte, at time.Time) (*Message, error) {
	if event == "" || event == protocol.UrgentEvent {
		return nil, fmt.Errorf("the event of an update is %q: give it a name of its own, and use urgent() for urgent messages", event)
	}
	if !json.Valid(payload) {
		return nil, errors.New("the payload of an update must be JSON")
	}
	return w.send(from, protocol.Normal, event, payload, at)
}

// Wait returns when every vendor who must receive the message has it and the ok is there, or after Limit, or when ctx or
// the wedding ends, whatever comes first; the receipt names those who are missing. The publish itself goes on until it
// is answered or GiveUp has passed.
func (m *Message) Wait(ctx context.Context) Receipt {
	w := m.publisher.w
	limit := time.NewTimer(w.cfg.Limit)
	defer limit.Stop()
	select {
	case <-m.complete:
	case <-limit.C:
	case <-ctx.Done():
	case <-w.ended:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return m.receipt(w.vendors)
}

// send opens the account of a message, because its first copy may arrive before the publish returns, and publishes it.
func (w *Wedding) send(from string, lane protocol.Lane, event string, payload []byte, at time.Time) (*Message, error) {
	v := w.byName[from]
	if v == nil {
		return nil, fmt.Errorf("wedding %s has no vendor %q; it has %s", w.cfg.ID, from, strings.Join(slices.Sorted(maps.Keys(w.byName)), ", "))
	}
	now := time.Now()
	if at.IsZero() {
		at = now
	}
	w.mu.Lock()
	if err := w.mayPublish(v); err != nil {
		w.mu.Unlock()
		return nil, err
	}
	v.sent[lane]++
	id := fmt.Sprintf("%s/%s/%c%d", w.run, v.full, lane.String()[0], v.sent[lane])
	m := newMessage(id, lane, v, at, w.fleet.Phase(), w.vendors)
	m.sent = now
	w.forget(now)
	w.messages[id] = m
	w.order = append(w.order, m)
	w.open++
	w.working.Add(1)
	if lane == protocol.Bulk {
		w.queueBulk(m, len(payload))
	}
	w.mu.Unlock()

	t := w.fleet.tally.lane(lane)
	t.sent.Add(1)
	t.expected.Add(int64(m.expected))
	w.cfg.Observe(Observation{What: Sent, At: now, Lane: lane, Type: v.Type, Phase: m.phase})
	if w.books != nil && lane != protocol.Bulk {
		w.books.History.Pub(clock.Of(now), id, w.cfg.ID, v.full, lane.String(), clock.Of(at))
	}
	limit := w.cfg.GiveUp
	if lane == protocol.Bulk {
		limit = min(limit, w.bulkPatience) // an answer after that would not be booked
	}
	go func() { // owner: w, whose end waits for it; ends at the answer, after the limit, or with the wedding; one per open publish
		defer w.working.Done()
		ctx, cancel := context.WithTimeout(w.ctx, limit)
		defer cancel()
		ack, err := v.client.Publish(ctx, client.Publication{ID: id, Event: event, Lane: lane, Payload: payload})
		w.answered(m, ack, err)
	}()
	return m, nil
}

// mayPublish is called with mu held.
func (w *Wedding) mayPublish(v *vendor) error {
	if w.departed {
		return fmt.Errorf("wedding %s is over: nobody can publish any more", w.cfg.ID)
	}
	if !v.arrived {
		return fmt.Errorf("%s has not arrived: await arrive() before publishing", v.full)
	}
	return nil
}

// answered books what the publisher was told.
func (w *Wedding) answered(m *Message, ack client.Ack, err error) {
	at := time.Now()
	a := answer{outcome: journal.OK, via: ack.Region, held: ack.Held}
	switch {
	case err == nil:
		at = ack.At
	case errors.Is(err, client.ErrRefused):
		a.outcome, a.why = journal.Fail, err.Error()
	default:
		a.outcome, a.why = journal.Info, err.Error()
	}
	a.after = at.Sub(m.sched)
	if w.books != nil && m.lane != protocol.Bulk {
		w.books.History.Done(clock.Of(at), m.id, a.outcome, a.via, a.held, a.why)
	}
	w.mu.Lock()
	m.answer = a
	slow := m.publisher.slow(m, w.sla(m.lane))
	w.close(m, at)
	w.mu.Unlock()
	o := Observation{What: Answered, At: at, Lane: m.lane, Region: a.via, Type: m.publisher.Type, Phase: m.phase, Slow: slow, Latency: a.after}
	switch {
	case a.outcome != journal.OK:
		o.What = Refused
	case m.lane != protocol.Bulk && !slow:
		raise(&w.fleet.tally.ack, int64(a.after))
	}
	w.cfg.Observe(o)
}

// close settles a message of which nothing more is awaited. It is called with mu held.
func (w *Wedding) close(m *Message, at time.Time) {
	if !m.settled.IsZero() || !m.whole() {
		return
	}
	// Only an ok promises delivery: after another answer the missing are not lost, they are not expected.
	w.fleet.tally.lane(m.lane).expected.Add(-int64(m.missing()))
	w.shut(m, at)
}

// shut notes that nothing more is awaited of a message. It is called with mu held.
func (w *Wedding) shut(m *Message, at time.Time) {
	m.settled = at
	close(m.complete)
	w.open--
	if w.open == 0 && w.calm != nil {
		close(w.calm)
	}
}

// settleAll ends the account of every open message: who has not got it by now has lost it.
func (w *Wedding) settleAll() {
	w.mu.Lock()
	now := time.Now()
	var lost []Observation
	for _, m := range w.order {
		if m.settled.IsZero() && m.lane != protocol.Bulk {
			lost = append(lost, w.settle(m, now)...)
		}
	}
	lost = append(lost, w.settleBulk(now)...)
	w.mu.Unlock()
	w.tell(lost)
}

// settle closes an account that is not whole and returns who is missing. A message without an answer has promised
// nothing. It is called with mu held.
func (w *Wedding) settle(m *Message, now time.Time) (lost []Observation) {
	t := w.fleet.tally.lane(m.lane)
	w.shut(m, now)
	if m.answer.outcome != journal.OK {
		t.expected.Add(-int64(m.missing()))
		return nil
	}
	t.lost.Add(int64(m.missing()))
	for i, a := range m.accounts {
		if a.expected && !a.delivered {
			lost = append(lost, Observation{What: Lost, At: now, Lane: m.lane, Type: w.vendors[i].Type, Phase: m.phase})
		}
	}
	return lost
}

func (w *Wedding) tell(all []Observation) {
	for _, o := range all {
		w.cfg.Observe(o)
	}
}

// forget drops the oldest messages whose duplicates need no longer be told from strays. It is called with mu held.
func (w *Wedding) forget(now time.Time) {
	n := 0
	for n < len(w.order) && !w.order[n].settled.IsZero() && now.Sub(w.order[n].settled) > remember {
		delete(w.messages, w.order[n].id)
		n++
	}
	w.order = slices.Delete(w.order, 0, n)
}
