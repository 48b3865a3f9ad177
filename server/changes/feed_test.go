package changes

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// One PostgreSQL serves all of these, a database each.
func TestFeed(t *testing.T) {
	server := pgtest.Start(t)
	for name, test := range map[string]func(*testing.T, *pgtest.Server){
		"payload":     testPayload,
		"old_record":  testOldRecord,
		"toast":       testToast,
		"large":       testLarge,
		"selection":   testSelection,
		"wildcards":   testWildcards,
		"operators":   testOperators,
		"statuses":    testStatuses,
		"columns":     testColumnRights,
		"keys":        testKeyErrors,
		"rls":         testRowSecurity,
		"rls_errors":  testRowSecurityErrors,
		"rights_live": testRightsChange,
		"sequence":    testOrder,
		"alter":       testAlteredTable,
		"claims":      testReclaim,
		"replay":      testReplay,
		"late":        testLate,
		"invisible":   testInvisibleTransaction,
		"overflow":    testOverflow,
		"messages":    testMessages,
		"slot":        testSlotInTheMaking,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, server) })
	}
}

// guests is a table with some types.
const guests = `create table guests (id int primary key, name text, seats int, vip bool, note jsonb)`

// readable lets every role read tables, and their changes.
func readable(tables ...string) []string {
	var all []string
	for _, t := range tables {
		all = append(all, "grant select on "+t+" to anon, authenticated, service_role", "alter publication supabase_realtime add table "+t)
	}
	return all
}

func with(table string, more ...string) []string { return append([]string{table}, more...) }

const all = `{"event":"*","schema":"public","table":"guests"}`

func testPayload(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "payload", with(guests, readable("guests")...)...)
	m := s.joined(claims("anon", ""), all)
	s.sql(`insert into guests values (1, 'Ada "the first"', 2, true, '{"diet":["vegan"]}')`, `update guests set note = null`, `delete from guests`)
	within(t, "three payloads", func() bool { return m.count() == 3 })
	const head = `{"ids":[1],"data":{"schema":"public","table":"guests","type":"%s","commit_timestamp":"TIME",` +
		`"columns":[{"name":"id","type":"int4"},{"name":"name","type":"text"},{"name":"seats","type":"int4"},{"name":"vip","type":"bool"},{"name":"note","type":"jsonb"}],` +
		`%s,"errors":null},"meta":{"id":%q,"hlc":"%d"}}`
	for i, want := range []struct{ event, rows string }{
		{"INSERT", `"record":{"id":1,"name":"Ada \"the first\"","seats":2,"vip":true,"note":{"diet": ["vegan"]}}`},
		{"UPDATE", `"record":{"id":1,"name":"Ada \"the first\"","seats":2,"vip":true,"note":null},"old_record":{"id":1}`},
		{"DELETE", `"old_record":{"id":1}`},
	} {
		ev := s.log.all()[i]
		got := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(m.got[i], "TIME")
		if want := fmt.Sprintf(head, want.event, want.rows, ev.ID, ev.HLC); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		if ev.Room != Room || ev.Name != want.event || ev.ID == "" {
			t.Errorf("event %+v", ev)
		}
	}
	if got := testutil.ToFloat64(s.feed.m.delivered); got != 3 {
		t.Errorf("%v delivered", got)
	}
	if got := testutil.ToFloat64(s.feed.m.subscriptions); got != 1 {
		t.Errorf("%v subscriptions", got)
	}
}

