package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/server"
)

const (
	idState = `id int8 primary key, state text`
	all     = `{"event":"*","schema":"public","table":"$tab"}`

	idStateColumns = `"columns":[{"name":"id","type":"int8"},{"name":"state","type":"text"}]`
)

// change is a postgres_changes message for a, with what its data holds beside schema, table and time.
func change(ids, data string) string {
	return `
			a< [null,null,"realtime:$T","postgres_changes",{"ids":[` + ids + `],"data":{"schema":"public","table":"$tab","commit_timestamp":"<time>","errors":null,` + data + `},"...":0}]`
}

// §11: what a change of a row looks like.
func rowChanges() []behaviour {
	inserted := change(`"<id>"`, `"type":"INSERT",`+idStateColumns+`,"record":{"id":1,"state":"new"}`)
	return []behaviour{
		{name: "§11 an INSERT has a record and no old_record", run: onTable(idState, subscribed(all)+`
			sql insert into $tab values (1, 'new')`+inserted)},
		{name: "§11 an UPDATE has a record, and the primary key as old_record", run: onTable(idState, subscribed(all)+`
			sql insert into $tab values (1, 'new')
			sql update $tab set state = 'done'`+inserted+change(`"<id>"`, `"type":"UPDATE",`+idStateColumns+`,"record":{"id":1,"state":"done"},"old_record":{"id":1}`))},
		{name: "§11 a DELETE has the primary key as old_record and no record", run: onTable(idState, subscribed(all)+`
			sql insert into $tab values (1, 'new')
			sql delete from $tab`+inserted+change(`"<id>"`, `"type":"DELETE",`+idStateColumns+`,"old_record":{"id":1}`))},
		{name: "§11 with REPLICA IDENTITY FULL old_record has all columns", run: onTable(idState, `
			sql alter table $tab replica identity full`+subscribed(all)+`
			sql insert into $tab values (1, 'new')
			sql update $tab set state = 'done'
			sql delete from $tab`+inserted+
			change(`"<id>"`, `"type":"UPDATE",`+idStateColumns+`,"record":{"id":1,"state":"done"},"old_record":{"id":1,"state":"new"}`)+
			change(`"<id>"`, `"type":"DELETE",`+idStateColumns+`,"old_record":{"id":1,"state":"done"}`))},
		{name: "§11 values are typed JSON, and columns name the types of the database", run: onTable(
			`id int8 primary key, b bool, i int4, f float8, n numeric, t text, j jsonb, d date, ts timestamp, u uuid, list int4[], nothing text`, subscribed(all)+`
			sql insert into $tab values (1, true, -7, 2.5, 12.50, 'text "quoted"', '{"a":[1,null]}', '2026-06-13', '2026-06-13 14:03:07', '7b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11', '{1,2}', null)`+
				change(`"<id>"`, `"type":"INSERT","columns":[{"name":"id","type":"int8"},{"name":"b","type":"bool"},{"name":"i","type":"int4"},{"name":"f","type":"float8"},{"name":"n","type":"numeric"},{"name":"t","type":"text"},{"name":"j","type":"jsonb"},{"name":"d","type":"date"},{"name":"ts","type":"timestamp"},{"name":"u","type":"uuid"},{"name":"list","type":"_int4"},{"name":"nothing","type":"text"}],"record":{"id":1,"b":true,"i":-7,"f":2.5,"n":12.50,"t":"text \"quoted\"","j":{"a":[1,null]},"d":"2026-06-13","ts":"2026-06-13T14:03:07","u":"7b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11","list":[1,2],"nothing":null}`))},
		{name: "§11 only the events that were asked for come: INSERT", run: onTable(idState, subscribed(`{"event":"INSERT","schema":"public","table":"$tab"}`)+`
			sql insert into $tab values (1, 'new')
			sql update $tab set state = 'done'
			sql delete from $tab
			sql insert into $tab values (2, 'end')`+inserted+change(`"<id>"`, `"type":"INSERT",`+idStateColumns+`,"record":{"id":2,"state":"end"}`))},
		{name: "§11 only the events that were asked for come: UPDATE", run: onTable(idState, subscribed(`{"event":"UPDATE","schema":"public","table":"$tab"}`)+`
			sql insert into $tab values (1, 'new')
			sql update $tab set state = 'done'
			sql delete from $tab`+change(`"<id>"`, `"type":"UPDATE",`+idStateColumns+`,"record":{"id":1,"state":"done"},"old_record":{"id":1}`))},
		{name: "§11 only the events that were asked for come: DELETE", run: onTable(idState, subscribed(`{"event":"DELETE","schema":"public","table":"$tab"}`)+`
			sql insert into $tab values (1, 'new')
			sql update $tab set state = 'done'
			sql delete from $tab`+change(`"<id>"`, `"type":"DELETE",`+idStateColumns+`,"old_record":{"id":1}`))},
		{name: "§11 all ids of a channel that match come in one message", run: onTable(idState, `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"$tab"},{"event":"UPDATE","schema":"public","table":"$tab"},{"event":"INSERT","schema":"public","table":"$tab","filter":"id=eq.1"}]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<one=number>","...":0},{"id":"<two=number>","...":0},{"id":"<three=number>","...":0}]}}]`+ready+`
			sql insert into $tab values (1, 'new')
			sql insert into $tab values (2, 'new')`+
			change(`"<one>","<three>"`, `"type":"INSERT",`+idStateColumns+`,"record":{"id":1,"state":"new"}`)+
			change(`"<one>"`, `"type":"INSERT",`+idStateColumns+`,"record":{"id":2,"state":"new"}`))},
		{name: "§11 each channel of a socket gets its own message", run: onTable(idState, subscribed(all)+`
			a> ["2","2","realtime:$T:other","phx_join",{"config":{"postgres_changes":[`+all+`]}}]
			a< ["2","2","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]
			a< ["2",null,"realtime:$T:other","system",{"status":"ok","...":0}]
			sql insert into $tab values (1, 'new')
			a~ [null,null,"realtime:$T","postgres_changes",{"...":0}]
			a~ [null,null,"realtime:$T:other","postgres_changes",{"...":0}]`)},
		{name: "§11 only a table: the schema is public", run: onTable(idState, subscribed(`{"event":"*","table":"$tab"}`)+`
			sql insert into $tab values (1, 'new')`+inserted)},
		{name: "§11 only a schema: all of its tables", run: onTable(idState, `
			sql create schema s_$tab
			sql create table s_$tab.t (id int8 primary key, state text)
			sql grant usage on schema s_$tab to authenticated
			sql grant select on s_$tab.t to authenticated
			sql alter publication supabase_realtime add table s_$tab.t`+subscribed(`{"event":"*","schema":"s_$tab"}`)+`
			sql insert into $tab values (1, 'elsewhere')
			sql insert into s_$tab.t values (1, 'new')
			a< [null,null,"realtime:$T","postgres_changes",{"ids":["<id>"],"data":{"schema":"s_$tab","table":"t","commit_timestamp":"<time>","errors":null,"type":"INSERT",`+idStateColumns+`,"record":{"id":1,"state":"new"}},"...":0}]`)},
		{name: "§11 the table may be *", run: onTable(idState, `
			sql create schema s_$tab
			sql create table s_$tab.t (id int8 primary key, state text)
			sql grant usage on schema s_$tab to authenticated
			sql grant select on s_$tab.t to authenticated
			sql alter publication supabase_realtime add table s_$tab.t`+subscribed(`{"event":"*","schema":"s_$tab","table":"*"}`)+`
			sql insert into s_$tab.t values (1, 'new')
			a< [null,null,"realtime:$T","postgres_changes",{"ids":["<id>"],"data":{"schema":"s_$tab","table":"t","type":"INSERT","...":0},"...":0}]`)},
		{name: "§11 the schema may be *", run: onTable(idState, subscribed(`{"event":"*","schema":"*","table":"$tab"}`)+`
			sql insert into $tab values (1, 'new')`+inserted)},
		{name: "§11 select keeps the columns named, and the primary key", run: onTable(`id int8 primary key, state text, secret text`,
			subscribed(`{"event":"*","schema":"public","table":"$tab","select":["state"]}`)+`
			sql insert into $tab values (1, 'new', 'x')`+inserted)},
		{name: "§11 columns that the role may not select are left out", run: onTable(`id int8 primary key, state text, secret text`, `
			sql revoke select on $tab from authenticated
			sql grant select (id, state) on $tab to authenticated`+subscribed(all)+`
			sql insert into $tab values (1, 'new', 'x')`+inserted)},
		{name: "§11 a table without a primary key: Error 400", run: onTable(`state text`, `
			sql alter table $tab replica identity full`+subscribed(all)+`
			sql insert into $tab values ('new')
			a< [null,null,"realtime:$T","postgres_changes",{"ids":["<id>"],"data":{"schema":"public","table":"$tab","type":"INSERT","commit_timestamp":null,"columns":[],"record":{},"errors":["Error 400: Bad Request, no primary key"]},"...":0}]`)},
		{name: "§11 a role that may not select the primary key: Error 401", run: onTable(idState, `
			sql revoke select on $tab from authenticated
			sql grant select (state) on $tab to authenticated`+subscribed(all)+`
			sql insert into $tab values (1, 'new')
			a< [null,null,"realtime:$T","postgres_changes",{"ids":["<id>"],"data":{"schema":"public","table":"$tab","type":"INSERT","commit_timestamp":null,"columns":[],"record":{},"errors":["Error 401: Unauthorized"]},"...":0}]`)},
		{name: "§11 a record of more than 1 MiB: Error 413, and only small values", run: onTable(idState+`, photo text`, `
			sql alter table $tab alter column photo set storage external`+subscribed(all)+`
			sql insert into $tab values (1, 'new', repeat('x', 1100000))
			a< [null,null,"realtime:$T","postgres_changes",{"ids":["<id>"],"data":{"schema":"public","table":"$tab","type":"INSERT","commit_timestamp":"<time>","columns":["<object>","<object>","<object>"],"record":{"id":1,"state":"new"},"errors":["Error 413: Payload Too Large"]},"...":0}]`)},
		{name: "§11 a table can be subscribed to as soon as it is published, however recently others were", run: func(s *scene) {
			for i := range 3 {
				s.createTable(idState)
				s.play(subscribed(all))
				s.client("a").drop()
				s.log("that was table %d", i)
			}
		}},
		{name: "§11 changes of a channel end when it is left", run: onTable(idState, subscribed(all)+`
			a leave
			b> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[`+all+`]}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]
			b< ["1",null,"realtime:$T","system",{"status":"ok","...":0}]
			sql insert into $tab values (1, 'new')
			b< [null,null,"realtime:$T","postgres_changes",{"...":0}]
			a nothing`)},
		{name: "§11 a transaction that is rolled back changes nothing", run: onTable(idState, subscribed(all)+`
			sql begin; insert into $tab values (7, 'no'); rollback
			sql insert into $tab values (1, 'new')`+inserted)},
		{name: "§5.4 a join with everything: system Subscribed, replication and presence_state follow the reply", run: onTable(idState, `
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replication_ready":true,"replay":{"since":0}},"presence":{"enabled":true},"postgres_changes":[`+all+`]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]
			a~ ["1",null,"realtime:$T","system",{"extension":"postgres_changes","status":"ok","message":"Subscribed to PostgreSQL","channel":"$T"}]
			a~ ["1",null,"realtime:$T","system",{"extension":"system","status":"ok","message":"Replication connection established","channel":"$T"}]
			a~ ["1",null,"realtime:$T","presence_state",{}]
			a nothing`)},
		{name: "§5.4 with postgres_changes_options.wait the reply is held until the subscription exists", run: onTable(idState, `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[`+all+`],"postgres_changes_options":{"wait":true,"timeout":10000}}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<id=number>","...":0}]}}]
			sql insert into $tab values (1, 'new')
			a~ ["1",null,"realtime:$T","system",{"extension":"postgres_changes","status":"ok","message":"Subscribed to PostgreSQL","channel":"$T"}]
			a~ [null,null,"realtime:$T","postgres_changes",{"ids":["<id>"],"...":0}]`)},
	}
}

