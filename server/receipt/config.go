package receipt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

// DefaultEscalateAfter is how long the members of a room have for confirming an urgent message.
const DefaultEscalateAfter = 30 * time.Second

// Config of a Ledger. Zero values get the default named in the comment.
type Config struct {
	Node string // unique in the cluster, at most 255 bytes

	// Clock reads the node's hybrid logical clock.
	Clock func() backbone.HLC
	// Gossip sends a message to one node, or to all others if node is "". It must not block, and may
	// keep data. Messages may get lost.
	Gossip func(node string, data []byte)
	// Escalate publishes an escalation in the room of its message. It may wait; an id that has been published
	// before must do no harm.
	Escalate func(ctx context.Context, e Escalation) error

	EscalateAfter time.Duration // from the publication of a message; 0 means never
	RosterFor     time.Duration // how long a member that is not seen is expected, 12h
	Keep          time.Duration // how long the tally of a message is kept, 10m; at least twice EscalateAfter

	MaxMembers int // of the roster, in all rooms; the longest unseen are forgotten; 100,000
	MaxTallies int // messages; the oldest are forgotten; 10,000

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept, but nowhere shown
}

// Escalation is what is published when somebody has not been told.
type Escalation struct {
	ID   string // of the event to publish; it follows from the id of the message
	Room string
	Path string // of the message, in the room
	protocol.Escalation
}

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if n := len(c.Node); n == 0 || n > backbone.MaxName {
		fail("node name has %d bytes: 1 to %d are allowed", n, backbone.MaxName)
	}
	if c.Clock == nil {
		fail("clock is nil: messages and members have no order without it")
	}
	if c.Gossip == nil {
		fail("gossip is nil: without it no other node learns who is expected")
	}
	if c.Escalate == nil {
		fail("escalate is nil: without it nobody learns who has not been told")
	}
	if c.EscalateAfter < 0 || c.RosterFor < 0 || c.Keep < 0 {
		fail("durations may not be negative: escalate after %v, roster for %v, keep %v", c.EscalateAfter, c.RosterFor, c.Keep)
	}
	if c.Keep > 0 && c.Keep < 2*c.EscalateAfter {
		fail("tallies are kept for %v: to escalate after %v they must be kept for at least %v", c.Keep, c.EscalateAfter, 2*c.EscalateAfter)
	}
	if c.MaxMembers < 0 || c.MaxTallies < 0 {
		fail("limits may not be negative: %d members, %d tallies", c.MaxMembers, c.MaxTallies)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	orDefault(&c.RosterFor, 12*time.Hour)
	orDefault(&c.Keep, max(10*time.Minute, 2*c.EscalateAfter))
	orDefault(&c.MaxMembers, 100_000)
	orDefault(&c.MaxTallies, 10_000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	return c
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
