package changes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/server/backbone"
)

// What is read. The publication is the one of a Supabase database.
const (
	DefaultSlot        = "wedsync"
	DefaultPublication = "supabase_realtime" // the tables that can be subscribed to
)

// Config of a Feed. Zero values get the default named in the comment.
type Config struct {
	// URL of the database (postgres://…). Its user must be allowed to replicate and to act as every role that
	// tokens name; a superuser is.
	URL         string
	Slot        string // replication slot, shared by all nodes: DefaultSlot
	Publication string // DefaultPublication

	// Publish puts a change into the log, in order; wait returns once two regions hold it.
	Publish func(ctx context.Context, ev *backbone.Event) (wait func(context.Context) error, err error)
	// Known says whether the own log has the change with this id already.
	Known func(ctx context.Context, id string) (bool, error)
	// CaughtUp says whether this node hears of everything that others read. Until then nobody can subscribe,
	// because what comes late comes out of order. nil: always.
	CaughtUp func() bool
	// Broadcast publishes a row of realtime.messages; nil: they are not read.
	Broadcast func(ctx context.Context, m Message) (wait func(context.Context) error, err error)

	QueueLen    int           // changes that may wait for the worker, 16384
	Connections int           // to the database, beside the one that reads changes, 4; at least 2
	RightsAge   time.Duration // how old what is known about tables and rights may be, 2s
	// Patience is how long a change may wait for the database to say who may see it, 15s. After that the
	// subscribers in question are told that they have lost something.
	Patience time.Duration

	Logger     *slog.Logger          // slog.Default()
	Registerer prometheus.Registerer // nil: metrics are kept, but not shown
}

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	if c.URL == "" {
		errs = append(errs, errors.New("the database URL is missing"))
	} else if _, err := pgx.ParseConfig(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("the database URL cannot be used: %w", err))
	}
	if c.Publish == nil {
		errs = append(errs, errors.New("publish function is missing"))
	}
	if c.Known == nil {
		errs = append(errs, errors.New("known function is missing"))
	}
	if c.QueueLen < 0 || c.RightsAge < 0 || c.Patience < 0 {
		errs = append(errs, fmt.Errorf("queue length %d, age of rights %v and patience %v may not be negative", c.QueueLen, c.RightsAge, c.Patience))
	}
	if c.Connections < 0 || c.Connections == 1 {
		errs = append(errs, fmt.Errorf("%d database connections are too few: use at least 2", c.Connections))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.CaughtUp == nil {
		c.CaughtUp = func() bool { return true }
	}
	if c.Slot == "" {
		c.Slot = DefaultSlot
	}
	if c.Publication == "" {
		c.Publication = DefaultPublication
	}
	if c.QueueLen == 0 {
		c.QueueLen = 1 << 14
	}
	if c.Connections == 0 {
		c.Connections = 4
	}
	if c.RightsAge == 0 {
		c.RightsAge = 2 * time.Second
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	return c
}
