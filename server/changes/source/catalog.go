package source

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wedsync/wedsync/server/changes/source/pgoutput"
)

// patience bounds each question to the database.
const patience = 15 * time.Second

// catalog answers questions about the database, on an ordinary connection beside the stream.
type catalog struct{ conn *pgx.Conn }

func openCatalog(ctx context.Context, url string) (*catalog, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	cfg.RuntimeParams["application_name"] = "wedsync changes"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return &catalog{conn}, nil
}

func (c *catalog) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx) // nothing is under way on it
}

// slotState is what there is to know before reading from the slot.
type slotState struct {
	WalLevel    string
	Version     int // 150004
	Database    string
	InRecovery  bool
	Publication bool // exists
	Slot        bool // exists, and the following are its
	Plugin      string
	SlotIn      string // the database that it belongs to; "" if it is a physical one
	WalStatus   string
	Active      bool
}

func (c *catalog) state(ctx context.Context, slot, publication string) (slotState, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := c.conn.Query(ctx, `
		SELECT current_setting('wal_level'), current_setting('server_version_num')::int, current_database()::text,
			pg_is_in_recovery(), EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $2),
			s.slot_name IS NOT NULL, coalesce(s.plugin::text, ''), coalesce(s.database::text, ''),
			coalesce(s.wal_status, ''), coalesce(s.active, false)
		FROM (SELECT) one LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1`, slot, publication)
	if err != nil {
		return slotState{}, fmt.Errorf("looking for the replication slot: %w", err)
	}
	st, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[slotState])
	if err != nil {
		return slotState{}, fmt.Errorf("looking for the replication slot: %w", err)
	}
	return st, nil
}

func (c *catalog) createPublication(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.conn.Exec(ctx, "CREATE PUBLICATION "+pgx.Identifier{name}.Sanitize())
	return err
}

// createSlot waits for the transactions that are running now; there is no bound to that but ctx.
func (c *catalog) createSlot(ctx context.Context, name string) error {
	_, err := c.conn.Exec(ctx, "SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')", name)
	return err
}

// end is a place in the WAL that all transactions committed so far are before.
func (c *catalog) end(ctx context.Context) (lsn uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.conn.QueryRow(ctx, "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::text::bigint").Scan(&lsn)
	if err != nil {
		return 0, fmt.Errorf("asking for the end of the WAL: %w", err)
	}
	return lsn, nil
}

// describe names the types of a table's columns and finds its primary key. The catalog tells how the
// table is now, the stream how it was: where the stream knows, it is believed.
func (c *catalog) describe(ctx context.Context, r *pgoutput.Relation, named map[uint32]string) ([]Column, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	columns := make([]Column, len(r.Columns))
	identity := false
	for i, col := range r.Columns {
		columns[i] = Column{Name: col.Name, OID: col.Type, Key: col.Identity}
		identity = identity || col.Identity
	}
	if err := c.nameTypes(ctx, columns, named); err != nil {
		return nil, fmt.Errorf("asking for the types of %s.%s: %w", r.Namespace, r.Name, err)
	}
	if r.Identity == pgoutput.IdentityDefault && identity {
		return columns, nil // the replica identity is the primary key
	}
	key, err := c.primaryKey(ctx, r.ID)
	if err != nil {
		return nil, fmt.Errorf("asking for the primary key of %s.%s: %w", r.Namespace, r.Name, err)
	}
	for i := range columns {
		columns[i].Key = key[columns[i].Name]
	}
	return columns, nil
}

func (c *catalog) nameTypes(ctx context.Context, columns []Column, named map[uint32]string) error {
	oids := make([]uint32, len(columns))
	for i := range columns {
		oids[i] = columns[i].OID
	}
	rows, err := c.conn.Query(ctx, `
		WITH RECURSIVE chain AS (
			SELECT oid AS asked, 0 AS depth, typname, typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = ANY ($1)
			UNION ALL
			SELECT asked, depth + 1, t.typname, t.typtype, t.typbasetype
			FROM chain JOIN pg_catalog.pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd'
		) SELECT asked, typname::text, typtype::text FROM chain ORDER BY asked, depth`, oids)
	if err != nil {
		return err
	}
	type names struct{ name, base string }
	found := map[uint32]names{}
	var asked uint32
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&asked, &name, &kind}, func() error {
		n := found[asked]
		if n.name == "" {
			n.name = name
		}
		n.base = name
		if kind == "e" {
			n.base = "anyenum"
		}
		found[asked] = n
		return nil
	})
	if err != nil {
		return err
	}
	for i := range columns {
		n, ok := found[columns[i].OID]
		if !ok { // dropped in the meantime
			fallback := orDefault(named[columns[i].OID], "unknown")
			n = names{fallback, fallback}
		}
		columns[i].Type, columns[i].Base = n.name, n.base
	}
	return nil
}

func (c *catalog) primaryKey(ctx context.Context, table uint32) (map[string]bool, error) {
	rows, err := c.conn.Query(ctx, `
		SELECT a.attname::text FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
		WHERE i.indrelid = $1 AND i.indisprimary`, table)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	key := map[string]bool{}
	for _, n := range names {
		key[n] = true
	}
	return key, nil
}
