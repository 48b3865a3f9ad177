package pgtest

import (
	"context"
	"testing"
)

func TestServerKeepsItsDataOverAKill(t *testing.T) {
	s := Start(t)
	ctx := context.Background()
	if _, err := s.Connect(t, "postgres").Exec(ctx, `CREATE TABLE guests AS SELECT 120 AS count`); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	s.Up(t)
	var count int
	var wal string
	row := s.Connect(t, "postgres").QueryRow(ctx, `SELECT count, current_setting('wal_level') FROM guests`)
	if err := row.Scan(&count, &wal); err != nil {
		t.Fatal(err)
	}
	if count != 120 || wal != "logical" {
		t.Fatalf("count %d, wal_level %s", count, wal)
	}
}
