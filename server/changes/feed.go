// Package changes tells channels what changes in a PostgreSQL database: Supabase's Postgres changes, and its
// broadcasts from the database.
//
//	            one node                              every node
//	PostgreSQL ─────────> source ──> Publish ──> log ─────────> Deliver ──> index ──> rights ──> Subscriber
//	  WAL, slot            reader                 held in         queue      which     who may
//	                                              two regions                entries   see it
//
// Each node starts a Feed. All of them try to read from the same replication slot, which PostgreSQL gives to one:
// the slot is the lock, and there is no other. The reader turns each change of a row into an event of the internal
// Room and publishes it into the log of the cluster like any other event; PostgreSQL is told that it may forget a
// change once logs of two regions hold it. If the reader dies, another node gets the slot and reads again what was
// not confirmed; a change has the same id whoever reads it, so that the log refuses the second copy. From the log
// each node gets each change once, in the order of the commits, and Deliver takes it.
//
// What happens next is the same on all nodes, and each does it for its own subscribers. A queue of bounded length
// leads to one worker. It decodes the change once, finds the entries that want it in the index (by table; those
// with an equality filter by the value that they want), and puts the entries of one channel into one message. Roles
// see the columns that they may select. With row level security on, the database is asked, under the role and the
// claims of the bearer, whether he sees the row, once for all channels with equal claims, and for up to 64 bearers
// and changes in one trip. A channel that waits for such an answer gets what follows after it; nobody else waits.
// The JSON is written once for all who see the same columns.
//
// Subscribing checks the entries against the database: the table is in the publication, the role exists, it may
// select the columns of filter and selection, the literals are of the columns' types. What is known of tables and
// rights is kept for RightsAge and renewed while changes come.
//
// # What is promised
//
//   - A subscription is told every change that is committed after its ok, once, in the order of the commits, over
//     the death of nodes, regions, readers and of the database, as long as its node lives. Where that cannot be kept
//     it ends, and Lost says so: if the node falls behind by more than the queue, if row level security takes longer
//     than changes come, or if the database does not answer for Patience. Nothing is delivered beyond such a gap.
//     Its client joins again, and with config.wedsync.resume gets the gap from the log (Replay).
//   - A row is never told to somebody whose rights were not established: not when a check fails, nor when it takes
//     too long, nor when the primary key is unknown.
//
// # What is not
//
//   - Rights are those of the moment in which the change is delivered (at most RightsAge ago for tables, columns and
//     roles), not of the commit, as in the original. So whoever is under row level security is not told of the
//     insert of a row that has been deleted, or hidden, since.
//   - Whoever may select something of a table is told the primary keys of deleted rows under row level security:
//     their rows are gone, so that nobody can be asked.
//   - A large value that an update left alone is not in the WAL. With REPLICA IDENTITY FULL it is taken from the old
//     row; else it is missing in the record, and filters on it do not match. Likewise, filters on columns outside
//     the replica identity do not match deletions.
//   - Of a change of more than 1 MiB only small values are told (Error 413), and filters see those up to 2,704 bytes.
//   - A table that is created after a subscription with wildcards is part of it, unless that has a filter.
//   - TRUNCATE is not told.
//   - What a region missed while it was cut off comes once it is back, late, and may come behind newer changes.
//     Those who subscribe after that are not told of it.
package changes

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/source"
)

// Room is the room in which changes travel through the log. Nobody can join it.
const Room = "changes:postgres"

// Feed is one node's part.
type Feed struct {
	cfg     Config
	m       *metrics
	db      *database
	catalog *catalog
	index   *index
	bearers *bearers
	queue   chan *backbone.Event
	// overflowed: a change found the queue full. Those behind it have not been looked at yet.
	overflowed atomic.Bool

	life    context.Context // ends with Close
	stop    context.CancelFunc
	closing sync.RWMutex // held for reading while a goroutine is added to the following
	running sync.WaitGroup
}

// Start begins to read and to deliver. It does not wait for the database. The context bounds the start only.
func Start(ctx context.Context, cfg Config) (*Feed, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of Postgres changes: %w", err)
	}
	cfg = cfg.withDefaults()
	f := &Feed{cfg: cfg, index: newIndex(), bearers: newBearers(), queue: make(chan *backbone.Event, cfg.QueueLen)}
	var err error
	if f.db, err = openDatabase(cfg.URL, cfg.Connections); err != nil {
		return nil, err
	}
	f.catalog = newCatalog(f.db, &f.cfg, f.recheck)
	reader, err := source.New(source.Config{URL: cfg.URL, Slot: cfg.Slot, Publication: cfg.Publication,
		Publish: f.publish, Known: cfg.Known, Logger: cfg.Logger, Registerer: cfg.Registerer})
	if err != nil {
		return nil, fmt.Errorf("configuration of Postgres changes: %w", err)
	}
	if f.m, err = newMetrics(cfg.Registerer, func() float64 { return float64(len(f.queue)) }); err != nil {
		return nil, err
	}
	f.life, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	w := newWorker(f)
	// Owner: the feed; they end with Close.
	f.goRun(func() {
		if err := reader.Run(f.life); err != nil && f.life.Err() == nil {
			cfg.Logger.Error("Postgres changes are not read any more", "err", err)
		}
	})
	f.goRun(func() { w.run(f.life) })
	f.goRun(func() { f.refresh(f.life) })
	return f, nil
}

// goRun starts a goroutine that Close waits for; it must end when the feed's life does. Once that is over it
// starts nothing.
func (f *Feed) goRun(run func()) {
	f.closing.RLock()
	defer f.closing.RUnlock()
	if f.life.Err() == nil {
		f.running.Go(run)
	}
}

// Close ends reading and delivering. What was read and is not held yet is read again, here or elsewhere.
func (f *Feed) Close(ctx context.Context) error {
	f.closing.Lock()
	f.stop()
	f.closing.Unlock()
	done := make(chan struct{})
	go func() { // ends with the goroutines of the feed, which have been told to
		defer close(done)
		f.running.Wait()
		f.db.close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the Postgres changes: %w", ctx.Err())
	}
}

// Deliver takes a change from the log: each once, in order, one call at a time. It never blocks.
func (f *Feed) Deliver(ev *backbone.Event) {
	select {
	case f.queue <- ev:
	default:
		f.overflowed.Store(true)
	}
}

// newEvent makes the event in which a change travels.
func newEvent(c *source.Change) (*backbone.Event, error) {
	payload, err := encode(c)
	if err != nil {
		return nil, err
	}
	ev := &backbone.Event{ID: c.ID, Lane: protocol.Normal, Room: Room, Name: c.Type, Form: backbone.JSON, Payload: payload}
	if err := ev.Validate(); err != nil {
		return nil, fmt.Errorf("a change of %s.%s: %w", c.Schema, c.Table, err)
	}
	return ev, nil
}

// refresh keeps what is known of busy tables fresh, so that no change waits for it, and the messages few.
func (f *Feed) refresh(ctx context.Context) {
	ticker := time.NewTicker(f.cfg.RightsAge / 2)
	defer ticker.Stop()
	hourly := time.NewTicker(pruneEvery)
	defer hourly.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.catalog.refresh(ctx)
		case <-hourly.C:
			if f.cfg.Broadcast != nil {
				f.prune(ctx)
			}
		}
	}
}

// recheck compiles subscriptions again whose table has other columns than before.
func (f *Feed) recheck(k key) {
	for _, s := range f.index.subscriptions(&k) {
		s.mu.Lock()
		claims := s.claims
		s.mu.Unlock()
		s.start(claims, false)
	}
}
