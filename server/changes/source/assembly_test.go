package source

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/server/changes/source/pgoutput"
)

// undescribed columns have no types.
func undescribed(_ context.Context, r *pgoutput.Relation, _ map[uint32]string) ([]Column, error) {
	columns := make([]Column, len(r.Columns))
	for i, c := range r.Columns {
		columns[i] = Column{Name: c.Name, Key: c.Identity}
	}
	return columns, nil
}

func TestAStreamThatDoesNotFitIsRefused(t *testing.T) {
	relation := &pgoutput.Relation{ID: 7, Namespace: "public", Name: "guests", Identity: pgoutput.IdentityDefault, Columns: []pgoutput.Column{{Name: "id", Identity: true}}}
	row := []Value{{Kind: Text, Text: []byte("1")}}
	for name, c := range map[string]struct {
		messages []pgoutput.Message
		says     string
	}{
		"unknown table":          {[]pgoutput.Message{&pgoutput.Begin{}, &pgoutput.Insert{Relation: 7, New: row}}, "has not described"},
		"outside a transaction":  {[]pgoutput.Message{relation, &pgoutput.Insert{Relation: 7, New: row}}, "outside a transaction"},
		"after the transaction":  {[]pgoutput.Message{relation, &pgoutput.Begin{}, &pgoutput.Commit{}, &pgoutput.Delete{Relation: 7, Old: row}}, "outside a transaction"},
		"other number of values": {[]pgoutput.Message{relation, &pgoutput.Begin{}, &pgoutput.Update{Relation: 7, New: append(row, row...)}}, "2 values for 1 columns"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAssembly("s", undescribed)
			var err error
			for _, m := range c.messages {
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = a.take(context.Background(), 1, m)
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says: %s", err, c.says)
			}
		})
	}
}

func TestIDsWithinATransaction(t *testing.T) {
	a := newAssembly("s", undescribed)
	take := func(record uint64, m pgoutput.Message) *Change {
		t.Helper()
		c, _, err := a.take(context.Background(), record, m)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	insert := &pgoutput.Insert{Relation: 7, New: []Value{}}
	take(0, &pgoutput.Relation{ID: 7})
	var ids []string
	for _, lsn := range []uint64{100, 200} {
		take(lsn, &pgoutput.Begin{CommitLSN: lsn + 50, CommitTime: time.UnixMicro(36)})
		for _, record := range []uint64{1, 3, 3, 4} {
			c := take(lsn+record, insert)
			ids = append(ids, c.ID)
			if c.LSN != lsn+50 || c.Schema != "pg_catalog" {
				t.Errorf("change %+v", c)
			}
		}
		take(lsn, &pgoutput.Commit{})
	}
	want := "pg/s/65-10/0 pg/s/67-10/0 pg/s/67-10/1 pg/s/68-10/0 pg/s/c9-10/0 pg/s/cb-10/0 pg/s/cb-10/1 pg/s/cc-10/0"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("ids %s\nwant %s", got, want)
	}
}

func BenchmarkTakeInsert(b *testing.B) {
	a := newAssembly("wedsync", undescribed)
	ctx := context.Background()
	for _, m := range []pgoutput.Message{&pgoutput.Relation{ID: 7, Columns: make([]pgoutput.Column, 10)}, &pgoutput.Begin{CommitLSN: 1}} {
		if _, _, err := a.take(ctx, 0, m); err != nil {
			b.Fatal(err)
		}
	}
	insert := &pgoutput.Insert{Relation: 7, New: make([]Value, 10)}
	record := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		record++
		if _, _, err := a.take(ctx, record, insert); err != nil {
			b.Fatal(err)
		}
	}
}