// §11: who is told.
func rowRights() []behaviour {
	const owned = idState + `, owner text`
	const policy = `
			sql alter table $tab enable row level security
			sql create policy own on $tab for select to authenticated using (owner = current_setting('request.jwt.claims', true)::json->>'sub')`
	const columns = `"columns":[{"name":"id","type":"int8"},{"name":"state","type":"text"},{"name":"owner","type":"text"}]`
	me := func(script string) func(*scene) {
		return func(s *scene) {
			s.words["me"] = sign(s.t, of("authenticated", "sub", "me"))
			s.words["you"] = sign(s.t, of("authenticated", "sub", "you"))
			s.as("a", "me")
			onTable(owned, script)(s)
		}
	}
	return []behaviour{
		{name: "§11 row level security decides who is told of an INSERT and an UPDATE", run: me(policy + subscribed(all) + `
			sql insert into $tab values (1, 'x', 'you')
			sql update $tab set state = 'y'
			sql insert into $tab values (2, 'x', 'me')` + change(`"<id>"`, `"type":"INSERT",`+columns+`,"record":{"id":2,"state":"x","owner":"me"}`))},
		{name: "§11 with row level security a DELETE carries the primary key alone, and is told to all", run: me(policy + `
			sql alter table $tab replica identity full` + subscribed(all) + `
			sql insert into $tab values (1, 'x', 'you')
			sql delete from $tab` + change(`"<id>"`, `"type":"DELETE",`+columns+`,"old_record":{"id":1}`))},
		{name: "§11 a role that bypasses row level security is told everything", run: func(s *scene) {
			s.as("a", "service_role")
			onTable(owned, policy+subscribed(all)+`
			sql insert into $tab values (1, 'x', 'you')`+change(`"<id>"`, `"type":"INSERT",`+columns+`,"record":{"id":1,"state":"x","owner":"you"}`))(s)
		}},
		{name: "§12 after a new token the subscription has its claims", run: func(s *scene) {
			me(policy + subscribed(all) + `
			sql insert into $tab values (1, 'x', 'you')
			sql insert into $tab values (2, 'x', 'me')` + change(`"<id>"`, `"type":"INSERT",`+columns+`,"record":{"id":2,"state":"x","owner":"me"}`) + `
			a> ["1","2","realtime:$T","access_token",{"access_token":"$you"}]`)(s)
			id, rows := 100, map[string]bool{} // owners of the rows that came
			s.eventually(func() bool {         // when the new claims count is not said, but then they do
				id++
				s.sql(fmt.Sprintf(`insert into $tab values (%d, 'x', 'you')`, id))
				return len(s.client("a").rest()) > 0
			})
			s.sql(`insert into $tab values (200, 'x', 'me'), (201, 'end', 'you')`)
			for !rows["end"] {
				payload, _ := s.client("a").hear().parts[4].(map[string]any)
				data, _ := payload["data"].(map[string]any)
				if record, ok := data["record"].(map[string]any); ok {
					rows[record["owner"].(string)], rows[record["state"].(string)] = true, true
				}
			}
			if rows["me"] {
				s.t.Error("a row came that the new claims may not see")
			}
		}},
	}
}

