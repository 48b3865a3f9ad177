package changes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connectTime bounds one attempt to connect.
const connectTime = 5 * time.Second

// database is a few connections that are opened when they are needed.
type database struct {
	config *pgx.ConnConfig
	places chan struct{} // one element per connection in use

	mu     sync.Mutex // guards the following
	idle   []*pgx.Conn
	closed bool
}

func openDatabase(url string, connections int) (*database, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be used: %w", err)
	}
	config.ConnectTimeout = connectTime
	// Nothing is prepared, so that a table may change its shape, and a pooler may stand in between.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	for name, value := range map[string]string{
		"application_name": "wedsync changes",
		// Values are compared as texts with those of the log: both are written the same way.
		"datestyle": "ISO", "timezone": "UTC", "intervalstyle": "postgres", "bytea_output": "hex", "extra_float_digits": "1",
	} {
		config.RuntimeParams[name] = value
	}
	return &database{config: config, places: make(chan struct{}, connections)}, nil
}

var errDatabaseClosed = errors.New("the feed is closed")

// do runs f with a connection, waiting for one if all are in use. f only reads, so that it runs again if the
// connection turns out to have died while it was idle.
func (d *database) do(ctx context.Context, f func(ctx context.Context, conn *pgx.Conn) error) error {
	select {
	case d.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.places }()
	for {
		conn, used, err := d.take(ctx)
		if err != nil {
			return err
		}
		err = f(ctx, conn)
		died := conn.IsClosed()
		d.give(conn) // it is somebody else's from here on
		if err == nil || !used || !died || ctx.Err() != nil {
			return err
		}
	}
}

func (d *database) take(ctx context.Context) (conn *pgx.Conn, used bool, err error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, false, errDatabaseClosed
	}
	if n := len(d.idle); n > 0 {
		conn = d.idle[n-1]
		d.idle = d.idle[:n-1]
	}
	d.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	if conn, err = pgx.ConnectConfig(ctx, d.config); err != nil {
		return nil, false, fmt.Errorf("connecting to the database: %w", err)
	}
	return conn, false, nil
}

func (d *database) give(conn *pgx.Conn) {
	if conn.IsClosed() {
		return
	}
	d.mu.Lock()
	closed := d.closed
	if !closed {
		d.idle = append(d.idle, conn)
	}
	d.mu.Unlock()
	if closed {
		closeConn(conn)
	}
}

// close closes what is idle; what is in use is closed when it is given back.
func (d *database) close() {
	d.mu.Lock()
	idle := d.idle
	d.idle, d.closed = nil, true
	d.mu.Unlock()
	for _, conn := range idle {
		closeConn(conn)
	}
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with it
}

// passing says whether an error is about the state of the database rather than about the question, so that
// the same question may have an answer later.
func passing(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true // no answer at all
	}
	switch class := pg.Code[:min(2, len(pg.Code))]; class {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, operator, system
		return true
	case "55":
		return pg.Code != "55000" // in use, not available
	}
	return false
}
