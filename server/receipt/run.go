package receipt

import (
	"context"
	"errors"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

const (
	beatEvery  = time.Second
	downAfter  = 3500 * time.Millisecond // silence of a node after which it is not counted on
	flushEvery = 250 * time.Millisecond
	rankStep   = time.Second            // by which each node waits longer than the one before
	askBefore  = 500 * time.Millisecond // an escalation, for the receipts of the others
	settle     = 5 * time.Second        // for a message that comes late: others have dealt with it, and will say so
	sweepEvery = 30 * time.Second

	maxPublishing = 64 // escalations at once
)

// Run tells the other nodes what changes and escalates what is due, until ctx ends. Then it says goodbye.
func (l *Ledger) Run(ctx context.Context) error {
	if l.started.Swap(true) {
		return errors.New("receipts run already: make a new ledger for a new run")
	}
	defer l.busy.Wait()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	l.beat()
	for {
		select {
		case <-ctx.Done():
			l.send([]gossip{{Bye: true}})
			return nil
		case <-beat.C:
			l.beat()
		case <-sweep.C:
			l.sweep()
		case <-l.wake:
		case <-alarm.C:
		}
		l.send(l.outgoing())
		l.escalate(ctx)
		if next := l.next(); !next.IsZero() {
			alarm.Reset(time.Until(next))
		}
	}
}

// next is when there is something to do, or zero.
func (l *Ledger) next() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.agenda.due()
	if len(l.dirty) > 0 {
		if flush := l.flushed.Add(flushEvery); next.IsZero() || flush.Before(next) {
			next = flush
		}
	}
	return next
}

// sweep forgets what is too old, and renews what is not.
func (l *Ledger) sweep() {
	now := time.Now()
	for i := range parts {
		l.mu.Lock()
		l.roster.forget(i, backbone.At(now.Add(-l.cfg.RosterFor)))
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.roster.refresh(backbone.At(now.Add(-l.cfg.RosterFor/4)), l.cfg.Clock()) {
		l.dirty[m] = struct{}{}
	}
	for l.order.len() > 0 && since(l.order.first().published, now) > l.cfg.Keep {
		l.drop()
	}
}

// firstLook is when to see whether a message has to be escalated: early enough for asking the others first.
func (l *Ledger) firstLook(t *tally, now time.Time) time.Time {
	due := t.published.Time().Add(l.cfg.EscalateAfter)
	if due.Before(now) {
		due = now.Add(settle)
	}
	return due.Add(-l.askBefore())
}

// askBefore is how long before an escalation the others are asked for their receipts.
func (l *Ledger) askBefore() time.Duration { return min(askBefore, l.cfg.EscalateAfter/2) }

// escalate does what is due on the agenda.
func (l *Ledger) escalate(ctx context.Context) {
	var queries []query
	l.mu.Lock()
	for now := time.Now(); ; {
		t := l.agenda.next(now)
		if t == nil {
			break
		}
		if t.escalated || t.missing(l.roster) == 0 {
			continue
		}
		switch t.stage {
		case waiting:
			if n := rank(l.cfg.Node, l.alive(now), t.message); n > 0 {
				l.agenda.put(t, ranked, t.due.Add(time.Duration(n)*rankStep))
				continue
			}
			fallthrough
		case ranked:
			queries = append(queries, query{t.room, t.id})
			l.agenda.put(t, asked, t.due.Add(l.askBefore()))
		case asked:
			if !l.publish(ctx, t, now) {
				l.agenda.put(t, asked, now.Add(rankStep))
			}
		}
	}
	l.mu.Unlock()
	if len(queries) > 0 {
		l.send([]gossip{{Query: queries}})
	}
}

// publish has an escalation published, unless too many are being published: false. mu is held.
func (l *Ledger) publish(ctx context.Context, t *tally, now time.Time) bool {
	select {
	case l.slots <- struct{}{}:
	default:
		return false
	}
	s := t.status(l.roster)
	e := Escalation{ID: EscalationID(t.id), Room: t.room, Path: t.path, Escalation: protocol.Escalation{
		ID: t.id, Missing: s.Missing, Told: len(s.Told), AfterMS: since(t.published, now).Milliseconds(),
	}}
	t.escalated = true
	// Owner: Run, which waits for it; ends when Escalate does, which ends with ctx; bounded by maxPublishing.
	l.busy.Go(func() {
		defer func() { <-l.slots }()
		if err := l.cfg.Escalate(ctx, e); err != nil {
			l.metrics.failed.Inc()
			l.log.Error("an escalation may not have reached everybody", "id", e.Escalation.ID, "room", e.Room, "missing", len(e.Missing), "err", err)
			return
		}
		l.metrics.escalations.Inc()
		l.log.Warn("an urgent message has not been confirmed by everybody: escalated", "id", e.Escalation.ID, "room", e.Room, "missing", len(e.Missing), "told", e.Told)
	})
	return true
}