// §11: refused subscriptions; the channel stays, whatever it says.
func refusedSubscriptions() []behaviour {
	refused := func(entry, message string) func(*scene) {
		return onTable(idState, `
			a> ["1","1","realtime:$T","phx_join",{"config":{"broadcast":{"self":true},"postgres_changes":[`+entry+`]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]
			a< ["1",null,"realtime:$T","system",{"extension":"postgres_changes","status":"error","message":"`+message+`","channel":"$T"}]
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`)
	}
	const parameters = "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: "
	hundred := strings.TrimSuffix(strings.Repeat("1,", 100), ",")
	return []behaviour{
		{name: "§11 a table that is not published is refused, naming the parameters", run: refused(`{"event":"INSERT","schema":"public","table":"nowhere"}`,
			parameters+`[event: INSERT, schema: public, table: nowhere, filters: [], select: nil]`)},
		{name: "§11 a table that exists but is not in the publication is refused", run: func(s *scene) {
			s.words["tab"] = fmt.Sprintf("t%d", tables.Add(1))
			s.sql(`create table $tab (` + idState + `); grant select on $tab to authenticated`)
			s.play(`
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"$tab"}]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]
			a< ["1",null,"realtime:$T","system",{"extension":"postgres_changes","status":"error","message":"` + parameters + `[event: *, schema: public, table: $tab, filters: [], select: nil]","channel":"$T"}]`)
		}},
		{name: "§11 a filter that cannot be read is refused", run: refused(`{"event":"*","schema":"public","table":"$tab","filter":"id"}`, "Error parsing `filter` params: <any>")},
		{name: "§5.3 with postgres_changes_options.wait a refused subscription refuses the join", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[{"event":"INSERT","schema":"public","table":"nowhere"}],"postgres_changes_options":{"wait":true,"timeout":10000}}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"RealtimeDisabledForConfiguration: <any>"}}]
			a join {}`},
		{name: "§11 an unknown operator is refused", run: refused(`{"event":"*","schema":"public","table":"$tab","filter":"id=almost.5"}`, "<any>")},
		{name: "§11 an unknown column is refused", run: refused(`{"event":"*","schema":"public","table":"$tab","filter":"nothing=eq.5"}`, "<any>")},
		{name: "§11 a value that is none of the column's type is refused", run: refused(`{"event":"*","schema":"public","table":"$tab","filter":"id=eq.five"}`, "<any>")},
		{name: "§11 is with another value than null, true, false or unknown is refused", run: refused(`{"event":"*","schema":"public","table":"$tab","filter":"id=is.five"}`, "<any>")},
		{name: "§13 in with more than 100 values is refused", run: refused(`{"event":"*","schema":"public","table":"$tab","filter":"id=in.(`+hundred+`,2)"}`, "<any>")},
		{name: "§13 in with 100 values is taken", run: onTable(idState, subscribed(`{"event":"*","schema":"public","table":"$tab","filter":"id=in.(`+hundred+`)"}`))},
		{name: "§11 neither schema nor table is refused", run: refused(`{"event":"*"}`, "<any>")},
		{name: "§11 select with a wildcard is refused", run: refused(`{"event":"*","schema":"public","table":"*","select":["id"]}`, "<any>")},
		{name: "§11 select without a table is refused", run: refused(`{"event":"*","schema":"public","select":["id"]}`, "<any>")},
	}
}

// §11: every operator. The rows are 1 to 5 below; the numbers are those that pass.
func rowFilters() []behaviour {
	const columns = `id int8 primary key, state text, n int4, open bool, price numeric`
	const rows = `insert into $tab values (1, 'new', 1, true, 1.5), (2, 'New order', 5, false, 10), (3, 'done', 10, null, null), (4, null, null, true, -3), (5, 'a,b(c)"', 7, false, 2)`
	var cases []behaviour
	for _, c := range []struct{ name, filter, passes string }{
		{"eq of a text", `state=eq.new`, "1"},
		{"eq of a number", `n=eq.5`, "2"},
		{"eq of a number compares by value", `price=eq.10.00`, "2"},
		{"eq of a boolean", `open=eq.true`, "1 4"},
		{"neq leaves null out", `n=neq.5`, "1 3 5"},
		{"lt", `n=lt.7`, "1 2"},
		{"lte", `n=lte.7`, "1 2 5"},
		{"gt compares numbers as numbers", `price=gt.1.5`, "2 5"},
		{"gte", `price=gte.1.5`, "1 2 5"},
		{"in", `state=in.(new,done)`, "1 3"},
		{"in with quoted values", `state=in.("a,b(c)\"",done)`, "3 5"},
		{"like", `state=like.n%`, "1"},
		{"ilike", `state=ilike.n%`, "1 2"},
		{"is null", `open=is.null`, "3"},
		{"is true", `open=is.true`, "1 4"},
		{"is false", `open=is.false`, "2 5"},
		{"is unknown", `open=is.unknown`, "3"},
		{"match", `state=match.^n.w$`, "1"},
		{"imatch", `state=imatch.^N.W`, "1 2"},
		{"isdistinct counts null as a value", `n=isdistinct.5`, "1 3 4 5"},
		{"not. negates, and null stays out", `n=not.eq.5`, "1 3 5"},
		{"not.in", `n=not.in.(1,5)`, "3 5"},
		{"not.is", `open=not.is.null`, "1 2 4 5"},
		{"not.like", `state=not.like.n%`, "2 3 5"},
		{"a comma means and", `n=gte.5,open=eq.false`, "2 5"},
		{"a comma in brackets does not split", `n=in.(1,5,7),open=eq.false`, "2 5"},
		{"a comma in quotes does not split", `state=eq."a,b(c)\"",n=eq.7`, "5"},
		{"an empty filter is none", ``, "1 2 3 4 5"},
		{"a blank filter is none", `  `, "1 2 3 4 5"},
	} {
		cases = append(cases, behaviour{name: "§11 filter: " + c.name, vsn: "2", run: func(s *scene) {
			s.createTable(columns)
			s.play(`
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"$tab","filter":` + show(c.filter) + `},{"event":"INSERT","schema":"public","table":"$tab","filter":"id=eq.99"}]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<id=number>","...":0},{"id":"<end=number>","...":0}]}}]` + ready + `
			sql ` + rows + `
			sql insert into $tab values (99)`)
			var passed []string
			for {
				payload := s.client("a").hear().parts[4].(map[string]any)
				id := show(payload["data"].(map[string]any)["record"].(map[string]any)["id"])
				if id == "99" {
					break
				}
				if ids := show(payload["ids"]); ids != "["+s.names["#id"]+"]" {
					s.t.Errorf("row %s has ids %s, want [%s]", id, ids, s.names["#id"])
				}
				passed = append(passed, id)
			}
			if got := strings.Join(passed, " "); got != c.passes {
				s.t.Errorf("%s lets %q pass, want %q", c.filter, got, c.passes)
			}
		}})
	}
	cases = append(cases,
		behaviour{name: "§11 filter: the new row of an UPDATE counts", run: onTable(idState, subscribed(`{"event":"*","schema":"public","table":"$tab","filter":"state=eq.done"}`)+`
			sql insert into $tab values (1, 'new')
			sql update $tab set state = 'done'
			sql update $tab set state = 'new'
			sql insert into $tab values (2, 'done')`+
			change(`"<id>"`, `"type":"UPDATE",`+idStateColumns+`,"record":{"id":1,"state":"done"},"old_record":{"id":1}`)+
			change(`"<id>"`, `"type":"INSERT",`+idStateColumns+`,"record":{"id":2,"state":"done"}`))},
		behaviour{name: "§11 filter: the old row of a DELETE counts", run: onTable(idState, `
			sql alter table $tab replica identity full`+subscribed(`{"event":"DELETE","schema":"public","table":"$tab","filter":"state=eq.done"}`)+`
			sql insert into $tab values (1, 'new'), (2, 'done')
			sql delete from $tab where id = 1
			sql delete from $tab where id = 2`+change(`"<id>"`, `"type":"DELETE",`+idStateColumns+`,"old_record":{"id":2,"state":"done"}`))},
	)
	return cases
}

// §13: over the limit, changes are skipped in silence.
func TestPostgresRate(t *testing.T) {
	t.Parallel()
	n := withDatabase(t, func(c *server.Config) { c.Limits.ChangesPerSecond = 1 })
	table(t, n, []behaviour{
		{name: "§13 changes over the limit are skipped, and the channel stays", vsn: "2", run: func(s *scene) {
			s.createTable(`id bigserial primary key`)
			s.play(subscribed(all) + `
			sql insert into $tab select from generate_series(1, 60)`)
			sent, missed := 60, false
			s.eventually(func() bool {
				sent++
				s.sql(`insert into $tab default values`)
				a := s.client("a")
				a.flush()
				for _, h := range a.ahead {
					if h.parts[3] != "postgres_changes" {
						s.t.Fatalf("it hears %s", show(h.parts))
					}
				}
				missed = sent > len(a.ahead)+20
				return missed
			})
			s.play(`
			b join {"broadcast":{"self":true}}
			b> ["1","2","realtime:$T","broadcast",{"event":"x"}]`)
			for {
				if h := s.client("a").hear(); h.parts[3] == "broadcast" {
					break
				}
			}
		}},
	})
}

// §11: a database that dies and comes back.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	table(t, withDatabase(t), []behaviour{
		{name: "§11 subscriptions outlive the database, and nothing that it commits is lost or told twice", vsn: "2", run: func(s *scene) {
			s.createTable(idState)
			s.play(subscribed(all) + `
			sql insert into $tab values (1, 'before')` +
				change(`"<id>"`, `"type":"INSERT",`+idStateColumns+`,"record":{"id":1,"state":"before"}`))
			s.restartDatabase(func() {
				s.play(`b> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[` + all + `]}}]
					b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]`)
			})
			s.sql(`insert into $tab values (2, 'after'), (3, 'end')`)
			rows := ""
			for !strings.HasSuffix(rows, "3") {
				h := s.client("a").hear()
				payload, _ := h.parts[4].(map[string]any)
				data, _ := payload["data"].(map[string]any)
				if record, ok := data["record"].(map[string]any); ok {
					rows += show(record["id"])
				} else if h.parts[3] != "system" {
					s.t.Fatalf("it hears %s", show(h.parts))
				}
			}
			if rows != "23" {
				s.t.Errorf("the rows after the outage: %s, want 2 and 3", rows)
			}
			// Who came while there was no database is told how it stands, and subscribed in the end.
			for said := ""; said != "Subscribed to PostgreSQL"; {
				h := s.client("b").hear()
				payload, _ := h.parts[4].(map[string]any)
				if said, _ = payload["message"].(string); h.parts[3] != "system" {
					s.t.Fatalf("before its subscription it hears %s", show(h.parts))
				}
			}
		}},
	})
}

// §11: a database that is not there.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	n := withDatabase(t)
	n.postgres.Kill(t)
	const entry = `{"event":"*","schema":"public","table":"t"}`
	table(t, n, []behaviour{
		{name: "§5.3 with postgres_changes_options.wait the join is refused when its time is over", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[` + entry + `],"postgres_changes_options":{"wait":true,"timeout":300}}}]
			a nothing
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"PostgresChangesSubscribeTimeout: Timed out after 300ms waiting for the postgres_changes subscription"}}]`},
		{name: "§11 without the database channels are joined and broadcast to, and a subscription is not said to be there", run: func(s *scene) {
			s.play(`
			a> ["1","1","realtime:$T","phx_join",{"config":{"broadcast":{"self":true},"postgres_changes":[` + entry + `]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":["<object>"]}}]
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]`)
			for h := s.client("a").hear(); h.parts[3] != "broadcast"; h = s.client("a").hear() {
				if payload, _ := h.parts[4].(map[string]any); h.parts[3] != "system" || payload["status"] != "error" {
					s.t.Fatalf("it hears %s", show(h.parts))
				}
			}
		}},
	})
}
