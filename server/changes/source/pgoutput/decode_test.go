package pgoutput

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// capture makes new golden files: the messages of a real PostgreSQL, and what they say.
var capture = flag.Bool("capture", false, "write testdata anew, with the messages of a real PostgreSQL")

const (
	messagesFile = "testdata/messages.hex" // one message per line
	decodedFile  = "testdata/messages.txt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// story has every kind of message of protocol version 1.
var story = []string{
	`CREATE TYPE mood AS ENUM ('calm', 'late')`,
	`CREATE TABLE vendors (id int4 PRIMARY KEY, name text, photo text, mood mood, "größe" numeric(6,2))`,
	`ALTER TABLE vendors ALTER photo SET STORAGE EXTERNAL`,
	`CREATE TABLE guests (wedding int8, seat int2, name text, UNIQUE (wedding, seat))`,
	`ALTER TABLE guests REPLICA IDENTITY FULL`,
	`CREATE TABLE empty ()`,
	`ALTER TABLE empty REPLICA IDENTITY FULL`,
	`CREATE PUBLICATION p FOR TABLE vendors, guests, empty`,
	`SELECT pg_create_logical_replication_slot('s', 'pgoutput')`,
	`SELECT pg_replication_origin_create('elsewhere')`,

	`INSERT INTO vendors VALUES (1, 'Flora', repeat('x', 2100), 'calm', 12.5), (2, NULL, '', NULL, -0.01)`,
	`UPDATE vendors SET mood = 'late' WHERE id = 1`,
	`UPDATE vendors SET id = 3 WHERE id = 2`,
	`DELETE FROM vendors WHERE id = 3`,
	`INSERT INTO guests VALUES (7, 1, 'Ada')`,
	`UPDATE guests SET name = NULL`,
	`DELETE FROM guests`,
	`INSERT INTO empty DEFAULT VALUES`,
	`ALTER TABLE guests ADD COLUMN menu text`,
	`SELECT pg_replication_origin_session_setup('elsewhere')`,
	`BEGIN; SELECT pg_replication_origin_xact_setup('0/1234', '2026-06-13 14:03:07.412+00'); INSERT INTO guests VALUES (7, 2, 'Bob', 'fish'); COMMIT`,
	`SELECT pg_replication_origin_session_reset()`,
	`TRUNCATE guests, empty RESTART IDENTITY CASCADE`,
}

func captureMessages(t *testing.T) {
	conn := pgtest.Start(t).Connect(t, "postgres")
	ctx := context.Background()
	for _, statement := range story {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	rows, err := conn.Query(ctx, `SELECT data FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')`)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	var out, decoded strings.Builder
	for _, m := range messages {
		fmt.Fprintln(&out, hex.EncodeToString(m))
		decoded.WriteString(describe(t, m))
	}
	for name, text := range map[string]string{messagesFile: out.String(), decodedFile: decoded.String()} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// captured reads the messages of the golden file.
func captured(tb testing.TB) (messages [][]byte) {
	tb.Helper()
	text, err := os.ReadFile(messagesFile)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		m, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			tb.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

// describe prints what a message says, on one line.
func describe(tb testing.TB, data []byte) string {
	m, err := Decode(data)
	if err != nil {
		tb.Fatalf("%x: %v", data, err)
	}
	row := func(row []Value) string {
		if row == nil {
			return "-"
		}
		parts := []string{}
		for _, v := range row {
			text := map[Kind]string{Missing: "missing", Null: "null", Unchanged: "unchanged", Text: fmt.Sprintf("%.20q", v.Text)}[v.Kind]
			parts = append(parts, text)
		}
		return "(" + strings.Join(parts, ", ") + ")"
	}
	switch m := m.(type) {
	case *Insert:
		return fmt.Sprintf("Insert %d %s\n", m.Relation, row(m.New))
	case *Update:
		return fmt.Sprintf("Update %d key:%t %s -> %s\n", m.Relation, m.OldIsKey, row(m.Old), row(m.New))
	case *Delete:
		return fmt.Sprintf("Delete %d key:%t %s\n", m.Relation, m.OldIsKey, row(m.Old))
	case *Relation:
		return fmt.Sprintf("Relation %d %s.%s identity %c %+v\n", m.ID, m.Namespace, m.Name, m.Identity, m.Columns)
	default:
		return fmt.Sprintf("%s %+v\n", strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgoutput."), m)
	}
}

func TestDecodesWhatPostgreSQLSends(t *testing.T) {
	if *capture {
		captureMessages(t)
	}
	want, err := os.ReadFile(decodedFile)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	kinds := map[byte]bool{}
	for _, m := range captured(t) {
		kinds[m[0]] = true
		got.WriteString(describe(t, m))
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
	for _, k := range "BCORYIUDT" {
		if !kinds[byte(k)] {
			t.Errorf("no message of kind %c is in %s", k, messagesFile)
		}
	}
}

// TestIncompleteMessagesAreRefused: no message has a valid one as its beginning, nor anything behind it.
func TestIncompleteMessagesAreRefused(t *testing.T) {
	for _, m := range captured(t) {
		for n := range m {
			if got, err := Decode(m[:n]); err == nil {
				t.Fatalf("%d bytes of %x are taken for %+v", n, m, got)
			}
		}
		if got, err := Decode(append(bytes.Clone(m), 0)); err == nil {
			t.Fatalf("%x and a byte more are taken for %+v", m, got)
		}
	}
}

func TestWrongMessagesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ hex, fault string }{
		"nothing":                      {"", "is empty"},
		"unknown kind":                 {"5a", `unknown kind 'Z'`},
		"insert without its row":       {"49000000014f0000", `'O' where 'N' should be`},
		"delete of a new row":          {"44000000014e0000", `'N' where an old row should begin`},
		"update without its new row":   {"55000000014b00004b0000", "the new row is missing"},
		"value in binary":              {"49000000014e0001620000000100", `a value of unknown kind 'b'`},
		"value longer than the rest":   {"49000000014e000174ffffffff00", "it ends too early"},
		"more columns than the rest":   {"49000000014effff6e", "it ends too early"},
		"more relations than the rest": {"54ffffffff00", "it ends too early"},
		"name without its end":         {"5900000001616263", "a text does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Decode(data); err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("error %v, want one that says: %s", err, c.fault)
			}
		})
	}
}

// FuzzDecode: whatever comes, Decode answers, with a message or an error, and with no more values than bytes.
func FuzzDecode(f *testing.F) {
	for _, m := range captured(f) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		m, err := Decode(data)
		if (m == nil) == (err == nil) {
			t.Fatalf("message %v, error %v", m, err)
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the message was changed")
		}
		if u, ok := m.(*Update); ok && len(u.Old)+len(u.New) > len(data) {
			t.Fatalf("%d values in %d bytes", len(u.Old)+len(u.New), len(data))
		}
	})
}

func BenchmarkDecodeInsert(b *testing.B) {
	data := []byte{'I', 0, 0, 0, 1, 'N', 0, 10}
	for i := range 10 {
		text := fmt.Sprintf("value of column %d", i)
		data = append(data, 't')
		data = binary.BigEndian.AppendUint32(data, uint32(len(text)))
		data = append(data, text...)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
