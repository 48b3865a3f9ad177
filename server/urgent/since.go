package urgent

import (
	"context"
	"slices"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// Since returns the held events of a room with HLC >= from, of both lanes, oldest first, marked as
// replayed; at most limit of them (0: all), the oldest, so that a reader can go on from the last
// one. Casts are not kept.
func (l *Lane) Since(ctx context.Context, room string, from backbone.HLC, limit int) ([]*backbone.Event, error) {
	events, ok := l.shard(room).since(room, from)
	source := "ring"
	if !ok {
		var err error
		if events, source, err = l.load(ctx, room, from); err != nil {
			return nil, err
		}
	}
	l.m.since.WithLabelValues(source).Inc()
	if limit > 0 && len(events) > limit {
		events = events[:limit]
	}
	for i, ev := range events {
		replay := *ev // the ring's own is shared
		replay.Replayed = true
		events[i] = &replay
	}
	return events, nil
}

// learnBack is how much further back than asked the log is read: those who ask next ask for almost the same.
const learnBack = time.Minute

// load reads the log and lets the ring learn what it says. One reader at a time per shard: the others of
// a room that comes back find it in the ring.
func (l *Lane) load(ctx context.Context, room string, from backbone.HLC) (events []*backbone.Event, source string, err error) {
	s := l.shard(room)
	s.loading.Lock()
	defer s.loading.Unlock()
	if events, ok := s.since(room, from); ok {
		return events, "ring", nil
	}
	back := backbone.At(time.UnixMilli(max(0, from.Time().Add(-learnBack).UnixMilli())))
	stored, err := l.b.Since(ctx, room, back, 0)
	if err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What came while the log was read, or is not on the disk yet, is in the ring.
	events = merge(stored, s.rings.recent(room, from))
	s.rings.learn(room, back, stored, time.Now())
	at, _ := slices.BinarySearchFunc(events, from, compareHLC)
	return events[at:], "log", nil
}

// merge joins two lists of events of one room, oldest first, each id once.
func merge(a, b []*backbone.Event) []*backbone.Event {
	all := append(slices.Clone(a), b...)
	slices.SortStableFunc(all, backbone.Compare)
	ids := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(ev *backbone.Event) bool {
		if ids[ev.ID] {
			return true
		}
		ids[ev.ID] = true
		return false
	})
}