func testOldRecord(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "old_record", append([]string{
		`create table by_key (id int primary key, name text)`,
		`create table whole (id int primary key, name text)`, `alter table whole replica identity full`,
		`create table by_index (id int primary key, code text not null, name text)`, `create unique index code on by_index (code)`,
		`alter table by_index replica identity using index code`,
	}, readable("by_key", "whole", "by_index")...)...)
	m := s.joined(claims("anon", ""), `{"event":"*","schema":"public"}`)
	s.sql(`insert into by_key values (1, 'a')`, `update by_key set name = 'b'`, `update by_key set id = 2`, `delete from by_key`,
		`insert into whole values (1, 'a')`, `update whole set name = null`, `delete from whole`,
		`insert into by_index values (1, 'x', 'a')`, `update by_index set name = 'b'`, `update by_index set code = 'y'`, `delete from by_index`)
	m.gets(
		`[1] INSERT by_key new{"id":1,"name":"a"}`,
		`[1] UPDATE by_key new{"id":1,"name":"b"} old{"id":1}`,
		`[1] UPDATE by_key new{"id":2,"name":"b"} old{"id":1}`,
		`[1] DELETE by_key old{"id":2}`,
		`[1] INSERT whole new{"id":1,"name":"a"}`,
		`[1] UPDATE whole new{"id":1,"name":null} old{"id":1,"name":"a"}`,
		`[1] DELETE whole old{"id":1,"name":null}`,
		`[1] INSERT by_index new{"id":1,"code":"x","name":"a"}`,
		`[1] UPDATE by_index new{"id":1,"code":"x","name":"b"} old{"code":"x"}`,
		`[1] UPDATE by_index new{"id":1,"code":"y","name":"b"} old{"code":"x"}`,
		`[1] DELETE by_index old{"code":"y"}`,
	)
}

func testToast(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "toast", append([]string{
		`create table by_key (id int primary key, n int, photo text)`, `alter table by_key alter photo set storage external`,
		`create table whole (id int primary key, n int, photo text)`, `alter table whole alter photo set storage external`, `alter table whole replica identity full`,
	}, readable("by_key", "whole")...)...)
	m := s.joined(claims("anon", ""), `{"event":"UPDATE","schema":"public","table":"*"}`)
	large := strings.Repeat("x", 10_000)
	s.sql(`insert into by_key values (1, 1, '`+large+`')`, `update by_key set n = 2`, `insert into whole values (1, 1, '`+large+`')`, `update whole set n = 2`)
	m.gets(
		`[1] UPDATE by_key new{"id":1,"n":2} old{"id":1}`, // the database does not say what it left alone
		`[1] UPDATE whole new{"id":1,"n":2,"photo":"`+large+`"} old{"id":1,"n":1,"photo":"`+large+`"}`,
	)
}

func testLarge(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "large", with(guests, readable("guests")...)...)
	m := s.joined(claims("anon", ""), `{"event":"*","schema":"public","table":"guests","filter":"note=not.is.null"}`, all)
	fits, over := strings.Repeat("x", 62), strings.Repeat("x", 63) // with two quotes
	s.sql(`insert into guests values (1, '`+fits+`', 1, true, to_jsonb(repeat('y', 2000000)))`,
		`insert into guests values (2, '`+over+`', 2, null, to_jsonb(repeat('y', 2000000)))`)
	m.gets(`[2] INSERT guests new{"id":1,"name":"`+fits+`","seats":1,"vip":true} Error 413: Payload Too Large`,
		`[2] INSERT guests new{"id":2,"seats":2,"vip":null} Error 413: Payload Too Large`)
}

func testSelection(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "selection", with(guests, append(readable("guests"), `alter table guests replica identity full`)...)...)
	m := s.joined(claims("anon", ""), `{"event":"*","schema":"public","table":"guests","select":["seats"]}`)
	both := s.joined(claims("anon", ""), `{"event":"*","schema":"public","table":"guests","select":["seats","name"]}`, all,
		`{"event":"INSERT","schema":"public","table":"guests","select":["name","seats"]}`)
	s.sql(`insert into guests values (1, 'Ada', 2)`, `update guests set seats = 3`)
	m.gets(`[1] INSERT guests new{"id":1,"seats":2}`, `[1] UPDATE guests new{"id":1,"seats":3} old{"id":1,"seats":2}`)
	// What is seen differs, so that it takes two messages.
	within(t, "four messages", func() bool { return both.count() == 4 })
	got := map[string]bool{}
	for _, p := range both.got {
		got[brief(t, p)] = true
	}
	for _, want := range []string{`[1 3] INSERT guests new{"id":1,"name":"Ada","seats":2}`, `[2] INSERT guests new{"id":1,"name":"Ada","seats":2,"vip":null,"note":null}`,
		`[1] UPDATE guests new{"id":1,"name":"Ada","seats":3} old{"id":1,"name":"Ada","seats":2}`,
		`[2] UPDATE guests new{"id":1,"name":"Ada","seats":3,"vip":null,"note":null} old{"id":1,"name":"Ada","seats":2,"vip":null,"note":null}`} {
		if !got[want] {
			t.Errorf("missing %s in %v", want, got)
		}
	}
}

