package changes

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// testOrder: a channel is told in the order of the commits, although some changes wait for row level security;
// a channel that these do not concern does not wait.
func testOrder(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "sequence", append(append(append([]string{guests}, owned...),
		`create function slow(text) returns text language plpgsql as $$ begin perform pg_sleep(0.3); return $1; end $$`,
		`create policy slow on todos for select to anon using (slow(state) = 'open')`), readable("todos", "guests")...)...)
	both := s.joined(claims("anon", ""), todos, all)
	other := s.joined(claims("anon", ""), all)
	s.sql(`insert into todos values (1, 'ada', 'open')`, `insert into guests (id) values (1)`, `insert into todos values (2, 'ada', 'closed')`,
		`insert into todos values (3, 'ada', 'open')`, `insert into guests (id) values (2)`)
	within(t, "the guests", func() bool { return other.count() == 2 })
	if both.count() == 4 {
		t.Error("a channel waited for another one's row level security")
	}
	guest := `[2] INSERT guests new{"id":%d,"name":null,"seats":null,"vip":null,"note":null}`
	both.gets(`[1] INSERT todos new{"id":1,"owner":"ada","state":"open"}`, fmt.Sprintf(guest, 1),
		`[1] INSERT todos new{"id":3,"owner":"ada","state":"open"}`, fmt.Sprintf(guest, 2))
}

// testAlteredTable: subscriptions follow a table whose columns change.
func testAlteredTable(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "alter", append([]string{`create table t (id int primary key, n int)`}, readable("t")...)...)
	m := s.joined(claims("anon", ""), `{"event":"INSERT","schema":"public","table":"t","filter":"n=gt.5"}`)
	s.sql(`insert into t values (1, 10)`, `alter table t add column more text`, `insert into t values (2, 10, 'new')`)
	m.gets(`[1] INSERT t new{"id":1,"n":10}`, `[1] INSERT t new{"id":2,"n":10,"more":"new"}`)
	// As texts, 10 is less than 5: the filter has to be read again with the new type.
	s.sql(`alter table t alter n type text`, `insert into t values (3, '10'), (4, '7')`)
	within(t, "the filter being compiled again", func() bool {
		s.sql(`delete from t where id >= 5`, `insert into t values (5, '10'), (6, '7')`)
		m.mu.Lock()
		defer m.mu.Unlock()
		n := len(m.got)
		return n >= 2 && brief(t, m.got[n-1]) == brief(t, m.got[n-2])
	})
	// A column that is gone takes the subscription with it, and that is said.
	s.sql(`alter table t drop column n`, `insert into t values (9, 'x')`)
	m.hears("error: Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: " +
		`[event: INSERT, schema: public, table: t, filters: [{"n", "gt", "5", false}], select: nil]. Exception: ERROR P0001 (raise_exception) invalid column for filter n`)
}

// testReclaim: other claims take over without a gap, and closing ends it.
func testReclaim(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "claims", append(owned, readable("todos")...)...)
	m := s.joined(claims("authenticated", "ada"), todos)
	s.sql(`insert into todos values (1, 'ada', ''), (2, 'ben', '')`)
	m.gets(`[1] INSERT todos new{"id":1,"owner":"ada","state":""}`)
	m.sub.Reclaim(claims("authenticated", "ben"))
	m.hears(subscribed)
	s.sql(`insert into todos values (3, 'ada', ''), (4, 'ben', '')`)
	m.gets(`[1] INSERT todos new{"id":4,"owner":"ben","state":""}`)
	m.sub.Reclaim(claims("nobody", ""))
	m.hears(`error: Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: ` +
		`[event: *, schema: public, table: todos, filters: [], select: nil]. Exception: ERROR 42704 (undefined_object) role "nobody" does not exist`)
	m.sub.Reclaim(claims("service_role", ""))
	m.hears(subscribed)
	witness := s.joined(claims("service_role", ""), todos)
	m.sub.Close()
	m.sub.Close()
	s.sql(`insert into todos values (5, 'ada', '')`)
	within(t, "the witness", func() bool { return witness.count() == 1 })
	if m.count() != 0 || m.lost != 0 {
		t.Errorf("%d changes, lost %d times after the end", m.count(), m.lost)
	}
	if got := testutil.ToFloat64(s.feed.m.subscriptions); got != 1 {
		t.Errorf("%v subscriptions", got)
	}
	if n := len(s.feed.bearers.byName); n != 1 {
		t.Errorf("%d bearers are remembered", n)
	}
}

