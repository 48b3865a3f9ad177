package presence

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Tracker. Zero values get the default named in the comment.
type Config struct {
	Node  string   // unique in the cluster, at most 255 bytes
	Peers []string // every other node, until SetPeers; the own name, if it is among them, is passed over

	// Gossip sends a message to one peer, or to all if node is "". It must not block, and
	// may keep data. Messages may get lost, but those that arrive on one connection arrive in order and once.
	Gossip func(node string, data []byte)
	// Deliver tells the members of a room on this node. It is called for one diff at a time,
	// without any lock, and must not block.
	Deliver func(room string, d *Diff)

	Heartbeat time.Duration // to all peers, 500ms
	DownAfter time.Duration // silence of a peer after which its entries leave, 1.8s
	Linger    time.Duration // how long the entry of a departed member awaits it, 5s
	// Window, 20ms, is the least time between two deltas to the peers, and between two diffs of a
	// small room. It grows with the size of the room up to 250ms.
	Window time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept, but nowhere shown
}

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if n := len(c.Node); n == 0 || n > maxNode {
		fail("node name has %d bytes: 1 to %d are allowed", n, maxNode)
	}
	errs = append(errs, validatePeers(c.Peers)...)
	if c.Gossip == nil {
		fail("gossip is nil: without it no other node learns who is here")
	}
	if c.Deliver == nil {
		fail("deliver is nil: without it no member learns who comes and leaves")
	}
	if c.Heartbeat < 0 || c.DownAfter < 0 || c.Linger < 0 || c.Window < 0 {
		fail("durations may not be negative: heartbeat %v, down after %v, linger %v, window %v", c.Heartbeat, c.DownAfter, c.Linger, c.Window)
	} else if d := c.withDefaults(); d.DownAfter < 2*d.Heartbeat {
		fail("a peer counts as down after %v, but says something only every %v: leave it the time of two heartbeats", d.DownAfter, d.Heartbeat)
	}
	return errors.Join(errs...)
}

// validatePeers says all that is wrong with names of peers.
func validatePeers(peers []string) (errs []error) {
	seen := map[string]bool{}
	for _, p := range peers {
		if n := len(p); n == 0 || n > maxNode {
			errs = append(errs, fmt.Errorf("name of peer %q has %d bytes: 1 to %d are allowed", p, n, maxNode))
		}
		if seen[p] {
			errs = append(errs, fmt.Errorf("peer %q is named twice", p))
		}
		seen[p] = true
	}
	return errs
}

// withDefaults returns a copy without zero values and without the own node among the peers.
func (c Config) withDefaults() Config {
	c.Heartbeat = orDefault(c.Heartbeat, 500*time.Millisecond)
	c.DownAfter = orDefault(c.DownAfter, 1800*time.Millisecond)
	c.Linger = orDefault(c.Linger, 5*time.Second)
	c.Window = orDefault(c.Window, 20*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	c.Peers = others(c.Peers, c.Node)
	return c
}

// others returns the names without the own one.
func others(names []string, own string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == own })
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
