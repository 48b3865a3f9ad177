package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

func TestEveryKindOfChange(t *testing.T) {
	t.Parallel()
	cfg, db := database(t, pgtest.Start(t), "kinds")
	sql(t, db,
		`CREATE TYPE mood AS ENUM ('calm', 'late')`,
		`CREATE DOMAIN count AS int4 CHECK (VALUE >= 0)`, `CREATE DOMAIN guests AS count`,
		`CREATE TABLE plain (id int4, note text, PRIMARY KEY (id) INCLUDE (note))`,
		`CREATE TABLE whole (id int4 PRIMARY KEY, note text)`, `ALTER TABLE whole REPLICA IDENTITY FULL`,
		`CREATE TABLE silent (id int4 PRIMARY KEY, note text)`, `ALTER TABLE silent REPLICA IDENTITY NOTHING`,
		`CREATE TABLE indexed (id int4 PRIMARY KEY, code text NOT NULL UNIQUE, note text)`, `ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code_key`,
		`CREATE TABLE keyless (note text)`, `ALTER TABLE keyless REPLICA IDENTITY FULL`,
		`CREATE TABLE large (id int4 PRIMARY KEY, n int4, photo text)`, `ALTER TABLE large ALTER photo SET STORAGE EXTERNAL`,
		`CREATE TABLE unpublished (id int4 PRIMARY KEY)`,
		`CREATE TABLE types (id int8 PRIMARY KEY, m mood, g guests, a int4[], ms mood[], ts timestamptz, d date, i interval, b bytea, f float8, n numeric, j jsonb, u uuid, bo bool, dbl int4 GENERATED ALWAYS AS (7) STORED)`,
		`CREATE PUBLICATION supabase_realtime FOR TABLE plain, whole, indexed, keyless, large, types`,
		`CREATE PUBLICATION insertsonly FOR TABLE silent WITH (publish = 'insert')`,
		// The settings of a role must not show in the values.
		`ALTER ROLE postgres SET DateStyle = 'German'`, `ALTER ROLE postgres SET TimeZone = 'America/New_York'`, `ALTER ROLE postgres SET bytea_output = 'escape'`,
	)
	j := newJournal()
	start(t, cfg, j).waitReading(t)
	sql(t, db,
		`INSERT INTO plain VALUES (1, 'one'), (2, NULL)`,
		`UPDATE plain SET note = 'uno' WHERE id = 1`,
		`UPDATE plain SET id = 3 WHERE id = 2`,
		`DELETE FROM plain WHERE id = 1`,
		`BEGIN; INSERT INTO plain VALUES (9, 'rolled back'); ROLLBACK`,
		`BEGIN; INSERT INTO plain VALUES (4, 'a'); SAVEPOINT s; INSERT INTO plain VALUES (5, 'rolled back'); ROLLBACK TO s; UPDATE plain SET note = 'b' WHERE id = 4; COMMIT`,
		`INSERT INTO unpublished VALUES (1)`,
		`INSERT INTO whole VALUES (1, 'one')`, `UPDATE whole SET note = 'uno'`, `DELETE FROM whole`,
		`INSERT INTO indexed VALUES (1, 'c1', 'x')`, `UPDATE indexed SET note = 'y'`, `UPDATE indexed SET code = 'c2'`, `DELETE FROM indexed`,
		`INSERT INTO keyless VALUES ('k')`, `TRUNCATE keyless`,
		`INSERT INTO large VALUES (1, 1, repeat('x', 9000))`, `UPDATE large SET n = 2`,
		`ALTER TABLE large REPLICA IDENTITY FULL`, `UPDATE large SET n = 3`,
		`ALTER TABLE plain ADD COLUMN extra mood DEFAULT 'calm'`, `INSERT INTO plain VALUES (6, 'six', 'late')`,
		`INSERT INTO types VALUES (1, 'late', 5, '{1,NULL,3}', '{calm}', '2026-06-13 14:03:07.412+00', '2026-06-13', '1 day 02:00', '\x00ff', 0.1, 1e20, '{"a": 1}', '00000000-0000-0000-0000-000000000001', true)`,
	)
	within(t, "all changes have come", func() bool { all := j.all(); return len(all) > 0 && all[len(all)-1].Table == "types" })
	var got []string
	for _, c := range j.all() {
		got = append(got, strings.ReplaceAll(show(c), strings.Repeat("x", 9000), "PHOTO"))
	}
	want := []string{
		`INSERT plain new(id=1 note=one)`,
		`INSERT plain new(id=2 note=null)`,
		`UPDATE plain old(id=1 note=-) new(id=1 note=uno)`,
		`UPDATE plain old(id=2 note=-) new(id=3 note=null)`,
		`DELETE plain old(id=1 note=-)`,
		`INSERT plain new(id=4 note=a)`,
		`UPDATE plain old(id=4 note=-) new(id=4 note=b)`,
		`INSERT whole new(id=1 note=one)`,
		`UPDATE whole old(id=1 note=one) new(id=1 note=uno)`,
		`DELETE whole old(id=1 note=uno)`,
		`INSERT indexed new(id=1 code=c1 note=x)`,
		`UPDATE indexed old(id=- code=c1 note=-) new(id=1 code=c1 note=y)`,
		`UPDATE indexed old(id=- code=c1 note=-) new(id=1 code=c2 note=y)`,
		`DELETE indexed old(id=- code=c2 note=-)`,
		`INSERT keyless new(note=k)`,
		`INSERT large new(id=1 n=1 photo=PHOTO)`,
		`UPDATE large old(id=1 n=- photo=-) new(id=1 n=2 photo=unchanged)`,
		`UPDATE large old(id=1 n=2 photo=PHOTO) new(id=1 n=3 photo=PHOTO)`,
		`INSERT plain new(id=6 note=six extra=late)`,
		`INSERT types new(id=1 m=late g=5 a={1,NULL,3} ms={calm} ts=2026-06-13 14:03:07.412+00 d=2026-06-13 i=1 day 02:00:00 b=\x00ff f=0.1 n=100000000000000000000 j={"a": 1} u=00000000-0000-0000-0000-000000000001 bo=t)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}

	columns := map[string][]Column{}
	for _, c := range j.all() {
		columns[c.Table] = c.Columns
	}
	keys := func(table string) (names []string) {
		for _, c := range columns[table] {
			if c.Key {
				names = append(names, c.Name)
			}
		}
		return names
	}
	for table, want := range map[string][]string{"plain": {"id"}, "whole": {"id"}, "indexed": {"id"}, "keyless": nil, "large": {"id"}} {
		if got := keys(table); !slices.Equal(got, want) {
			t.Errorf("primary key of %s: %v, want %v", table, got, want)
		}
	}
	var types []string
	for _, c := range columns["types"] {
		types = append(types, fmt.Sprintf("%s %s/%s", c.Name, c.Type, c.Base))
	}
	if diff := cmp.Diff([]string{"id int8/int8", "m mood/anyenum", "g guests/int4", "a _int4/_int4", "ms _mood/_mood", "ts timestamptz/timestamptz", "d date/date",
		"i interval/interval", "b bytea/bytea", "f float8/float8", "n numeric/numeric", "j jsonb/jsonb", "u uuid/uuid", "bo bool/bool"}, types); diff != "" {
		t.Error(diff)
	}
}
