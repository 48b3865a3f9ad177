// Package source follows the changes of a PostgreSQL database: every row that a committed transaction
// inserted, updated or deleted in a published table, in the order of the commits, is handed to Publish.
//
// It reads a logical replication slot, PostgreSQL's own queue of what has not been read yet. All nodes
// share one slot. PostgreSQL gives a slot to one connection at a time, so the slot is the lock that
// decides which node reads: one does, the others look every 300 ms whether it is free.
//
//	             ┌─ node A: Reader ──> Publish ──> held by two regions ──┐
//	slot ────────┤                                                       ├──> confirmed: PostgreSQL forgets it
//	  (the lock) └─ node B: Reader, stands by
//
// # Guarantees
//
// Nothing is lost: PostgreSQL is told to forget a transaction only when all of its changes, and all
// before them, are held. Whatever is not confirmed when a reader ends comes again to the next one.
//
// Nothing counts twice: the ID of a change follows from where it is in the WAL, not from who reads it
// or when. A reader that takes over publishes again, under the same IDs, what its predecessor
// published and did not confirm; the log knows IDs that it has. What the own log has for certain
// (Known) is not even published again. That question matters only for transactions that committed
// before this reader got the slot, since nobody else can have read a later one: so the end of the WAL
// is noted when the slot has been got, and Known is asked about what committed before that place.
//
// Order: Publish is called in the order of the commits, and in a transaction in the order of the
// statements. A change that is not held in time is published again, later than those behind it; that is
// not a second delivery, as subscribers had it in order the first time. A change that Publish refuses
// holds up those behind it until it is taken.
//
// A reader whose process dies frees the slot at once. One whose machine or network falls silent
// frees it after ReleaseAfter, in which PostgreSQL (wal_sender_timeout) waits for its report; if
// it lives, it may still publish what it had read, with the IDs that the next reader uses for it.
//
// # Limits
//
// The slot lives in one PostgreSQL. If that fails over to a standby, the slot goes with it only if it
// is synchronized (PostgreSQL 17, failover slots; or a tool that does it). Else a new slot is created,
// which begins at that moment: what committed between the last confirmed transaction and then is not
// delivered, and a warning is logged. The same holds for a slot that somebody drops, or that
// PostgreSQL gives up because it held back more than max_slot_wal_keep_size. As long as no node
// reads, PostgreSQL keeps its WAL for the slot: watch wedsync_changes_reader, of which the sum over
// all nodes should be 1.
//
// TRUNCATE, changes of the schema, sequences and large objects are not told. Types and primary keys
// are looked up in the catalog as it is when the change is read; a type that has been dropped since
// is "unknown", and the primary key of a table dropped since is not marked unless it was the replica
// identity.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Reader follows the slot whenever no other reader does.
type Reader struct {
	cfg Config
	log *slog.Logger
	m   *metrics

	followed bool   // the slot existed when this reader last looked
	standing bool   // by; it has been told that another node reads
	told     string // the last error, so that the same one is not told again and again
}

// New checks the configuration; Run does the work.
func New(cfg Config) (*Reader, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of the change reader: %w", err)
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Reader{cfg: cfg, log: cfg.Logger.With("slot", cfg.Slot), m: m}, nil
}

// wellAfter is how long a session must have lasted for the next one to be tried at once.
const wellAfter = 5 * time.Second

