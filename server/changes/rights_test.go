package changes

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

func testColumnRights(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "columns", with(guests, `alter table guests replica identity full`, `grant select (id, seats) on guests to anon`,
		`grant select on guests to authenticated`, `alter publication supabase_realtime add table guests`)...)
	some, whole := s.joined(claims("anon", ""), all), s.joined(claims("authenticated", ""), all)
	s.sql(`insert into guests values (1, 'Ada', 2)`, `update guests set name = 'Ben'`, `delete from guests`)
	some.gets(`[1] INSERT guests new{"id":1,"seats":2}`, `[1] UPDATE guests new{"id":1,"seats":2} old{"id":1,"seats":2}`, `[1] DELETE guests old{"id":1,"seats":2}`)
	within(t, "three changes", func() bool { return whole.count() == 3 })
	if !strings.Contains(whole.got[0], `"name":"Ada"`) || strings.Contains(some.feedColumns(), "name\":\"name\"") {
		t.Errorf("%v", whole.got)
	}
}

// feedColumns is what the member's role is told that it may read.
func (m *member) feedColumns() string { return strings.Join(m.got, "\n") }

func testKeyErrors(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "keys", append([]string{`create table keyless (n int)`, `alter table keyless replica identity full`,
		`create table closed (id int primary key, n int)`, `grant select (n) on closed to anon`, `alter publication supabase_realtime add table closed`,
		`create table shut (id int primary key)`, `alter publication supabase_realtime add table shut`}, readable("keyless")...)...)
	m := s.joined(claims("anon", ""), `{"event":"*","schema":"public","table":"*"}`, `{"event":"INSERT","schema":"public","table":"closed","filter":"n=eq.77"}`)
	s.sql(`insert into keyless values (1)`, `update keyless set n = 2`, `delete from keyless`,
		`insert into closed values (1, 2)`, `update closed set n = 3`, `insert into shut values (1)`, `delete from shut`, `insert into keyless values (9)`)
	m.gets(
		`[1] INSERT keyless new{} Error 400: Bad Request, no primary key`,
		`[1] UPDATE keyless new{} old{} Error 400: Bad Request, no primary key`,
		`[1] DELETE keyless old{"n":2}`,
		`[1 2] INSERT closed new{} Error 401: Unauthorized`,
		`[1] UPDATE closed new{} old{} Error 401: Unauthorized`,
		`[1] INSERT shut new{} Error 401: Unauthorized`,
		`[1] INSERT keyless new{} Error 400: Bad Request, no primary key`,
	)
	s.sql(`insert into keyless values (1)`)
	within(t, "a change", func() bool { return m.count() == 1 })
	want := `{"schema":"public","table":"keyless","type":"INSERT","commit_timestamp":null,"columns":[],"record":{},"errors":["Error 400: Bad Request, no primary key"]}`
	if !strings.Contains(m.got[0], want) {
		t.Errorf("\n got %s\nwant %s", m.got[0], want)
	}
}

// owned is a table whose rows are visible to their owners.
var owned = []string{`create table todos (id int primary key, owner text, state text)`, `alter table todos enable row level security`,
	`create policy own on todos for select to authenticated using (owner = current_setting('request.jwt.claims')::json ->> 'sub')`}

const todos = `{"event":"*","schema":"public","table":"todos"}`

// testInvisibleTransaction asks about rows of a transaction that others cannot see yet: what they see is the
// state before, of which nothing follows, neither that a row is hidden nor that it may be told.
func testInvisibleTransaction(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "invisible", append(owned, append(readable("todos"), `insert into todos values (7, 'ben', '')`)...)...)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var xid uint32
	row := tx.QueryRow(ctx, `with moved as (update todos set owner = 'ada' where id = 7), made as (insert into todos values (8, 'ada', ''))
		select pg_current_xact_id()::xid::text::int8`)
	if err := row.Scan(&xid); err != nil {
		t.Fatal(err)
	}
	table, err := s.feed.catalog.table(ctx, key{"public", "todos"}, time.Now(), "authenticated")
	if err != nil {
		t.Fatal(err)
	}
	answers := func() string {
		var questions []*question
		for _, sub := range []string{"ada", "ben"} {
			for _, id := range []string{"7", "8"} {
				r, err := decode(fmt.Appendf(nil, `{"schema":"public","table":"todos","xid":%d,"columns":[{"n":"id","t":"int4"}],"new":{"kinds":"t","texts":[%q]}}`, xid, id))
				if err != nil {
					t.Fatal(err)
				}
				questions = append(questions, newQuestion(s.feed.bearers.hold(claims("authenticated", sub)), r, table))
			}
		}
		if err := s.feed.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error { return s.feed.askOnce(ctx, conn.PgConn(), questions) }); err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, q := range questions {
			all += fmt.Sprint(q.reply, " ")
		}
		return all
	}
	if got, want := answers(), fmt.Sprint(undecided, " ", undecided, " ", undecided, " ", undecided, " "); got != want {
		t.Errorf("before others see the transaction: %s", got)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := answers(), fmt.Sprint(visible, " ", visible, " ", hidden, " ", hidden, " "); got != want {
		t.Errorf("after that: %s, want %s", got, want)
	}
	// A record of before there was a transaction in it, and one of the last 4 billion transactions.
	for _, xid = range []uint32{0, 3} {
		if got, want := answers(), fmt.Sprint(visible, " ", visible, " ", hidden, " ", hidden, " "); got != want {
			t.Errorf("xid %d: %s, want %s", xid, got, want)
		}
	}
}

