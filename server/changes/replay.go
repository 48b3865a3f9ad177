package changes

import (
	"context"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// Replay delivers changes of the past to a subscription: those that its channel missed, as the log has them,
// oldest first. They are matched and judged by what the rights are now. It waits until the subscription is
// made, and returns when all have been delivered; an error means that they may have not. The caller sees to
// it that what is live does not come in between, or that the client drops what comes twice.
func (f *Feed) Replay(ctx context.Context, s *Subscription, events []*backbone.Event) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the subscription to be made: %w", ctx.Err())
	}
	s.mu.Lock()
	watches := s.watches
	s.mu.Unlock()
	for _, ev := range events {
		if s.ended.Load() {
			return nil
		}
		r, err := decode(ev.Payload)
		if err != nil {
			return err
		}
		if err := f.replay(ctx, s, watches, r, ev); err != nil {
			return err
		}
	}
	return nil
}

func (f *Feed) replay(ctx context.Context, s *Subscription, watches []*watch, r *record, ev *backbone.Event) error {
	var concerned []*watch
	for _, w := range watches {
		if w.key.covers(r.key()) && w.wants(r.Type) {
			concerned = append(concerned, w)
		}
	}
	if len(concerned) == 0 {
		return nil
	}
	who := concerned[0].bearer
	t, err := f.catalog.table(ctx, r.key(), time.Now().Add(-f.cfg.RightsAge), who.role)
	if err != nil {
		return err
	}
	if t == nil || !mayHear(r, t.roles[who.role]) {
		return nil
	}
	a := t.roles[who.role]
	byChoice := map[string][]*watch{}
	var order []string
	for _, w := range concerned {
		if failure(r, a) == "" && !w.matches(r) {
			continue
		}
		if byChoice[w.chosen] == nil {
			order = append(order, w.chosen)
		}
		byChoice[w.chosen] = append(byChoice[w.chosen], w)
	}
	if len(order) == 0 {
		return nil
	}
	if needsCheck(r, t, a) {
		q := newQuestion(who, r, t)
		if q == nil {
			return nil
		}
		f.ask(ctx, []*question{q})
		if q.reply == unanswered {
			return fmt.Errorf("replaying changes of %s.%s: the database does not say who may see them", r.Schema, r.Table)
		}
		if q.reply != visible {
			return nil
		}
	}
	for _, chosen := range order {
		f.m.delivered.Inc()
		s.Deliver(newView(r, t, a, chosen, ev).payload(idsOf(byChoice[chosen])), ev)
	}
	return nil
}
