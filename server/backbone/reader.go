package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/protocol"
)

// Limits of one batch. Repair shares its connection with live events and with the pings that tell
// whether the peer is there. On a new connection TCP sends ten packets and doubles that each round
// trip: 64 KiB take three, half a second between far continents, during which an answer to a ping waits.
const (
	batchLen     = 512
	batchBytes   = 64 << 10
	batchTimeout = 10 * time.Second // without a message; a log answers after the writes that it has queued
)

// reader reads a log in batches, by asking for "the next n from here". Unlike a consumer that is
// sent messages, it has no state in the server, and a connection that breaks in the middle cannot
// lose anything unnoticed: each message names the one before it. Not for concurrent use.
type reader struct {
	conn   *nats.Conn
	sub    *nats.Subscription
	stream string
	inbox  string
	asked  uint64 // batches: part of the reply subject, so that late replies are told apart
}

// record is one stored message.
type record struct {
	seq  uint64
	at   time.Time // when the log stored it
	data []byte
}

// query selects what to read: from a sequence number or a time on, optionally of some subjects only.
type query struct {
	Seq      uint64     `json:"seq,omitempty"`
	Start    *time.Time `json:"start_time,omitempty"`
	Subjects string     `json:"next_by_subj,omitempty"`
	Batch    int        `json:"batch"`
	MaxBytes int        `json:"max_bytes"`
}

func newReader(conn *nats.Conn, lane protocol.Lane) (*reader, error) {
	inbox := nats.NewInbox()
	sub, err := conn.SubscribeSync(inbox + ".*")
	if err != nil {
		return nil, fmt.Errorf("subscribing to answers of the log: %w", err)
	}
	return &reader{conn: conn, sub: sub, stream: streamName(lane), inbox: inbox}, nil
}

// close ends the subscription; on a closed connection there is nothing to end.
func (r *reader) close() { _ = r.sub.Unsubscribe() }

// batch reads the next messages in the order of the log, hands each to a function, and returns how
// many are left behind the last one. A sequence number of 0 means the beginning.
func (r *reader) batch(ctx context.Context, q query, each func(record) error) (left uint64, err error) {
	q.Batch, q.MaxBytes = batchLen, batchBytes
	if q.Start == nil {
		q.Seq = max(q.Seq, 1)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return 0, fmt.Errorf("reading the log: %w", err)
	}
	r.asked++
	reply := r.inbox + "." + strconv.FormatUint(r.asked, 36)
	if err := r.conn.PublishRequest("$JS.API.DIRECT.GET."+r.stream, reply, body); err != nil {
		return 0, fmt.Errorf("reading the log: %w", err)
	}
	var last uint64
	for {
		msg, err := r.next(ctx)
		if err != nil {
			return 0, fmt.Errorf("reading the log: %w", err)
		}
		if msg.Subject != reply {
			continue // belongs to a batch that was given up
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "204": // end of batch
			if number(msg, "Nats-Last-Sequence") != last {
				return 0, errGap
			}
			return number(msg, "Nats-Num-Pending"), nil
		case "404": // nothing there
			return 0, nil
		default:
			return 0, fmt.Errorf("reading the log: it answered %s %s", status, msg.Header.Get("Description"))
		}
		if number(msg, "Nats-Last-Sequence") != last {
			return 0, errGap
		}
		last = number(msg, "Nats-Sequence")
		at, err := time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp"))
		if err != nil || last == 0 {
			return 0, fmt.Errorf("reading the log: message %d has no usable time: %w", last, err)
		}
		if err := each(record{seq: last, at: at, data: msg.Data}); err != nil {
			return 0, err
		}
	}
}

var errGap = errors.New("reading the log: a message of the batch did not arrive")

func (r *reader) next(ctx context.Context) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	return r.sub.NextMsgWithContext(ctx)
}

// number reads a numeric header; 0 if it is not there.
func number(msg *nats.Msg, name string) uint64 {
	n, err := strconv.ParseUint(msg.Header.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