func testReplay(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "replay", append(append(owned, guests), readable("todos", "guests")...)...)
	before := s.joined(claims("service_role", ""), `{"event":"*","schema":"*","table":"*"}`)
	s.sql(`insert into todos values (1, 'ada', '')`, `insert into guests (id) values (1)`, `insert into todos values (2, 'ben', '')`, `update guests set seats = 7`)
	within(t, "the past", func() bool { return before.count() == 4 })
	m := s.join(s.feed, claims("authenticated", "ada"), todos, `{"event":"*","schema":"public","table":"guests","filter":"seats=eq.7"}`)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	var past []*backbone.Event
	for _, ev := range s.log.all() {
		again := *ev
		again.Replayed = true
		past = append(past, &again)
	}
	if err := s.feed.Replay(ctx, m.sub, past); err != nil {
		t.Fatal(err)
	}
	if m.count() != 2 {
		t.Fatalf("%q", m.got)
	}
	want := fmt.Sprintf(`"meta":{"id":%q,"hlc":"%d","replayed":true}}`, past[0].ID, past[0].HLC)
	if got := m.got[0]; got[len(got)-len(want):] != want {
		t.Errorf("%s ends otherwise than with %s", got, want)
	}
	m.gets(`[1] INSERT todos new{"id":1,"owner":"ada","state":""}`, `[2] UPDATE guests new{"id":1,"name":null,"seats":7,"vip":null,"note":null} old{"id":1}`)
	m.hears(subscribed)
}

// testLate: a change that comes late, after its region was away, is not told to those who subscribed after it
// was committed, unless they resume.
func testLate(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "late", append([]string{guests}, readable("guests")...)...)
	before := s.joined(claims("anon", ""), all)
	s.sql(`insert into guests (id) values (1)`)
	within(t, "a change", func() bool { return before.count() == 1 })
	after := s.joined(claims("anon", ""), all)
	resumed := make(chan struct{})
	resumes := s.feed.Subscribe(Subscriber{Entries: after.sub.Entries, Claims: claims("anon", ""), Resumes: true, Lost: func() {},
		Status: func(string, string) { resumed <- struct{}{} }, Deliver: func([]byte, *backbone.Event) { resumed <- struct{}{} }})
	defer resumes.Close()
	<-resumed
	s.feed.Deliver(s.log.all()[0])
	<-resumed
	within(t, "the late change", func() bool { return before.count() == 2 })
	s.sql(`insert into guests (id) values (2)`)
	<-resumed
	within(t, "the next change", func() bool { return before.count() == 3 && after.count() == 1 })
}

// testOverflow: a feed that falls behind ends its subscriptions, and delivers nothing beyond the gap.
func testOverflow(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "overflow", append([]string{guests}, readable("guests")...)...)
	m := s.joined(claims("anon", ""), all)
	s.sql(`insert into guests (id) values (1)`)
	within(t, "a change", func() bool { return m.count() == 1 })
	ev := s.log.all()[0]
	block, blocked := make(chan struct{}), make(chan struct{})
	stuck := s.feed.Subscribe(Subscriber{Entries: m.sub.Entries, Claims: claims("anon", ""), Resumes: true, Status: func(string, string) { close(blocked) },
		Deliver: func([]byte, *backbone.Event) { <-block }, Lost: func() {}})
	defer stuck.Close()
	<-blocked
	for range s.feed.cfg.QueueLen + 10 {
		s.feed.Deliver(ev)
	}
	before := m.count()
	close(block)
	within(t, "the loss", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.lost == 1 })
	if got := m.count(); got > before+2 {
		t.Errorf("%d changes were delivered beyond the gap", got-before)
	}
	if got := testutil.ToFloat64(s.feed.m.lost); got != 2 {
		t.Errorf("%v lost, want 2", got)
	}
	again := s.joined(claims("anon", ""), all)
	s.sql(`insert into guests (id) values (2)`)
	within(t, "a change after the loss", func() bool { return again.count() > 0 && testutil.ToFloat64(s.feed.m.subscriptions) == 1 })
}