func testWildcards(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "wildcards", append([]string{guests, `create schema venue`, `create table venue.rooms (id int primary key)`, `grant usage on schema venue to anon`,
		`create table unpublished (id int primary key)`}, readable("guests", "venue.rooms")...)...)
	everything := s.joined(claims("anon", ""), `{"event":"*","schema":"*","table":"*"}`)
	public := s.joined(claims("anon", ""), `{"event":"INSERT","schema":"public"}`)
	table := s.joined(claims("anon", ""), `{"table":"guests"}`)
	several := s.joined(claims("anon", ""), `{"event":"DELETE","schema":"public","table":"guests"}`, all, `{"event":"update","schema":"public","table":"*"}`)
	filtered := s.joined(claims("anon", ""), `{"event":"*","schema":"*","table":"*","filter":"id=eq.2"}`)
	s.sql(`insert into guests (id) values (1)`, `update guests set id = 2`, `insert into venue.rooms values (1)`, `insert into unpublished values (1)`, `delete from guests`)
	insert := `[1] INSERT guests new{"id":1,"name":null,"seats":null,"vip":null,"note":null}`
	update := `[1] UPDATE guests new{"id":2,"name":null,"seats":null,"vip":null,"note":null} old{"id":1}`
	everything.gets(insert, update, `[1] INSERT rooms new{"id":1}`, `[1] DELETE guests old{"id":2}`)
	public.gets(insert)
	table.gets(insert, update, `[1] DELETE guests old{"id":2}`)
	several.gets(strings.Replace(insert, "[1]", "[2]", 1), strings.Replace(update, "[1]", "[2 3]", 1), `[1 2] DELETE guests old{"id":2}`)
	filtered.gets(update, `[1] DELETE guests old{"id":2}`)
}

// testOperators has a row for each operator that matches, and a member for each operator.
func testOperators(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "operators", with(guests, readable("guests")...)...)
	rows := []string{`(1, 'Ada', 2, true)`, `(2, 'Ben', 4, false)`, `(3, 'ada b.', null, null)`, `(4, null, 6, true)`}
	members := map[*member][]int{}
	for filter, ids := range map[string][]int{
		"": {1, 2, 3, 4}, "name=eq.Ada": {1}, "seats=eq.4": {2}, "name=neq.Ada": {2, 3}, "seats=lt.4": {1}, "seats=lte.4": {1, 2}, "seats=gt.2": {2, 4}, "seats=gte.2": {1, 2, 4},
		"id=in.(1,4,9)": {1, 4}, `name=in.("ada b.",Ben)`: {2, 3}, "name=like.A%": {1}, "name=ilike.a%": {1, 3}, "name=is.null": {4}, "vip=is.true": {1, 4}, "vip=is.unknown": {3},
		"name=match.^A": {1}, "name=imatch.^a": {1, 3}, "seats=isdistinct.2": {2, 3, 4},
		"seats=not.eq.2": {2, 4}, "name=not.is.null": {1, 2, 3}, "name=not.in.(Ada)": {2, 3}, "vip=is.true,seats=gt.2": {4}, "vip=eq.true,name=eq.Ada": {1},
	} {
		members[s.joined(claims("anon", ""), fmt.Sprintf(`{"event":"INSERT","schema":"public","table":"guests","filter":%q}`, filter))] = ids
	}
	for _, row := range rows {
		s.sql(`insert into guests (id, name, seats, vip) values ` + row)
	}
	for m, ids := range members {
		within(t, "changes", func() bool { return m.count() >= len(ids) })
		var got []int
		for _, p := range m.got {
			var id int
			if _, err := fmt.Sscanf(p[strings.Index(p, `"record":{"id":`):], `"record":{"id":%d`, &id); err != nil {
				t.Fatal(err)
			}
			got = append(got, id)
		}
		if fmt.Sprint(got) != fmt.Sprint(ids) {
			t.Errorf("filter %s: rows %v, want %v", m.sub.Entries[0].Filter, got, ids)
		}
	}
}
