package backbone

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Ack is what became of one copy.
type Ack struct {
	Node, Region string
	Before       bool  // the log had it already
	Err          error // nil: this log holds the event
}

// Why a copy is not known to be held. Repair delivers it later in each case.
var (
	errQueueFull = errors.New("too many copies are under way to this log")
	errNoAnswer  = errors.New("this log did not answer in time")
	errLogFull   = errors.New("the log is full")
	errClosed    = errors.New("the backbone is closed")
	errRemoved   = errors.New("this node is no peer any more")
)

func (l *link) outcome(err error) Ack { return Ack{Node: l.peer.Node, Region: l.peer.Region, Err: err} }

// onAck reads the log's answer to a copy.
func (l *link) onAck(msg *nats.Msg) {
	name := strings.TrimPrefix(msg.Subject, l.inbox+".")
	if name == rttToken {
		l.measured(msg.Data)
		return
	}
	token, err := strconv.ParseUint(name, 36, 64)
	if err != nil {
		l.log.Warn("answer of a log not understood", "subject", msg.Subject)
		return
	}
	switch verdict, err := readAck(msg.Data); verdict {
	case ackStored:
		l.finish(token, l.outcome(nil))
	case ackHadIt:
		a := l.outcome(nil)
		a.Before = true
		l.finish(token, a)
	case ackRefused:
		l.finish(token, l.outcome(fmt.Errorf("the log of %s refused: %w", l.peer.Node, err)))
	case ackNotOpen: // sent again when it is due
	}
}

// verdict of a log on one copy.
type verdict int

const (
	ackRefused verdict = iota
	ackStored
	ackHadIt   // refused because the id is there: as good as stored
	ackNotOpen // the node has started, its log has not
)

// readAck reads the answer of a log to a copy.
func readAck(data []byte) (verdict, error) {
	if len(data) == 0 {
		return ackNotOpen, nil // the server's way to say that nobody listens on the subject
	}
	var answer struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return ackRefused, fmt.Errorf("reading its answer: %w", err)
	}
	switch {
	case answer.Error == nil && answer.Seq > 0:
		return ackStored, nil
	case answer.Error == nil:
		return ackRefused, errors.New("its answer has no sequence number")
	case answer.Error.Description == refusalHeld:
		return ackHadIt, nil
	case answer.Error.Description == refusalFull:
		return ackRefused, errLogFull
	}
	return ackRefused, errors.New(answer.Error.Description)
}
