package changes

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Replicating tells whether some node follows the database at this moment.
func (f *Feed) Replicating(ctx context.Context) (active bool, err error) {
	err = f.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active)`, f.cfg.Slot).Scan(&active)
	})
	if err != nil {
		return false, fmt.Errorf("asking for the replication slot: %w", err)
	}
	return active, nil
}