// testSlotInTheMaking: PostgreSQL shows a slot before it is ready. What is committed until then is not in it, so
// that nobody may be told that he is subscribed.
func testSlotInTheMaking(t *testing.T, server *pgtest.Server) {
	s := newDatabase(t, server, "making", append([]string{guests}, readable("guests")...)...)
	open, err := server.Connect(t, "postgres").Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Exec(t.Context(), `select pg_current_xact_id()`); err != nil { // the slot waits for its end
		t.Fatal(err)
	}
	s.feed = s.start()
	within(t, "the slot", func() bool { return s.holds("confirmed_flush_lsn is null") })
	m := s.join(s.feed, claims("anon", ""), all)
	if _, err := s.feed.catalog.listed(t.Context(), time.Now()); !errors.Is(err, errNotReading) {
		t.Errorf("subscribing while the slot is being made: %v", err)
	}
	s.sql(`insert into guests (id) values (1)`)
	m.mu.Lock()
	said := len(m.said)
	m.mu.Unlock()
	if said > 0 {
		t.Fatal("told something while the slot is being made")
	}
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.hears(subscribed)
	s.sql(`insert into guests (id) values (2)`)
	m.gets(`[1] INSERT guests new{"id":2,"name":null,"seats":null,"vip":null,"note":null}`)
}

// TestDatabaseRestart: what was committed before and after the database died is told, once, also where row
// level security has to be asked.
func TestDatabaseRestart(t *testing.T) {
	server := pgtest.Start(t)
	s := newScene(t, server, "restart", append(append(owned, guests), readable("todos", "guests")...)...)
	m := s.joined(claims("authenticated", "ada"), todos, all)
	var want []string
	insert := func(i int) {
		s.sql(fmt.Sprintf(`insert into todos values (%d, 'ada', '')`, i), fmt.Sprintf(`insert into guests (id) values (%d)`, i))
		want = append(want, fmt.Sprintf(`[1] INSERT todos new{"id":%d,"owner":"ada","state":""}`, i),
			fmt.Sprintf(`[2] INSERT guests new{"id":%d,"name":null,"seats":null,"vip":null,"note":null}`, i))
	}
	for i := range 20 {
		insert(i)
	}
	server.Kill(t)
	waiting := s.join(s.feed, claims("anon", ""), all) // is told when the database is back
	server.Up(t)
	s.conn = server.Connect(t, s.name)
	for i := 20; i < 40; i++ {
		insert(i)
	}
	m.gets(want...)
	if m.lost != 0 {
		t.Error("a subscription was lost")
	}
	within(t, "the late one's ok", func() bool {
		waiting.mu.Lock()
		defer waiting.mu.Unlock()
		n := len(waiting.said)
		return n > 0 && waiting.said[n-1] == subscribed
	})
}

// TestRightsUnknown: when the database does not say for too long who may see a row, nobody is shown it, and those
// concerned are told of the gap; whoever is not concerned stays.
func TestRightsUnknown(t *testing.T) {
	server := pgtest.Start(t)
	s := newScene(t, server, "unknown", append(append(owned, guests), readable("todos", "guests")...)...)
	// What is known of tables does not grow old here, so that only row level security has to be asked.
	f := s.start(func(c *Config) { c.Patience, c.RightsAge = 300*time.Millisecond, time.Hour })
	member := s.join(f, claims("authenticated", "ada"), todos)
	free := s.join(f, claims("authenticated", "ada"), all)
	member.hears(subscribed)
	free.hears(subscribed)
	s.sql(`insert into todos values (1, 'ada', '')`, `insert into guests (id) values (1)`)
	within(t, "a change each", func() bool { return member.count() == 1 && free.count() == 1 })
	server.Kill(t)
	for _, ev := range s.log.all() {
		again := *ev
		f.Deliver(&again)
	}
	within(t, "the loss", func() bool { member.mu.Lock(); defer member.mu.Unlock(); return member.lost == 1 })
	within(t, "the other's change", func() bool { return free.count() == 2 })
	if member.count() != 1 || free.lost != 0 {
		t.Errorf("shown %d changes, the other one was lost %d times", member.count(), free.lost)
	}
	if got := testutil.ToFloat64(f.m.checks.WithLabelValues(checkUnknown)); got != 1 {
		t.Errorf("%v unknown", got)
	}
}

