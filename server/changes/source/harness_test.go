package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// patient bounds every wait of a test.
const patient = 20 * time.Second

// journal stands for the log of a node: it keeps what was published, in order, also what is repeated.
type journal struct {
	mu        sync.Mutex
	published []*Change
	ids       map[string]bool
	asked     int
	// hold, if set, answers instead of "held at once".
	hold func(c *Change) (func(context.Context) error, error)
}

func newJournal() *journal { return &journal{ids: map[string]bool{}} }

func (j *journal) Publish(_ context.Context, c *Change) (func(context.Context) error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	wait := func(context.Context) error { return nil }
	if j.hold != nil {
		var err error
		if wait, err = j.hold(c); err != nil {
			return nil, err
		}
	}
	j.published = append(j.published, c)
	j.ids[c.ID] = true
	return wait, nil
}

func (j *journal) Known(_ context.Context, id string) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked++
	return j.ids[id], nil
}

func (j *journal) all() []*Change {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*Change(nil), j.published...)
}

// forget makes room; the ids stay known.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.published = nil
}

func (j *journal) questions() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.asked
}

// distinct leaves out what was published before.
func distinct(changes []*Change) []*Change {
	seen := map[string]bool{}
	var out []*Change
	for _, c := range changes {
		if !seen[c.ID] {
			seen[c.ID] = true
			out = append(out, c)
		}
	}
	return out
}

// show prints a change such that a person can check it.
func show(c *Change) string {
	row := func(row []Value) string {
		var parts []string
		for i, v := range row {
			text := map[ValueKind]string{Missing: "-", Null: "null", Unchanged: "unchanged", Text: string(v.Text)}[v.Kind]
			parts = append(parts, c.Columns[i].Name+"="+text)
		}
		return strings.Join(parts, " ")
	}
	s := c.Type + " " + c.Table
	if c.Old != nil {
		s += " old(" + row(c.Old) + ")"
	}
	if c.New != nil {
		s += " new(" + row(c.New) + ")"
	}
	return s
}

// within polls until the condition holds.
func within(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patient, what)
		}
	}
}

// database makes a new one on the server with its own slot name.
func database(t testing.TB, s *pgtest.Server, name string) (cfg Config, conn *pgx.Conn) {
	t.Helper()
	sql(t, s.Connect(t, "postgres"), "CREATE DATABASE "+name)
	return Config{URL: s.URL(name), Slot: name, ReleaseAfter: 10 * time.Second, RetryBusy: 30 * time.Millisecond, RetryProblem: 100 * time.Millisecond}, s.Connect(t, name)
}

func sql(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// running is a Reader at work.
type running struct {
	*Reader
	log    *lines
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs a reader until the test ends, or stop is called.
func start(t testing.TB, cfg Config, j *journal) *running {
	t.Helper()
	r := &running{log: &lines{}, done: make(chan struct{})}
	cfg.Publish = j.Publish
	if cfg.Known == nil {
		cfg.Known = j.Known
	}
	cfg.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Reader, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { // ends with stop
		defer close(r.done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

func (r *running) stop() {
	r.cancel()
	<-r.done
}

func (r *running) waitReading(t testing.TB) {
	t.Helper()
	within(t, "the node reads", func() bool { return strings.Contains(r.log.String(), "this node reads") })
}

// lines collects log output.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// confirmed is how much of the WAL the slot has behind it, and end is the WAL's end.
func confirmed(t testing.TB, conn *pgx.Conn, slot string) (confirmed, end uint64) {
	t.Helper()
	err := conn.QueryRow(context.Background(), `SELECT (confirmed_flush_lsn - '0/0')::bigint, (pg_current_wal_lsn() - '0/0')::bigint
		FROM pg_replication_slots WHERE slot_name = $1`, slot).Scan(&confirmed, &end)
	if err != nil {
		t.Fatal(err)
	}
	return confirmed, end
}

var errNotHeld = errors.New("two regions did not answer")

// never waits for a hold that does not come.
func never(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("not held: %w", ctx.Err())
}
