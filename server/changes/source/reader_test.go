package source

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

const guests = `CREATE TABLE guests (id int4 PRIMARY KEY, n int4)`

func TestPublicationAndSlotAreCreated(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "fresh")
	sql(t, db, guests)
	j := newJournal()
	r := start(t, cfg, j)
	r.waitReading(t)
	var all bool
	if err := db.QueryRow(context.Background(), `SELECT puballtables FROM pg_publication WHERE pubname = 'supabase_realtime'`).Scan(&all); err != nil || all {
		t.Fatalf("publication: all tables %v, error %v", all, err)
	}
	for _, want := range []string{"publication created", "replication slot created"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	sql(t, db, `INSERT INTO guests VALUES (1, 1)`, `ALTER PUBLICATION supabase_realtime ADD TABLE guests`, `INSERT INTO guests VALUES (2, 1)`)
	within(t, "the change has come", func() bool { return len(j.all()) > 0 })
	c := j.all()[0]
	if show(c) != "INSERT guests new(id=2 n=1)" || c.Schema != "public" || c.LSN == 0 || time.Since(c.CommitTime).Abs() > patient {
		t.Errorf("%s: %+v", show(c), c)
	}
	if !regexp.MustCompile(`^pg/fresh/[0-9a-f]+-[0-9a-z]+/0$`).MatchString(c.ID) {
		t.Errorf("id %s", c.ID)
	}
	if got := testutil.ToFloat64(r.m.reading); got != 1 {
		t.Errorf("reader gauge %v", got)
	}
	r.stop()
	if got := testutil.ToFloat64(r.m.reading); got != 0 {
		t.Errorf("reader gauge after the end %v", got)
	}
}

func TestIdleDatabaseKeepsNoWAL(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "idle")
	r := start(t, cfg, newJournal())
	r.waitReading(t)
	sql(t, db, guests, `INSERT INTO guests SELECT i, i FROM generate_series(1, 1000) i`) // nobody publishes it
	_, end := confirmed(t, db, cfg.Slot)
	within(t, "the slot moves on", func() bool { c, _ := confirmed(t, db, cfg.Slot); return c >= end })
}

