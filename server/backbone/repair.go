package backbone

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Times and limits of repair.
const (
	// A peer that has not been reached for so long after the start counts as unreachable.
	firstContact = 2*dialTimeout + reconnectWait
	repairRetry  = 250 * time.Millisecond
)

// repair reads one peer's log of one lane to its end, over and over, and copies into the own log
// what that does not have (anti-entropy). It starts from a cursor on disk, so that a node
// that comes back reads what it has missed and no more.
type repair struct {
	cfg     *Config
	peer    *link
	own     *ownLog
	cursors *cursors
	reached func(node string) bool // whether a node's own copies can come here
	log     *slog.Logger
	kicked  chan struct{}

	mu          sync.Mutex // guards the following: what CaughtUp says
	started     time.Time
	epoch       uint64 // of the connection that the rest is about; 0: none yet
	seq, target uint64 // looked at up to here; the log's end when the connection was made
	done        bool   // seq has reached target
}

// status says whether this log has been read to the end that it had when it was reached last, and
// if not, why. A peer that cannot be reached has nothing to wait for.
func (r *repair) status() (caughtUp bool, why string) {
	up, epoch := r.peer.up.Load(), r.peer.epoch.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	name := fmt.Sprintf("%s %v", r.peer.peer.Node, r.peer.lane)
	switch {
	case !up && epoch == 0 && time.Since(r.started) < firstContact:
		return false, name + ": connecting"
	case !up:
		return true, name + ": unreachable"
	case r.epoch != epoch:
		return false, name + ": connected, not read yet"
	case !r.done:
		return false, fmt.Sprintf("%s: %d messages behind", name, r.target-min(r.seq, r.target))
	}
	return true, ""
}

// run repairs until ctx ends.
func (r *repair) run(ctx context.Context) {
	for ctx.Err() == nil {
		if conn := r.peer.get(); conn != nil && r.peer.up.Load() {
			if err := r.session(ctx, conn, r.peer.epoch.Load()); err != nil && ctx.Err() == nil && r.peer.up.Load() {
				r.log.Warn("repair interrupted; it goes on from its cursor", "err", err)
			}
		}
		r.pause(ctx, repairRetry)
	}
}

// pause waits, or less if the link was connected anew.
func (r *repair) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.kicked:
	case <-timer.C:
	}
}

func (r *repair) kick() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

// session works on one connection, as long as it lasts.
func (r *repair) session(ctx context.Context, conn *nats.Conn, epoch uint64) error {
	ctx, end := r.peer.during(ctx)
	defer end()
	ask, cancel := context.WithTimeout(ctx, batchTimeout)
	info, err := streamInfo(ask, conn, r.own.lane)
	cancel()
	if err != nil {
		return err
	}
	node := r.peer.peer.Node
	at := place{info.Created, r.cursors.get(r.own.lane, node, info.Created)}
	if at.Seq > info.State.LastSeq {
		at.Seq = 0 // the log has lost its end, to a power failure perhaps, and will use these numbers again
		r.cursors.set(r.own.lane, node, at)
	}
	r.mu.Lock()
	r.epoch, r.seq, r.target = epoch, at.Seq, info.State.LastSeq
	r.done = r.seq >= r.target
	r.mu.Unlock()

	reader, err := newReader(conn, r.own.lane)
	if err != nil {
		return err
	}
	defer reader.close()
	for ctx.Err() == nil && r.peer.epoch.Load() == epoch {
		var batch []*Event
		last := at.Seq
		left, err := reader.batch(ctx, query{Seq: at.Seq + 1}, func(rec record) error {
			last = rec.seq
			if ev, err := Decode(rec.data); err != nil {
				r.log.Error("a peer's log holds what cannot be read", "seq", rec.seq, "err", err)
			} else if !r.own.known.has(key(ev)) {
				batch = append(batch, ev)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := r.copyMissing(ctx, batch); err != nil {
			return err
		}
		if last != at.Seq {
			at.Seq = last
			r.cursors.set(r.own.lane, node, at)
		}
		r.peer.m.behind.Set(float64(left))
		r.mu.Lock()
		r.seq = at.Seq
		r.done = r.done || r.seq >= r.target || left == 0
		r.mu.Unlock()
		if left == 0 {
			r.pause(ctx, r.cfg.Poll)
		}
	}
	return nil
}

// copyMissing brings into the own log those of the events that it still does not have after the
// grace: most are only on their way, sent here by their publisher as they were there.
func (r *repair) copyMissing(ctx context.Context, batch []*Event) error {
	missing, err := r.missing(ctx, batch)
	if err != nil {
		return err
	}
	if wait := r.grace(missing, time.Now()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if missing, err = r.missing(ctx, missing); err != nil {
			return err
		}
	}
	return r.own.adopt(ctx, missing, r.peer.m.repaired)
}

// missing returns those of the events that the own log lacks and should have. Events close to the
// end of their life are left out: they would start a new one here, and return from here to logs
// that have forgotten them.
func (r *repair) missing(ctx context.Context, events []*Event) ([]*Event, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if err := r.own.follow(ctx); err != nil {
		return nil, err
	}
	oldest := At(time.Now().Add(r.cfg.MaxAge/64 - r.cfg.MaxAge))
	var missing []*Event
	for _, ev := range events {
		if ev.HLC > oldest && !r.own.known.has(key(ev)) {
			missing = append(missing, ev)
		}
	}
	return missing, nil
}

// grace is how long to wait for the slowest of the events. Nothing is on its way from a node that
// cannot be reached, nor after a time many times the grace.
func (r *repair) grace(batch []*Event, now time.Time) time.Duration {
	for _, ev := range batch {
		if now.Sub(ev.HLC.Time()) < 10*r.cfg.Grace && r.reached(ev.Origin) {
			return r.cfg.Grace
		}
	}
	return 0
}
