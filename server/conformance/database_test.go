package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// withDatabase runs a PostgreSQL and a node that follows it. What is installed is what an administrator
// installs; the roles are those that tokens name.
func withDatabase(t *testing.T, change ...func(*server.Config)) *node {
	t.Helper()
	postgres := pgtest.Start(t)
	url := postgres.URL("postgres")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := changes.Install(ctx, url); err != nil {
		t.Fatal(err)
	}
	n := start(t, append([]func(*server.Config){func(c *server.Config) { c.Database = url }}, change...)...)
	n.postgres, n.database = postgres, url
	return n
}

// restartDatabase kills the database of the node, and starts it again after something has been done.
func (s *scene) restartDatabase(meanwhile func()) {
	s.t.Helper()
	s.log("the database is killed")
	s.node.postgres.Kill(s.t)
	meanwhile()
	s.node.postgres.Up(s.t)
	s.log("the database is up again")
	s.db = nil // its connection has ended with the database
}

// sql runs statements as the superuser.
func (s *scene) sql(statement string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.db == nil {
		db, err := pgx.Connect(ctx, s.node.database)
		if err != nil {
			s.t.Fatal(err)
		}
		s.db = db
		s.t.Cleanup(func() { _ = db.Close(context.Background()) }) // the database may be down
	}
	statement = s.everywhere(statement)
	s.log("sql %s", statement)
	if _, err := s.db.PgConn().Exec(ctx, statement).ReadAll(); err != nil { // as it is: it may be several
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// tables numbers the tables of all cases.
var tables atomic.Int64

// onTable makes a table of the case's own, named $tab, that can be subscribed to and read by everybody,
// and then runs the script.
func onTable(columns, script string) func(*scene) {
	return func(s *scene) {
		s.createTable(columns)
		s.play(script)
	}
}

func (s *scene) createTable(columns string) {
	s.t.Helper()
	s.words["tab"] = fmt.Sprintf("t%d", tables.Add(1))
	s.sql(`create table $tab (` + columns + `)`)
	s.sql(`grant select on $tab to anon, authenticated, service_role`)
	s.sql(`alter publication supabase_realtime add table $tab`)
}

// subscribed is a join with one entry of postgres_changes and what follows it.
func subscribed(entry string) string {
	return `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[` + entry + `]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<id=number>","...":0}]}}]` + ready
}

const ready = `
			a< ["1",null,"realtime:$T","system",{"extension":"postgres_changes","status":"ok","message":"Subscribed to PostgreSQL","channel":"$T"}]`

// §9.3, §11: everything that one database can serve at once.
func TestDatabase(t *testing.T) {
	t.Parallel()
	table(t, withDatabase(t), slices.Concat(databaseBroadcasts(), rowChanges(), rowRights(), refusedSubscriptions(), rowFilters()))
}

// §9.3: broadcasts from the database.
func databaseBroadcasts() []behaviour {
	return []behaviour{
		{name: "§5.4 replication_ready is answered with system ok once the tail is streaming", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"broadcast":{"replication_ready":true},"presence":{"enabled":true}}}]
			` + joined + `
			a~ ["1",null,"realtime:$T","system",{"extension":"system","status":"ok","message":"Replication connection established","channel":"$T"}]
			a~ ["1",null,"realtime:$T","presence_state",{}]`},
		{name: "§9.3 realtime.send: kind 4 with the id of the row, and an object with it in meta", script: `
			new join {"private":true}
			old join {"private":true}
			sql select realtime.send('{"a":1}', 'x', '$T')
			new<4 ["realtime:$T","x",{"id":"<row=uuid>","...":0},{"a":1,"id":"<uuid>"}]
			old< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"a":1,"id":"<uuid>"},"meta":{"id":"<row>","...":0}}]`},
		{name: "§9.3 realtime.send leaves an id in the payload alone", script: `
			new join {"private":true}
			sql select realtime.send('{"id":"mine"}', 'x', '$T')
			new<4 ["realtime:$T","x",{"id":"<uuid>","...":0},{"id":"mine"}]`},
		{name: "§9.3 realtime.send is private unless it says otherwise", script: `
			new1 join {"private":true}
			new2 join {}
			sql select realtime.send('{"id":1}', 'secret', '$T')
			sql select realtime.send('{"id":1}', 'open', '$T', false)
			new1<4 ["realtime:$T","secret",{"id":"<uuid>","...":0},{"id":1}]
			new2<4 ["realtime:$T","open",{"id":"<uuid>","...":0},{"id":1}]
			new1 nothing
			new2 nothing`},
		{name: "§9.3 realtime.send_binary: kind 4 of encoding 0, and nothing", script: `
			new join {"private":true}
			old join {"private":true}
			sql select realtime.send_binary('\xffd8'::bytea, 'photo', '$T')
			new<4b ["realtime:$T","photo",{"id":"<uuid>","...":0},"ffd8"]
			old nothing`},
		{name: "§9.3 a row that is inserted into realtime.messages by hand is a broadcast", script: `
			new join {"private":true}
			sql insert into realtime.messages (id, topic, extension, event, payload, private) values ('7b0c2f0e-6d0b-4f4e-9a52-00000000000$vsn', '$T', 'broadcast', 'x', '{"a":[1,2.50]}', true)
			new<4 ["realtime:$T","x",{"id":"7b0c2f0e-6d0b-4f4e-9a52-00000000000$vsn","...":0},{"a":[1,2.50]}]`},
		{name: "§9.3 realtime.broadcast_changes tells of an INSERT, UPDATE and DELETE of a row", run: onTable(`id int primary key, state text`, `
			sql create function tell_$tab() returns trigger language plpgsql security definer as $body$ begin perform realtime.broadcast_changes('$T', tg_op, tg_op, tg_table_name, tg_table_schema, new, old); return null; end $body$
			sql create trigger tell after insert or update or delete on $tab for each row execute function tell_$tab()
			new join {"private":true}
			sql insert into $tab values (1, 'new')
			new<4 ["realtime:$T","INSERT",{"id":"<uuid>","...":0},{"operation":"INSERT","schema":"public","table":"$tab","record":{"id":1,"state":"new"},"old_record":null,"id":"<uuid>"}]
			sql update $tab set state = 'done'
			new<4 ["realtime:$T","UPDATE",{"id":"<uuid>","...":0},{"operation":"UPDATE","schema":"public","table":"$tab","record":{"id":1,"state":"done"},"old_record":{"id":1,"state":"new"},"id":"<uuid>"}]
			sql delete from $tab
			new<4 ["realtime:$T","DELETE",{"id":"<uuid>","...":0},{"operation":"DELETE","schema":"public","table":"$tab","record":null,"old_record":{"id":1,"state":"done"},"id":"<uuid>"}]`)},
		{name: "§9.3 what cannot be sent is a warning, and the transaction goes on", run: func(s *scene) {
			s.play(`new join {"private":true}`)
			s.sql(`begin; select realtime.send('{}', 'x', null); select realtime.send('{"id":1}', 'y', '$T'); commit`)
			s.play(`new<4 ["realtime:$T","y",{"id":"<uuid>","...":0},{"id":1}]`)
		}},
		{name: "§9.3 a transaction that is rolled back broadcasts nothing", script: `
			new join {"private":true}
			sql begin; select realtime.send('{"id":1}', 'no', '$T'); rollback
			sql select realtime.send('{"id":1}', 'yes', '$T')
			new<4 ["realtime:$T","yes",{"id":"<uuid>","...":0},{"id":1}]`},
		{name: "§9.3 a publish from the database asks no policy to write", script: `
			new join {"private":true}
			sql select realtime.send('{"id":1}', 'x', '$T')
			new<4 ["realtime:$T","x",{"id":"<uuid>","...":0},{"id":1}]`},
		{name: "§9.3 messages of the database are replayed, oldest first, as text with meta", script: `
			new join {"private":true}
			sql select realtime.send('{"id":1}', 'one', '$T')
			sql select realtime.send('{"id":2}', 'two', '$T')
			sql select realtime.send('{"id":3}', 'three', '$T')
			new<4 ["realtime:$T","one",{"id":"<uuid>","...":0},{"id":1}]
			new<4 ["realtime:$T","two",{"id":"<uuid>","...":0},{"id":2}]
			new<4 ["realtime:$T","three",{"id":"<uuid>","...":0},{"id":3}]
			a> ["5","5","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0,"limit":2}}}}]
			a< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a< ["5",null,"realtime:$T","broadcast",{"type":"broadcast","event":"two","payload":{"id":2},"meta":{"replayed":true,"id":"<uuid>","...":0}}]
			a< ["5",null,"realtime:$T","broadcast",{"type":"broadcast","event":"three","payload":{"id":3},"meta":{"replayed":true,"id":"<uuid>","...":0}}]
			a nothing`},
	}
}

// §5.4, §11: a server without a database says so.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§11 without a database a subscription is told so, and the channel stays", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"broadcast":{"self":true},"postgres_changes":[{"event":"*","schema":"public","table":"t"}]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<number>","event":"*","schema":"public","table":"t"}]}}]
			a< ["1",null,"realtime:$T","system",{"extension":"postgres_changes","status":"error","message":"<any>","channel":"$T"}]
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`},
	})
}
