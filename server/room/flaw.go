package room

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/socket"
)

// FlawKind is a way to break the promise on purpose, so that the checker can be seen to fail.
type FlawKind string

// The flaws. AckEarly is the urgent lane's; it stands here because one flag chooses among all.
const (
	NoFlaw      FlawKind = ""
	DropUrgent  FlawKind = "drop-urgent"
	DelayUrgent FlawKind = "delay-urgent"
	TwiceUrgent FlawKind = "twice-urgent"
	AckEarly    FlawKind = "ack-early"
)

// Flaw is one misbehaviour of a node. Which deliveries it hits follows from the message id and the
// recipient's key alone: both homes of a recipient, and a replay, misbehave alike, or a second home
// would hide it.
type Flaw struct {
	Kind  FlawKind
	Every uint64        // one delivery in so many
	Delay time.Duration // of DelayUrgent
}

// ParseFlaw reads drop-urgent:N, delay-urgent:N:DURATION, twice-urgent:N, ack-early or nothing.
func ParseFlaw(spec string) (Flaw, error) {
	bad := func() (Flaw, error) {
		return Flaw{}, fmt.Errorf("flaw %q: use drop-urgent:1000, delay-urgent:1000:300ms, twice-urgent:1000 or ack-early", spec)
	}
	parts := strings.Split(spec, ":")
	f := Flaw{Kind: FlawKind(parts[0])}
	want := 2
	switch f.Kind {
	case NoFlaw, AckEarly:
		want = 1
	case DropUrgent, TwiceUrgent:
	case DelayUrgent:
		want = 3
	default:
		return bad()
	}
	if len(parts) != want {
		return bad()
	}
	var err error
	if want > 1 {
		if f.Every, err = strconv.ParseUint(parts[1], 10, 64); err != nil || f.Every == 0 {
			return bad()
		}
	}
	if want > 2 {
		if f.Delay, err = time.ParseDuration(parts[2]); err != nil || f.Delay <= 0 {
			return bad()
		}
	}
	return f, nil
}

// String is the form that ParseFlaw reads.
func (f Flaw) String() string {
	switch f.Kind {
	case NoFlaw, AckEarly:
		return string(f.Kind)
	case DelayUrgent:
		return fmt.Sprintf("%s:%d:%s", f.Kind, f.Every, f.Delay)
	}
	return fmt.Sprintf("%s:%d", f.Kind, f.Every)
}

// hits chooses the deliveries that go wrong.
func (f Flaw) hits(id, key string) bool {
	if f.Every == 0 {
		return false
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id + "\x00" + key)) // a hash does not fail
	return h.Sum64()%f.Every == 0
}

// send does a delivery that was hit.
func (f Flaw) send(to Sink, lane protocol.Lane, frame socket.Frame) {
	switch f.Kind {
	case DelayUrgent:
		// Ends by itself after the delay; bounded by the deliveries of that time.
		time.AfterFunc(f.Delay, func() { to.Send(lane, frame) })
	case TwiceUrgent:
		to.Send(lane, frame)
		to.Send(lane, frame)
	}
}
