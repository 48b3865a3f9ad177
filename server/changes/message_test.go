package changes

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/pgtest"
)

func testMessages(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "messages", append([]string{guests, `grant insert, update, delete on guests to authenticated`,
		`create function tell() returns trigger language plpgsql security definer as $$ begin
			perform realtime.broadcast_changes('wedding:42', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
			return null;
		end $$`, `create trigger tell after insert or update or delete on guests for each row execute function tell()`}, readable("guests")...)...)
	m := s.joined(claims("service_role", ""), `{"event":"*","schema":"*","table":"*"}`)
	s.sql(
		// These can never be sent, and hold nothing up.
		`select realtime.send('{}', repeat('x', 300), 'wed:1')`, `select realtime.send('{}', 'x', repeat('x', 300))`, `select realtime.send('{}', 'x', '')`,
		`select realtime.send_binary(decode(repeat('00', 5000000), 'hex'), 'x', 'wed:1')`,
		`select realtime.send('{"slot":"cake"}', 'timeline', 'wed:1')`,
		`select realtime.send('{"id":"mine"}', 'timeline', 'wed:1', false)`,
		`select realtime.send('[1]', 'list', 'wed:1')`,
		`select realtime.send_binary('\x00ff', 'photo', 'wed:1')`,
		`insert into realtime.messages (topic, extension, event, payload) values ('wed:1', 'presence', 'x', '{}')`,
		`set role authenticated`, `insert into guests (id, seats) values (1, 2)`, `delete from guests`, `reset role`,
	)
	within(t, "the broadcasts", func() bool { return len(s.log.broadcasts()) == 6 })
	var got []string
	for _, b := range s.log.broadcasts() {
		if len(b.ID) != 36 {
			t.Errorf("id %q", b.ID)
		}
		form := map[backbone.Form]string{backbone.JSON: "json", backbone.Binary: "binary"}[b.Form]
		room := map[bool]string{true: "private", false: "public"}[b.Private]
		payload := string(b.Payload)
		if b.Form == backbone.JSON {
			payload = strings.ReplaceAll(payload, b.ID, "ID")
		}
		got = append(got, strings.Join([]string{room, b.Topic, b.Event, form, payload}, " "))
	}
	if diff := cmp.Diff([]string{
		`private wed:1 timeline json {"id": "ID", "slot": "cake"}`,
		`public wed:1 timeline json {"id": "mine"}`,
		`private wed:1 list json [1]`,
		"private wed:1 photo binary \x00\xff",
		`private wedding:42 INSERT json {"id": "ID", "table": "guests", "record": {"id": 1, "vip": null, "name": null, "note": null, "seats": 2}, "schema": "public", "operation": "INSERT", "old_record": null}`,
		`private wedding:42 DELETE json {"id": "ID", "table": "guests", "record": null, "schema": "public", "operation": "DELETE", "old_record": {"id": 1, "vip": null, "name": null, "note": null, "seats": 2}}`,
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// They are broadcasts, not changes that somebody could subscribe to.
	within(t, "the changes", func() bool { return m.count() == 2 })

	ctx := context.Background()
	var warnings []string
	config, err := pgx.ParseConfig(s.url)
	if err != nil {
		t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { warnings = append(warnings, n.Severity+" "+n.Message) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range []string{
		`select realtime.send('{}', 'e', null)`,
		`select realtime.send_binary('', 'e', null)`,
		`select realtime.broadcast_changes('t', 'e', 'INSERT', 'guests', 'public', null, null, 'STATEMENT')`,
	} {
		warnings = nil
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "WARNING WarnSendingBroadcastMessage: ") {
			t.Errorf("%s: %q", statement, warnings)
		}
	}
	var topic *string
	if err := conn.QueryRow(ctx, `select realtime.topic()`).Scan(&topic); err != nil || topic != nil {
		t.Error(topic, err)
	}
	if err := conn.QueryRow(ctx, `select realtime.topic() from (select set_config('realtime.topic', 'wed:1', false)) s`).Scan(&topic); err != nil || topic == nil || *topic != "wed:1" {
		t.Error(topic, err)
	}

	// Old rows go; all nodes may install at once, again.
	s.sql(`update realtime.messages set inserted_at = now() - interval '73 hours' where event = 'photo'`)
	s.feed.prune(ctx)
	var left int
	if err := conn.QueryRow(ctx, `select count(*) from realtime.messages`).Scan(&left); err != nil || left != 10 {
		t.Errorf("%d rows are left, %v", left, err)
	}
	errs := make(chan error)
	for range 4 {
		go func() { errs <- Install(ctx, s.url) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := Install(ctx, "postgres://postgres@127.0.0.1:1/none"); err == nil {
		t.Error("a database that is not there was installed in")
	}
}

// recordID is the id of the new row in a payload.
func recordID(t testing.TB, payload string) int {
	var p struct {
		Data struct {
			Record struct{ ID int } `json:"record"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		t.Fatal(err)
	}
	return p.Data.Record.ID
}