// TestTooMuchToAsk: where changes come faster than row level security answers, those that wait for it are lost.
func TestTooMuchToAsk(t *testing.T) {
	w, delivered := benchWorker(t, 2, func(i int) Entry { return Entry{Event: wildcard, Schema: "public", Table: "guests"} })
	lost := 0
	waiting := w.feed.index.subscriptions(nil)[0]
	waiting.ready, waiting.Lost = make(chan struct{}), func() { lost++ }
	waiting.watches = []*watch{}
	for x := range w.feed.index.tables[key{"public", "guests"}].all {
		if x.sub == waiting {
			waiting.watches = append(waiting.watches, x)
		}
	}
	waiting.pending = []delivery{{asked: &question{}}}
	w.pending = 1
	w.giveUp()
	w.handle(t.Context(), benchEvent(t))
	if lost != 1 || *delivered != 1 || w.pending != 0 {
		t.Errorf("lost %d, delivered %d, %d pending; want 1, 1 (the other one's), 0", lost, *delivered, w.pending)
	}
}

// TestReaderDies: two nodes, one database. Whichever of them reads, the members of both are told everything
// once.
func TestReaderDies(t *testing.T) {
	server := pgtest.Start(t)
	s := newScene(t, server, "readers", append([]string{guests}, readable("guests")...)...)
	first := s.feed
	second := s.start()
	m := s.join(second, claims("anon", ""), all)
	m.hears(subscribed)
	here := s.joined(claims("anon", ""), all)
	stop, done := make(chan struct{}), make(chan int)
	writer := server.Connect(t, s.name)
	go func() { // ends with stop
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			case <-pace.C:
			}
			if _, err := writer.Exec(context.Background(), fmt.Sprintf(`insert into guests (id) values (%d)`, n)); err != nil {
				t.Error(err)
			}
		}
	}()
	within(t, "changes", func() bool { return m.count() > 50 })
	s.close(first)
	atClose := m.count()
	within(t, "changes after the reader's death", func() bool { return m.count() > atClose+50 })
	third := s.start()
	late := s.join(third, claims("anon", ""), all)
	late.hears(subscribed)
	s.kill(second, m)
	within(t, "changes of the third reader", func() bool { return late.count() > 100 })
	close(stop)
	n := <-done
	within(t, "the last change", func() bool { return late.last() == n-1 })
	// Each is told a run without holes or repetitions; the late one from its ok on.
	for name, who := range map[string]*member{"first": here, "second": m, "third": late} {
		ids := who.ids()
		for i := 1; i < len(ids); i++ {
			if ids[i] != ids[i-1]+1 {
				t.Fatalf("%s: %d comes after %d", name, ids[i], ids[i-1])
			}
		}
		t.Logf("%s: %d to %d of %d", name, ids[0], ids[len(ids)-1], n)
	}
	if ids := m.ids(); ids[0] != 0 {
		t.Errorf("the second began with %d", ids[0])
	}
	if s.log.repeated > 0 {
		t.Logf("%d changes were read twice", s.log.repeated)
	}
}

// kill cuts the reader of a feed off from the slot in the middle of its work.
func (s *scene) kill(f *Feed, m *member) {
	s.Helper()
	before := m.count()
	within(s, "the reader's end", func() bool {
		s.sql(`select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null`)
		return m.count() > before
	})
	s.close(f)
}

func (m *member) ids() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []int
	for _, p := range m.got {
		ids = append(ids, recordID(m.s, p))
	}
	return ids
}

func (m *member) last() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.got) == 0 {
		return -1
	}
	return recordID(m.s, m.got[len(m.got)-1])
}

func TestUnreachableDatabase(t *testing.T) {
	f, err := Start(t.Context(), Config{URL: "postgres://postgres@127.0.0.1:1/none", Publish: newJournal().publish, Known: newJournal().known})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	sub := f.Subscribe(Subscriber{Entries: []Entry{{Event: "*", Schema: "public", Table: "guests"}}, Claims: claims("anon", ""),
		Status: func(status, message string) { said <- status + ": " + message }})
	if got, want := <-said, "error: "+TextUnreachable; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := f.Replay(ctx, sub, nil); err == nil {
		t.Error("a replay to a subscription that is not made yet succeeded")
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	sub.Close()
	f.Subscribe(Subscriber{Claims: claims("anon", "")}).Close() // nothing happens any more
}
