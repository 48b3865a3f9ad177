package urgent

import (
	"context"
	"slices"

	"github.com/wedsync/wedsync/server/backbone"
)

// Since returns the held events of a room with HLC >= from, of both lanes, oldest first, marked as replayed; at
// most limit of them (0: all), the oldest, so that a reader can go on from the last one. Casts are not kept.
func (l *Lane) Since(ctx context.Context, room string, from backbone.HLC, limit int) ([]*backbone.Event, error) {
	events, ok := l.shard(room).since(room, from)
	source := "ring"
	if !ok {
		source = "log"
		stored, err := l.b.Since(ctx, room, from, 0)
		if err != nil {
			return nil, err
		}
		// What came while the log was read, or is not on the disk yet, is in the ring.
		recent := l.recent(room, from)
		events = merge(stored, recent)
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

// recent returns what the ring has from a clock value on, complete or not.
func (l *Lane) recent(room string, from backbone.HLC) []*backbone.Event {
	s := l.shard(room)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rings.rooms[room]
	if r == nil {
		return nil
	}
	var events []*backbone.Event
	for _, ev := range r.events {
		if ev.HLC >= from {
			events = append(events, ev)
		}
	}
	return events
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
