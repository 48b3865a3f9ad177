package stock

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// schema is what an application's migrations would have made.
//
//go:embed testdata/schema.sql
var schema string

// database is the application's database, with a connection of its owner.
type database struct {
	url string

	mu   sync.Mutex // guards the following
	conn *pgconn.PgConn
}

func openDatabase(t *testing.T, s *pgtest.Server) *database {
	t.Helper()
	d := &database{url: s.URL("postgres")}
	must(t, changes.Install(t.Context(), d.url))
	var err error
	d.conn, err = pgconn.Connect(t.Context(), d.url)
	must(t, err)
	t.Cleanup(func() { must(t, d.conn.Close(context.Background())) })
	_, err = d.run(t.Context(), schema)
	must(t, err)
	return d
}

// run executes statements and returns the rows of the last one, as text; NULL is nil.
func (d *database) run(ctx context.Context, statements string) ([]map[string]any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	results, err := d.conn.Exec(ctx, statements).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("running %.200s: %w", statements, err)
	}
	rows := []map[string]any{}
	if len(results) == 0 {
		return rows, nil
	}
	last := results[len(results)-1]
	for _, values := range last.Rows {
		row := map[string]any{}
		for i, field := range last.FieldDescriptions {
			if row[field.Name] = nil; values[i] != nil {
				row[field.Name] = string(values[i])
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// reader is the region whose server reads the database's changes: it holds the replication slot.
func (v *venue) reader(ctx context.Context) (string, error) {
	rows, err := v.database.run(ctx, `
		select a.client_port from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid
		where s.database = current_database()`)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", fmt.Errorf("%d servers read the changes, want 1", len(rows))
	}
	port := fmt.Sprint(rows[0]["client_port"])
	for _, n := range v.Nodes() {
		holds, err := holdsPort(n.Pid(), port)
		if err != nil {
			return "", err
		}
		if n.Alive() && holds {
			return n.Region, nil
		}
	}
	return "", fmt.Errorf("none of the servers has the connection from port %s that reads the changes", port)
}
