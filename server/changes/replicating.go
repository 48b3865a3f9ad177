package changes

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Replicating tells whether some node follows the database at this moment. A slot that has no position yet
// exists and is active, but what is committed before it has one is not read.
func (f *Feed) Replicating(ctx context.Context) (active bool, err error) {
	err = f.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active AND confirmed_flush_lsn IS NOT NULL)`, f.cfg.Slot).Scan(&active)
	})
	if err != nil {
		return false, fmt.Errorf("asking for the replication slot: %w", err)
	}
	return active, nil
}
