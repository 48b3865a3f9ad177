package client

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// Message is a broadcast as the application gets it.
type Message struct {
	ID      string // "" from a server that gives none
	Event   string
	From    string // the publisher's name, if it gave one
	Lane    protocol.Lane
	Payload []byte // JSON, unless Binary
	Binary  bool

	Region   string    // of the session that brought it
	Session  int       // number of that session
	At       time.Time // when the whole frame was read
	Replayed bool      // came from the log, not live

	// SameSession, of a duplicate: this very session has brought the message before, so that it was
	// the server that sent it twice.
	SameSession bool
}

// Receipt says that one recipient has one of the client's own urgent messages.
type Receipt struct {
	ID     string
	By     string // the recipient's name
	Region string // where the recipient is
	At     time.Time
}

// Phase is a step in the life of a session.
type Phase uint8

// The phases, in order. CaughtUp follows Joined when the server says that it has sent everything that
// was missed, which it can of a join that resumes. Closed is the last of every session; Left comes only when
// the client chose to leave, and from it on the client expects nothing more from the session.
const (
	Dialing Phase = iota + 1
	Opened
	Joined
	CaughtUp
	Left
	Closed
)

var phaseNames = [...]string{Dialing: "dialing", Opened: "opened", Joined: "joined", CaughtUp: "caught-up", Left: "left", Closed: "closed"}

// String returns the phase's name as raw files have it.
func (p Phase) String() string {
	if p == 0 || int(p) >= len(phaseNames) {
		return fmt.Sprintf("Phase(%d)", uint8(p))
	}
	return phaseNames[p]
}

// State is one change of one session.
type State struct {
	At      time.Time
	Session int // 1, 2, 3 … in the order in which the client began them
	Region  string
	Phase   Phase
	Reason  string // why, for Left and Closed
}

// ReasonMoved is the reason of Left when the server asked the client to move, and it did.
const ReasonMoved = "moved"
