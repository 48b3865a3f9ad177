package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Reader. Zero values get the default named in the comment.
type Config struct {
	// URL of the database, of its primary, without a pooler in between. The role needs the attribute
	// REPLICATION, and CREATE on the database if the publication is to be created.
	URL string
	// Slot is the replication slot that all nodes share, "wedsync": lower case letters, digits and _,
	// at most 22 bytes.
	Slot string
	// Publication names the tables to follow, "supabase_realtime".
	Publication string

	// Publish is called for each change, in the order of the commits, never twice at a time. It must
	// not wait for long; what it returns waits until the change is held, is called once, and nil if
	// the change is held already. An error of either makes the reader call Publish again with the same change. Both end soon after
	// their context. An error that wraps ErrUnpublishable gives the change up.
	Publish func(ctx context.Context, c *Change) (wait func(context.Context) error, err error)
	// Known tells whether a change is in the own log already. It is asked about changes that another
	// reader may have published before; several at a time.
	Known func(ctx context.Context, id string) (bool, error)

	Window      int           // changes read and not held, 512
	WindowBytes int           // their size, 32 MiB; one change may exceed it alone
	Grace       time.Duration // what is under way gets this long to be held when Run's context ends, 2s
	// ReleaseAfter is the silence after which PostgreSQL takes the slot from a reader whose machine or
	// network died, so that another node can have it, 2s (wal_sender_timeout of our session; a
	// reader whose process died loses it at once). At least 500ms.
	ReleaseAfter time.Duration
	// RetryBusy is the pause between two looks at whether the slot is free, ± a third, 300ms.
	RetryBusy time.Duration
	// RetryProblem is the pause after an error that needs somebody's hand, 5s.
	RetryProblem time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept, but nowhere shown
}

// ErrUnpublishable says, wrapped in an error of Publish, that a change can never be published. It is
// logged, counted and passed over.
var ErrUnpublishable = errors.New("the change cannot be published")

var slotName = regexp.MustCompile(`^[a-z0-9_]+$`)

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.URL == "" {
		fail("database URL is empty: use postgres://user:password@host:5432/database")
	} else if _, err := pgx.ParseConfig(c.URL); err != nil { // its text has no password
		fail("database URL: %w; use postgres://user:password@host:5432/database", err)
	}
	if c.Slot != "" && (!slotName.MatchString(c.Slot) || len(c.Slot) > maxSlot) {
		fail("replication slot %q: use at most %d lower case letters, digits and _", c.Slot, maxSlot)
	}
	if len(c.Publication) > 63 {
		fail("publication %q: at most 63 bytes", c.Publication)
	}
	if c.Publish == nil {
		fail("publish function is missing")
	}
	if c.Known == nil {
		fail("known function is missing")
	}
	if c.Window < 0 || c.WindowBytes < 0 || c.Grace < 0 || c.RetryBusy < 0 || c.RetryProblem < 0 {
		fail("limits and durations may not be negative: window %d, %d bytes, grace %v, retry %v and %v",
			c.Window, c.WindowBytes, c.Grace, c.RetryBusy, c.RetryProblem)
	}
	if c.ReleaseAfter != 0 && c.ReleaseAfter < 500*time.Millisecond {
		fail("slot release after %v: use 500ms or more, or PostgreSQL takes the slot from readers that are well", c.ReleaseAfter)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Slot = orDefault(c.Slot, "wedsync")
	c.Publication = orDefault(c.Publication, "supabase_realtime")
	c.Window = orDefault(c.Window, 512)
	c.WindowBytes = orDefault(c.WindowBytes, 32<<20)
	c.Grace = orDefault(c.Grace, 2*time.Second)
	c.ReleaseAfter = orDefault(c.ReleaseAfter, 2*time.Second)
	c.RetryBusy = orDefault(c.RetryBusy, 300*time.Millisecond)
	c.RetryProblem = orDefault(c.RetryProblem, 5*time.Second)
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