func TestOnlyWhatIsHeldIsConfirmed(t *testing.T) {
	cfg, db := database(t, pgtest.Start(t), "held")
	cfg.Window, cfg.ReleaseAfter = 16, time.Second
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	held := make(chan struct{})
	j.hold = func(c *Change) (func(context.Context) error, error) {
		if string(c.New[0].Text) != "5" {
			return nil, nil
		}
		return func(ctx context.Context) error {
			select {
			case <-held:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, nil
	}
	r := start(t, cfg, j)
	r.waitReading(t)
	for i := range 60 {
		sql(t, db, fmt.Sprintf(`INSERT INTO guests VALUES (%d, 0)`, i))
	}
	_, end := confirmed(t, db, cfg.Slot)
	within(t, "the window is full", func() bool { return len(j.all()) == 5+cfg.Window })
	// Longer than PostgreSQL waits for a reader that says nothing.
	quiet := time.Now()
	within(t, "the lag is seen", func() bool {
		return time.Since(quiet) > 2*cfg.ReleaseAfter+cfg.ReleaseAfter/2 && testutil.ToFloat64(r.m.lag) > 1
	})
	if got := len(j.all()); got != 5+cfg.Window {
		t.Errorf("%d changes published with a window of %d", got, cfg.Window)
	}
	if got := testutil.ToFloat64(r.m.reconnects); got != 0 {
		t.Errorf("%v reconnects", got)
	}
	if c, _ := confirmed(t, db, cfg.Slot); c >= j.all()[5].LSN || c <= j.all()[3].LSN {
		t.Errorf("%x is confirmed; the change not held committed at %x, the one two before at %x", c, j.all()[5].LSN, j.all()[3].LSN)
	}
	close(held)
	within(t, "all is confirmed", func() bool { c, _ := confirmed(t, db, cfg.Slot); return c >= end })
	if got := len(j.all()); got != 60 {
		t.Errorf("%d changes published", got)
	}
}

func TestFailuresOfThePublisher(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "failures")
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	tries := map[string]int{}
	j.hold = func(c *Change) (func(context.Context) error, error) { // called with the journal's lock
		id := string(c.New[0].Text)
		tries[id]++
		switch {
		case id == "2" && tries[id] <= 2: // refused for a while: what follows must wait
			return nil, errNotHeld
		case id == "4" && tries[id] <= 2: // published, not held for a while
			return func(context.Context) error { return errNotHeld }, nil
		case id == "6":
			return nil, fmt.Errorf("too large: %w", ErrUnpublishable)
		case id == "8" && tries[id] == 1:
			return func(context.Context) error { return errNotHeld }, nil
		case id == "8":
			return nil, ErrUnpublishable
		}
		return nil, nil
	}
	r := start(t, cfg, j)
	r.waitReading(t)
	for i := range 10 {
		sql(t, db, fmt.Sprintf(`INSERT INTO guests VALUES (%d, 0)`, i))
	}
	_, end := confirmed(t, db, cfg.Slot)
	within(t, "all is confirmed", func() bool { c, _ := confirmed(t, db, cfg.Slot); return c >= end })
	var order []string
	for _, c := range distinct(j.all()) {
		order = append(order, string(c.New[0].Text))
	}
	if got := strings.Join(order, " "); got != "0 1 2 3 4 5 7 8 9" {
		t.Errorf("published in the order %s", got)
	}
	if got := testutil.ToFloat64(r.m.refused); got != 2 {
		t.Errorf("%v refused", got)
	}
	if got := len(j.all()); got != 9+2 {
		t.Errorf("%d publications, want two repeated", got)
	}
	if !strings.Contains(r.log.String(), "changes are held again") {
		t.Error("the log does not say that the trouble is over")
	}
}

func TestShutdownWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "shutdown")
	cfg.Grace = patient
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	held := make(chan struct{})
	j.hold = func(*Change) (func(context.Context) error, error) {
		return func(context.Context) error { <-held; return nil }, nil
	}
	r := start(t, cfg, j)
	r.waitReading(t)
	sql(t, db, `INSERT INTO guests VALUES (1, 0)`)
	_, end := confirmed(t, db, cfg.Slot)
	within(t, "it is published", func() bool { return len(j.all()) == 1 })
	r.cancel()
	time.AfterFunc(100*time.Millisecond, func() { close(held) })
	r.stop()
	if c, _ := confirmed(t, db, cfg.Slot); c < end {
		t.Errorf("confirmed %x of %x", c, end)
	}
}

func TestKnownChangesArePassedOverWhileItCanMatter(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "known")
	cfg.Grace = time.Millisecond
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	j.hold = func(*Change) (func(context.Context) error, error) { return never, nil } // published, never confirmed
	a := start(t, cfg, j)
	a.waitReading(t)
	sql(t, db, `INSERT INTO guests SELECT i, 0 FROM generate_series(1, 100) i`)
	within(t, "all are published", func() bool { return len(j.all()) == 100 })
	if got := j.questions(); got != 0 {
		t.Errorf("%d questions about changes that nobody can have published before", got)
	}
	a.stop()
	sql(t, db, `INSERT INTO guests VALUES (101, 0)`) // nobody has published this one; it is asked about all the same
	j.mu.Lock()
	j.hold = nil
	j.mu.Unlock()
	var failures atomic.Int32
	cfg.Known = func(ctx context.Context, id string) (bool, error) {
		if failures.Add(1) <= 3 {
			return false, errors.New("the log is starting")
		}
		return j.Known(ctx, id)
	}
	b := start(t, cfg, j)
	b.waitReading(t)
	within(t, "the change in between has come", func() bool { return len(j.all()) == 101 })
	if got := j.questions(); got != 101 {
		t.Errorf("%d questions, want 101", got)
	}
	sql(t, db, `INSERT INTO guests VALUES (102, 0)`)
	within(t, "the last change has come", func() bool { return len(j.all()) == 102 })
	if got := j.questions(); got != 101 {
		t.Errorf("%d questions after a change that cannot be known", got)
	}
	if got := testutil.ToFloat64(b.m.known); got != 100 {
		t.Errorf("%v changes were known", got)
	}
}