// Run reads until ctx ends, then waits for what is under way (at most Grace), confirms it, and
// returns nil. Errors of the database are logged and tried again for ever. It is called once.
func (r *Reader) Run(ctx context.Context) error {
	pause := newPause(5 * time.Second)
	for {
		start := time.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(start) > wellAfter {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		if p := (*problem)(nil); errors.As(err, &p) {
			wait = r.cfg.RetryProblem
		}
		r.tell(err, wait)
		r.m.reconnects.Inc()
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// tell logs an error, in full the first time.
func (r *Reader) tell(err error, wait time.Duration) {
	if err.Error() == r.told {
		r.log.Debug("still no changes from PostgreSQL", "error", err, "again", wait)
		return
	}
	r.told = err.Error()
	level := slog.LevelWarn
	if p := (*problem)(nil); errors.As(err, &p) {
		level = slog.LevelError
	}
	r.log.Log(context.Background(), level, "no changes from PostgreSQL; trying again", "error", err, "again", wait)
}

// session waits for the slot, follows it, and returns what ended that.
func (r *Reader) session(ctx context.Context) error {
	cat, err := openCatalog(ctx, r.cfg.URL)
	if err != nil {
		return explain(err, &r.cfg)
	}
	defer cat.close()
	l, err := r.acquire(ctx, cat)
	if err != nil {
		return err
	}
	defer l.close()
	// Nobody else reads from now on, so nothing beyond this can have been published by another.
	bound, err := cat.end(ctx)
	if err != nil {
		return explain(err, &r.cfg)
	}
	r.log.Info("this node reads the changes of the database now", "publication", r.cfg.Publication)
	r.standing, r.told = false, ""
	r.m.reading.Set(1)
	defer r.m.reading.Set(0)
	defer r.m.lag.Set(0)
	return explain(newStream(&r.cfg, r.log, r.m, l, cat, bound).run(ctx), &r.cfg)
}

// acquire returns a line as soon as the slot is free. It creates what is missing: the publication
// before the slot, because from the slot's beginning on the publication must have existed.
func (r *Reader) acquire(ctx context.Context, cat *catalog) (*line, error) {
	for {
		st, err := cat.state(ctx, r.cfg.Slot, r.cfg.Publication)
		if err != nil {
			return nil, explain(err, &r.cfg)
		}
		if err := st.check(&r.cfg); err != nil {
			return nil, err
		}
		if !st.Publication {
			if err := r.createPublication(ctx, cat, st.Slot); err != nil {
				return nil, err
			}
		}
		if !st.Slot {
			if err := r.createSlot(ctx, cat); err != nil {
				return nil, err
			}
		}
		r.followed = true
		// Looking first keeps PostgreSQL's own log free of refusals.
		if !st.Active {
			l, err := dial(ctx, &r.cfg)
			if err = explain(err, &r.cfg); !errors.Is(err, errBusy) {
				return l, err
			}
		}
		if !r.standing {
			r.standing = true
			r.log.Info("another node reads the changes of the database; this one stands by")
		}
		r.told = ""
		if !sleep(ctx, jitter(r.cfg.RetryBusy)) {
			return nil, context.Cause(ctx)
		}
	}
}

func (r *Reader) createPublication(ctx context.Context, cat *catalog, slotExists bool) error {
	err := cat.createPublication(ctx, r.cfg.Publication)
	switch {
	case hasCode(err, codeAlreadyThere) || hasCode(err, codeDuplicate): // another node was faster
		return nil
	case err != nil:
		return explain(fmt.Errorf("creating publication %s: %w", r.cfg.Publication, err), &r.cfg)
	}
	r.log.Info("publication created, without tables: add those whose changes are wanted, ALTER PUBLICATION … ADD TABLE …",
		"publication", r.cfg.Publication)
	if slotExists {
		r.log.Warn("the slot is older than the publication: if changes of the time before are still in it, PostgreSQL will refuse to decode them",
			"publication", r.cfg.Publication)
	}
	return nil
}

func (r *Reader) createSlot(ctx context.Context, cat *catalog) error {
	if r.followed {
		r.log.Warn("the replication slot is gone: changes committed between the last ones delivered and the creation of a new one are lost to subscribers")
	}
	r.log.Info("creating the replication slot; PostgreSQL waits for the transactions that are running now")
	err := cat.createSlot(ctx, r.cfg.Slot)
	switch {
	case hasCode(err, codeAlreadyThere): // another node was faster
		return nil
	case err != nil:
		return explain(fmt.Errorf("creating replication slot %s: %w", r.cfg.Slot, err), &r.cfg)
	}
	r.log.Info("replication slot created: changes committed from now on are delivered, and kept by PostgreSQL until a node has read them; " +
		"to give up reading for good, drop it with pg_drop_replication_slot")
	return nil
}

// newPause grows from a tenth of a second to longest, give or take a half.
func newPause(longest time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = 100*time.Millisecond, longest, 2
	b.Reset()
	return b
}

// jitter spreads d by a third to both sides, so that nodes do not ask in step.
func jitter(d time.Duration) time.Duration { return d*2/3 + rand.N(d*2/3+1) }

// sleep says whether it lasted to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
