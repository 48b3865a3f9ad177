package fleet

import (
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// What says what an observation counts.
type What uint8

// What can be observed.
const (
	Sent      What = iota // a message was handed to the client
	Answered              // its publisher has the server's ok; Latency is since the intended instant
	Refused               // its publisher has a no, or no answer at all
	Delivered             // one recipient has it; Latency is since the intended instant
	Lost                  // one recipient never got it, although the publisher had an ok; of a bulk message: it was shed
	Duplicate             // a vendor was given a message twice, or one session was sent it twice
	Stray                 // a vendor was given a message that nobody of this wedding sent
	Escalated             // a planner was told that somebody has not confirmed an urgent message
	Failover              // a vendor lost a socket that it wanted to keep
	Moved                 // a vendor left a socket because the server asked it to
	Stall                 // a vendor stops reading
	Arrival               // a vendor has joined for the first time; Latency is since the instant at which it was due
)

// Observation is one event in the terms of metrics.
type Observation struct {
	What     What
	At       time.Time
	Lane     protocol.Lane
	Region   string // that answered, delivered or failed; empty where there is none
	Type     string // the vendor's trade; of a publish: the publisher's
	Phase    string // of a message: the phase in which it was sent
	Replayed bool   // Delivered: it came by replay
	Slow     bool   // Delivered, Answered: to a vendor that had stopped reading when it was sent
	Late     bool   // Delivered: later than its lane allows, and not for that reason
	Latency  time.Duration
}
