package backbone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// How repaired events enter the own log.
const (
	adoptBatch   = 256 // events stored with one disk write
	adoptTimeout = 5 * time.Second
)

// adopt writes events that other logs hold into the own log, and returns when it holds them all. A
// thousand disk writes would take a node that returns as long as it was away; so many events share
// one. The log takes such a batch as a whole or not at all, and an event that has just come by
// another road spoils it: then they go one by one.
func (o *ownLog) adopt(ctx context.Context, events []*Event, repaired prometheus.Counter) error {
	o.adopting.Lock() // the repairs of two peers miss the same events: the second finds them known
	defer o.adopting.Unlock()
	events = slices.DeleteFunc(events, func(ev *Event) bool { return o.known.has(key(ev)) })
	for len(events) > 0 {
		batch := events[:min(len(events), adoptBatch)]
		events = events[len(batch):]
		stored, err := o.storeBatch(ctx, batch)
		if errors.Is(err, errNotAtomic) {
			stored, err = o.storeEach(ctx, batch)
		}
		repaired.Add(float64(stored))
		if err != nil {
			return fmt.Errorf("repairing the own log: %w", err)
		}
		for _, ev := range batch {
			o.known.add(key(ev))
		}
	}
	return nil
}

// errNotAtomic says that the log did not take the batch, because of one of its events or of a limit.
var errNotAtomic = errors.New("the log did not take the batch")

// storeBatch stores all events with one disk write, or none.
func (o *ownLog) storeBatch(ctx context.Context, events []*Event) (stored int, err error) {
	if len(events) == 1 {
		return 0, errNotAtomic
	}
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	conn, id := o.link.get(), uuid.NewString()
	for i, ev := range events {
		msg := &nats.Msg{
			Subject: eventSubject(o.cfg.Node, ev),
			Data:    AppendEvent(make([]byte, 0, encodedSize(ev)), ev),
			Header:  nats.Header{"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(i + 1)}},
		}
		if i < len(events)-1 {
			if err := conn.PublishMsg(msg); err != nil {
				return 0, err
			}
			continue
		}
		msg.Header.Set("Nats-Batch-Commit", "1")
		answer, err := conn.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return 0, err
		}
		if verdict, err := readAck(answer.Data); verdict != ackStored {
			return 0, errors.Join(errNotAtomic, err)
		}
	}
	return len(events), nil
}

// storeEach stores the events one by one; those that are there already are not counted.
func (o *ownLog) storeEach(ctx context.Context, events []*Event) (stored int, err error) {
	acks := make(chan Ack, len(events))
	until := time.Now().Add(adoptTimeout)
	for _, ev := range events {
		o.link.put(&write{
			subject: eventSubject(o.cfg.Node, ev), data: AppendEvent(make([]byte, 0, encodedSize(ev)), ev), until: until,
			done: func(a Ack) { acks <- a }, wanted: func() bool { return true },
		})
	}
	for range events {
		select {
		case a := <-acks:
			if a.Err != nil {
				err = a.Err
			} else if !a.Before {
				stored++
			}
		case <-ctx.Done():
			return stored, ctx.Err()
		}
	}
	return stored, err
}
