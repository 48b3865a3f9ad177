package changes

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed install.sql
var installSQL string

// installLock keeps nodes that start at once from installing at once.
const installLock = 0x77656473796e63 // "wedsync"

// Install creates in a database what broadcasts from the database need: the schema realtime with its table and
// functions, the publication supabase_realtime with that table, and the roles anon, authenticated and
// service_role if they are missing. All of it or nothing; again and again is fine.
func Install(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("installing the schema realtime: connecting to the database: %w", err)
	}
	defer closeConn(conn)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(installLock)); err != nil {
			return err
		}
		_, err := tx.Conn().PgConn().Exec(ctx, installSQL).ReadAll()
		return err
	})
	if err != nil {
		return fmt.Errorf("installing the schema realtime: %w; the user needs to create schemas, roles and publications, as a superuser can", err)
	}
	return nil
}

const (
	messagesKept = 72 * time.Hour // as the original keeps them
	pruneEvery   = time.Hour
)

// prune deletes messages that were read long ago. Every node may do it.
func (f *Feed) prune(ctx context.Context) {
	err := f.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var installed bool
		if err := conn.QueryRow(ctx, `select to_regclass('realtime.messages') is not null`).Scan(&installed); err != nil || !installed {
			return err
		}
		_, err := conn.Exec(ctx, `delete from realtime.messages where inserted_at < now() - $1::interval`, messagesKept.String())
		return err
	})
	if err != nil && ctx.Err() == nil {
		f.cfg.Logger.Warn("old messages are not deleted; trying again in an hour", "err", err)
	}
}