func testRowSecurity(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "rls", append(append(owned, `alter table todos replica identity full`), readable("todos")...)...)
	ada, again, ben := s.joined(claims("authenticated", "ada"), todos), s.joined(claims("authenticated", "ada"), todos), s.joined(claims("authenticated", "ben"), todos)
	anon, service := s.joined(claims("anon", ""), todos), s.joined(claims("service_role", ""), todos)
	s.sql(`insert into todos values (1, 'ada', 'open')`, `insert into todos values (2, 'ben', 'open')`, `insert into todos values (3, 'ada', 'open')`,
		`update todos set state = 'done' where id = 1`)
	first, second, third := `[1] INSERT todos new{"id":1,"owner":"ada","state":"open"}`, `[1] INSERT todos new{"id":2,"owner":"ben","state":"open"}`, `[1] INSERT todos new{"id":3,"owner":"ada","state":"open"}`
	done := `[1] UPDATE todos new{"id":1,"owner":"ada","state":"done"} old{"id":1,"owner":"ada","state":"open"}`
	service.gets(first, second, third, done)
	ada.gets(first, third, done)
	again.gets(first, third, done)
	ben.gets(second)
	// Nobody can be asked about a row that is gone: its key is told to all, and no more.
	s.sql(`delete from todos where id = 1`)
	for _, m := range []*member{ada, again, ben, service, anon} {
		m.gets(`[1] DELETE todos old{"id":1}`)
	}
	// Equal claims are asked about once: ada, ben and anon, four times.
	if got := testutil.ToFloat64(s.feed.m.checks.WithLabelValues(checkVisible)); got != 4 {
		t.Errorf("%v visible, want 4", got)
	}
	if got := testutil.ToFloat64(s.feed.m.checks.WithLabelValues(checkHidden)); got != 8 {
		t.Errorf("%v hidden, want 8", got)
	}
}

// testRowSecurityErrors: a policy that fails for one bearer hides the row from that one only.
func testRowSecurityErrors(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "rls_errors", append([]string{`create table todos (id int primary key)`, `alter table todos enable row level security`,
		`create policy numbered on todos for select using ((current_setting('request.jwt.claims')::json ->> 'sub')::int >= 0)`}, readable("todos")...)...)
	broken, good := s.joined(claims("authenticated", "ada"), todos), s.joined(claims("authenticated", "7"), todos)
	s.sql(`insert into todos values (1)`, `insert into todos values (2)`)
	good.gets(`[1] INSERT todos new{"id":1}`, `[1] INSERT todos new{"id":2}`)
	s.sql(`delete from todos where id = 1`)
	good.gets(`[1] DELETE todos old{"id":1}`)
	broken.gets(`[1] DELETE todos old{"id":1}`)
	if got := testutil.ToFloat64(s.feed.m.checks.WithLabelValues(checkFailed)); got < 1 {
		t.Errorf("%v failed", got)
	}
	// The connections are as they were: no role or claim stays behind.
	for range 8 {
		if text, err := s.feed.canonical(t.Context(), &column{sql: "pg_catalog.text"}, "x"); err != nil || text != "x" {
			t.Fatal(text, err)
		}
	}
	if role, err := s.feed.actingAs(t.Context()); err != nil || role != "postgres" {
		t.Errorf("acting as %q, %v", role, err)
	}
}

// testRightsChange: what is granted and revoked counts within RightsAge.
func testRightsChange(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "rights_live", with(guests, readable("guests")...)...)
	m := s.joined(claims("anon", ""), `{"event":"INSERT","schema":"public","table":"guests","select":["name"]}`)
	s.sql(`insert into guests values (1, 'Ada')`)
	m.gets(`[1] INSERT guests new{"id":1,"name":"Ada"}`)
	s.sql(`revoke select on guests from anon`, `grant select (id) on guests to anon`)
	s.outlive()
	s.sql(`insert into guests values (2, 'Ben')`)
	m.gets(`[1] INSERT guests new{"id":2}`)
	s.sql(`grant select on guests to anon`, `alter table guests enable row level security`)
	s.outlive()
	s.sql(`insert into guests values (3, 'Eve')`, `create policy open on guests using (id = 4)`, `insert into guests values (4, 'Ida')`)
	m.gets(`[1] INSERT guests new{"id":4,"name":"Ida"}`)
}
