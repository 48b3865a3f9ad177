package changes

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// verdict is whether somebody may see a row.
type verdict uint8

const (
	undecided verdict = iota
	visible
	hidden
	unanswered // the database did not say
)

// question asks row level security whether a bearer sees the row of a change, as it is now.
type question struct {
	bearer *bearer
	sql    string   // selects whether the row is visible, and whether its transaction is
	args   [][]byte // the row's primary key, and the transaction
	reply  verdict  // of the trip that is under way

	// The worker's own.
	answer verdict
	subs   []*Subscription // that wait for the answer
}

// newQuestion returns nil if the change does not tell the whole primary key.
func newQuestion(b *bearer, r *record, t *table) *question {
	q := &question{bearer: b}
	var where []string
	for i := range t.columns {
		c := &t.columns[i]
		if !c.primary {
			continue
		}
		text, null, ok := r.value(c.name)
		if null || !ok {
			return nil
		}
		q.args = append(q.args, []byte(text))
		where = append(where, fmt.Sprintf("%s = $%d::%s", pgx.Identifier{c.name}.Sanitize(), len(q.args), c.sql))
	}
	q.args = append(q.args, []byte(strconv.FormatUint(uint64(r.XID), 10)))
	q.sql = "select exists (select from " + pgx.Identifier{t.schema, t.key.table}.Sanitize() + " where " + strings.Join(where, " and ") + "), " +
		fmt.Sprintf(transactionVisible, len(q.args))
	return q
}

// transactionVisible asks whether the snapshot of the statement has the transaction of the change: PostgreSQL
// hands a commit to replication a moment before other sessions see it, and a row that is not there yet must
// not count as one that is hidden. Replication names transactions by the low half of their number only; the
// other half is that of the newest one, or one less. 0 stands for a change of an older version, which did
// not say.
const transactionVisible = `(select xid = 0 or pg_visible_in_snapshot(
    (case when near > newest + 2147483648 then near - 4294967296 else near end)::text::xid8, now)
  from (select now, xid, newest, newest - newest %% 4294967296 + xid as near
    from (select now, pg_snapshot_xmax(now)::text::int8 as newest, $%d::int8 as xid
      from (select pg_current_snapshot() as now) a) b) c)`

const (
	// checkTime bounds the questions of one trip to the database, and each of them there.
	checkTime = 5 * time.Second
	// checkBatch is how many questions go in one trip.
	checkBatch = 64
	// checkPause is between two trips with the same questions.
	checkPause = 250 * time.Millisecond
)

// actAs makes what follows in the transaction happen under a role and claims, as PostgREST does.
const actAs = `select set_config('statement_timeout', $1, true), set_config('request.jwt.claims', $2, true),
  set_config('request.jwt.claim.sub', $3, true), set_config('request.jwt.claim.role', $4, true), set_config('role', $4, true)`

// ask answers the questions, all in one trip. Those that the database could not be asked, or whose
// transaction others cannot see yet, are asked again until
// the patience ends, and are unanswered then. A policy that raises an error hides the row from the bearer
// whose claims made it do so, and from nobody else.
func (f *Feed) ask(ctx context.Context, questions []*question) {
	deadline := time.Now().Add(f.cfg.Patience)
	open := questions
	for {
		trip, cancel := context.WithTimeout(ctx, checkTime)
		err := f.db.do(trip, func(ctx context.Context, conn *pgx.Conn) error { return f.askOnce(ctx, conn.PgConn(), open) })
		cancel()
		var still []*question
		for _, q := range open {
			if q.reply == undecided {
				still = append(still, q)
			}
		}
		if open = still; len(open) == 0 {
			break
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			f.cfg.Logger.Error("the database does not say who may see a change: those concerned have to subscribe again", "questions", len(open), "err", err)
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(checkPause):
		}
	}
	for _, q := range questions {
		switch q.reply {
		case visible:
			f.m.checks.WithLabelValues(checkVisible).Inc()
		case hidden:
			f.m.checks.WithLabelValues(checkHidden).Inc()
		default:
			q.reply = unanswered
			f.m.checks.WithLabelValues(checkUnknown).Inc()
		}
	}
}

// askOnce sends the questions in one pipeline. A sync after each makes it a transaction of its own: its
// settings and its error end with it.
func (f *Feed) askOnce(ctx context.Context, conn *pgconn.PgConn, questions []*question) error {
	pipeline := conn.StartPipeline(ctx)
	timeout := []byte(checkTime.String())
	for _, q := range questions {
		who := [][]byte{timeout, []byte(q.bearer.raw), []byte(q.bearer.subject), []byte(q.bearer.role)}
		pipeline.SendQueryParams(actAs, who, nil, nil, nil)
		pipeline.SendQueryParams(q.sql, q.args, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			return errors.Join(err, pipeline.Close())
		}
	}
	var failed error
	for _, q := range questions {
		answer, err := readAnswer(pipeline)
		switch {
		case err == nil:
			q.reply = answer
		case passing(err):
			failed = err
		default:
			f.cfg.Logger.Warn("row level security raised an error: the row is hidden", "code", "WarnApplyingRlsToSubscription",
				"role", q.bearer.role, "err", err)
			q.reply = hidden
			f.m.checks.WithLabelValues(checkFailed).Inc()
		}
	}
	return errors.Join(failed, pipeline.Close())
}

// readAnswer reads the results up to the next sync.
func readAnswer(pipeline *pgconn.Pipeline) (answer verdict, err error) {
	answer = hidden
	for {
		results, got := pipeline.GetResults()
		if got != nil {
			if err == nil {
				err = got
			}
			var pg *pgconn.PgError
			if errors.As(got, &pg) {
				continue // the sync is still to come
			}
			return undecided, err
		}
		switch r := results.(type) {
		case *pgconn.PipelineSync:
			return answer, err
		case *pgconn.ResultReader:
			answer = hidden
			for r.NextRow() {
				switch row := r.Values(); {
				case len(row) != 2: // that of actAs
				case string(row[1]) != "t": // the row may be that of before
					answer = undecided
				case string(row[0]) == "t":
					answer = visible
				}
			}
			if _, closed := r.Close(); closed != nil && err == nil {
				err = closed
			}
		default:
			return undecided, fmt.Errorf("asking row level security: %w", errNoAnswer)
		}
	}
}

var errNoAnswer = errors.New("the database has not answered all questions")