func TestDatabaseRestartsInTheMiddle(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	cfg, db := database(t, server, "restart")
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	r := start(t, cfg, j)
	r.waitReading(t)
	for i := range 3 {
		for n := range 20 {
			sql(t, db, fmt.Sprintf(`INSERT INTO guests VALUES (%d, 0)`, 20*i+n))
		}
		server.Kill(t)
		server.Up(t)
		db = server.Connect(t, cfg.Slot)
	}
	sql(t, db, `INSERT INTO guests VALUES (60, 0)`)
	within(t, "all have come", func() bool { return len(distinct(j.all())) == 61 })
	for i, c := range distinct(j.all()) {
		if got := string(c.New[0].Text); got != fmt.Sprint(i) {
			t.Fatalf("change %d is of row %s", i, got)
		}
	}
	if got := testutil.ToFloat64(r.m.reconnects); got < 1 {
		t.Error("no reconnect was counted")
	}
}

func TestLargeTransaction(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "large")
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	start(t, cfg, j).waitReading(t)
	begin := time.Now()
	sql(t, db, `INSERT INTO guests SELECT i, 0 FROM generate_series(0, 19999) i`)
	committed := time.Now()
	_, end := confirmed(t, db, cfg.Slot)
	within(t, "all is published", func() bool { j.mu.Lock(); defer j.mu.Unlock(); return len(j.published) >= 20_000 })
	t.Logf("20,000 rows: inserted in %v, published %v later", committed.Sub(begin).Round(time.Millisecond), time.Since(committed).Round(time.Millisecond))
	within(t, "it is confirmed", func() bool { c, _ := confirmed(t, db, cfg.Slot); return c >= end })
	all := j.all()
	if len(all) != 20_000 || len(distinct(all)) != 20_000 {
		t.Fatalf("%d changes, %d ids", len(all), len(distinct(all)))
	}
	for i, c := range all {
		if string(c.New[0].Text) != fmt.Sprint(i) || c.LSN != all[0].LSN {
			t.Fatalf("change %d is %s, id %s", i, show(c), c.ID)
		}
	}
}

// TestMissingPublication shows the trap: the slot is at changes made while there was no publication.
func TestMissingPublication(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "trap")
	sql(t, db, guests, `SELECT pg_create_logical_replication_slot('trap', 'pgoutput')`, `INSERT INTO guests VALUES (1, 0)`)
	j := newJournal()
	r := start(t, cfg, j)
	within(t, "the log says what to do", func() bool {
		return strings.Contains(r.log.String(), `publication \"supabase_realtime\" does not exist`) && strings.Contains(r.log.String(), "pg_replication_slot_advance('trap'")
	})
	// What the message says. It needs a moment in which the slot is not being tried.
	within(t, "the slot is advanced", func() bool {
		_, err := db.Exec(context.Background(), `SELECT pg_replication_slot_advance('trap', pg_current_wal_lsn())`)
		return err == nil
	})
	sql(t, db, `ALTER PUBLICATION supabase_realtime ADD TABLE guests`, `INSERT INTO guests VALUES (2, 0)`)
	within(t, "the change after it has come", func() bool { return len(j.all()) == 1 })
}

func TestDroppedSlotIsCreatedAgain(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "dropped")
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	j := newJournal()
	r := start(t, cfg, j)
	r.waitReading(t)
	sql(t, db, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'dropped'`)
	within(t, "the slot is dropped", func() bool {
		_, err := db.Exec(context.Background(), `SELECT pg_drop_replication_slot('dropped')`)
		return err == nil
	})
	for i := 0; len(j.all()) == 0; i++ { // until there is a slot again, nothing is followed
		sql(t, db, fmt.Sprintf(`INSERT INTO guests VALUES (%d, 0)`, i))
		if i > 2000 {
			t.Fatal("no change comes")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(r.log.String(), "the replication slot is gone") {
		t.Error("the log does not say that changes are lost")
	}
}

func TestRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	cfg, db := database(t, server, "rights")
	sql(t, db, `CREATE ROLE reader LOGIN`)
	plain, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg.URL = fmt.Sprintf("postgres://reader@127.0.0.1:%d/rights", plain.Port)
	r := start(t, cfg, newJournal())
	says := func(text string) func() bool { return func() bool { return strings.Contains(r.log.String(), text) } }
	within(t, "the right to create the publication is asked for", says("GRANT CREATE ON DATABASE"))
	sql(t, db, `CREATE PUBLICATION supabase_realtime`)
	within(t, "the right to replicate is asked for", says("creating replication slot rights: ERROR"))
	sql(t, db, `ALTER ROLE reader REPLICATION`)
	r.waitReading(t)
}
