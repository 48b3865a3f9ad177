package backbone

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Backbone. Zero values get the default named in the comment.
type Config struct {
	Node   string // unique in the cluster: letters, digits, - and _
	Region string
	Listen string // host:port of the own log server; port 0 picks one, see LogURL
	// Peers are the other nodes at the start, of all regions; SetPeers changes them. The own entry, if
	// it is among them, is passed over, so that all nodes can be given the same list.
	Peers []Peer
	Dir   string // the log and its cursors live here
	// Secret is shared by all nodes of the cluster; the keys of its log users are derived from it.
	Secret string
	// SyncAlways makes the log write to the disk before it acknowledges. Without it the disk is
	// written once a second: what a power failure can take, though never the kill of a process.
	SyncAlways bool

	MaxBytes   int64         // of a lane in the log, 1 GiB; the oldest tenth goes when it is nearly full
	MaxAge     time.Duration // of an event in the log, 72h
	QueueLen   int           // copies under way to one log and lane, 1024; beyond that they are left to repair
	Grace      time.Duration // how long repair waits for a copy that may still be under way, 300ms
	Poll       time.Duration // pause between two looks at a log that has nothing new, 250ms
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept, but nowhere shown
}

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkNodeName("node", c.Node); err != nil {
		errs = append(errs, err)
	}
	if err := checkNodeName("region", c.Region); err != nil {
		errs = append(errs, err)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		fail("log listen address %q: %w; use host:port", c.Listen, err)
	}
	if c.Dir == "" {
		fail("data directory is empty: name one on a disk that survives a restart")
	}
	if c.Secret == "" {
		fail("cluster secret is empty: give all nodes of the cluster the same one")
	}
	errs = append(errs, checkPeers(c.Peers)...)
	if c.MaxBytes < 0 || c.MaxAge < 0 || c.QueueLen < 0 || c.Grace < 0 || c.Poll < 0 {
		fail("limits and durations may not be negative: max bytes %d, max age %v, queue %d, grace %v, poll %v",
			c.MaxBytes, c.MaxAge, c.QueueLen, c.Grace, c.Poll)
	}
	if c.MaxAge > 0 && c.MaxAge < minAge {
		fail("max age %v: the log keeps events for at least %v, or a late copy of one would be taken for new", c.MaxAge, minAge)
	}
	if c.MaxBytes > 0 && c.MaxBytes < minBytes {
		fail("max bytes %d: the log of a lane has room for at least %d", c.MaxBytes, minBytes)
	}
	return errors.Join(errs...)
}

// The least that a log keeps: what the lanes remember of the ids that they have delivered, and some large messages.
const (
	minAge   = 10 * time.Minute
	minBytes = 16 << 20
)

// withDefaults returns a copy without zero values.
func (c Config) withDefaults() Config {
	c.MaxBytes = orDefault(c.MaxBytes, 1<<30)
	c.MaxAge = orDefault(c.MaxAge, 72*time.Hour)
	c.QueueLen = orDefault(c.QueueLen, 1024)
	c.Grace = orDefault(c.Grace, 300*time.Millisecond)
	c.Poll = orDefault(c.Poll, 250*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
