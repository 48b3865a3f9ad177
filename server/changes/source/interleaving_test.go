package source

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// TestAnyInterleaving runs random statements in transactions that overlap, commit and roll back, on
// two tables, with the reader restarted now and then. Applying the changes must give the tables as
// they are; transactions must come whole, one after another, in the order of their commits.
func TestAnyInterleaving(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	cfg, db := database(t, server, "interleaving")
	sql(t, db, `CREATE PUBLICATION supabase_realtime FOR ALL TABLES`)
	var writers [3]*pgx.Conn
	for i := range writers {
		writers[i] = server.Connect(t, cfg.Slot)
	}
	j := newJournal()
	r := start(t, cfg, j)
	r.waitReading(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		tables := [2]string{fmt.Sprintf("a%d", run), fmt.Sprintf("b%d", run)}
		for _, table := range tables {
			sql(t, db, fmt.Sprintf(`CREATE TABLE %s (id int4 PRIMARY KEY, n text)`, table))
		}
		changed := 0 // rows that committed transactions changed
		var pending [len(writers)]int
		var open [len(writers)]bool
		for step := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			w := rapid.IntRange(0, len(writers)-1).Draw(rt, "writer")
			table := rapid.SampledFrom(tables[:]).Draw(rt, "table")
			do := func(statement string) int {
				tag, err := writers[w].Exec(context.Background(), statement)
				if err != nil {
					rt.Fatalf("%s: %v", statement, err)
				}
				return int(tag.RowsAffected())
			}
			if !open[w] {
				do("BEGIN")
				open[w], pending[w] = true, 0
			}
			// Each writer has rows of its own, so that none waits for another: ids that leave w when divided.
			id := len(writers)*rapid.IntRange(0, 5).Draw(rt, "id") + w
			switch rapid.SampledFrom([]string{"insert", "insert", "update", "move", "delete", "commit", "rollback", "restart"}).Draw(rt, "op") {
			case "insert":
				pending[w] += do(fmt.Sprintf(`INSERT INTO %s VALUES (%d, '%d') ON CONFLICT DO NOTHING`, table, id, step))
			case "update":
				pending[w] += do(fmt.Sprintf(`UPDATE %s SET n = '%d' WHERE id %% %d = %d`, table, step, len(writers), w))
			case "move":
				pending[w] += do(fmt.Sprintf(`UPDATE %s SET id = id + %d WHERE id = %d`, table, 300*(step+1), id))
			case "delete":
				pending[w] += do(fmt.Sprintf(`DELETE FROM %s WHERE id = %d`, table, id))
			case "commit":
				do("COMMIT")
				open[w], changed = false, changed+pending[w]
			case "rollback":
				do("ROLLBACK")
				open[w] = false
			case "restart":
				if step%8 == 0 { // it takes longer than the rest
					r.stop()
					r = start(t, cfg, j)
				}
			}
		}
		for w := range writers {
			if open[w] {
				sql(t, writers[w], "COMMIT")
				changed += pending[w]
			}
		}
		sql(t, db, fmt.Sprintf(`INSERT INTO %s VALUES (-1, 'end')`, tables[0]))
		changed++
		of := func() (changes []*Change) {
			for _, c := range j.all() {
				if c.Table == tables[0] || c.Table == tables[1] {
					changes = append(changes, c)
				}
			}
			return changes
		}
		within(t, "the end", func() bool {
			all := j.all()
			if len(all) == 0 {
				return false
			}
			last := all[len(all)-1]
			return last.Table == tables[0] && last.New != nil && string(last.New[0].Text) == "-1"
		})
		changes := of()
		if len(changes) != changed {
			rt.Fatalf("%d changes, want %d", len(changes), changed)
		}
		got := map[string]map[string]string{tables[0]: {}, tables[1]: {}}
		for i, c := range changes {
			if i > 0 && c.LSN < changes[i-1].LSN {
				rt.Fatalf("change %d committed before the one before it", i)
			}
			if c.Old != nil {
				delete(got[c.Table], string(c.Old[0].Text))
			}
			if c.New != nil {
				got[c.Table][string(c.New[0].Text)] = string(c.New[1].Text)
			}
		}
		for _, table := range tables {
			want := map[string]string{}
			rows, err := db.Query(context.Background(), fmt.Sprintf(`SELECT id::text, n FROM %s`, table))
			if err != nil {
				rt.Fatal(err)
			}
			var id, n string
			if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { want[id] = n; return nil }); err != nil {
				rt.Fatal(err)
			}
			if !maps.Equal(want, got[table]) {
				rt.Fatalf("%s is %v, by its changes %v", table, want, got[table])
			}
		}
		j.forget()
	})
}
