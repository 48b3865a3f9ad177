package backbone

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// Stored is one entry of the own log, for the audit.
type Stored struct {
	ID, Room, Origin string
	HLC              HLC
	Seq              uint64
	StoredAt         time.Time // wall clock of this node, taken by the log
}

// Log reads the own log of a lane from its beginning to the end that it has by then. An error of
// the function ends it and is returned.
func (b *Backbone) Log(ctx context.Context, lane protocol.Lane, each func(Stored) error) error {
	if !slices.Contains(logged, lane) {
		return fmt.Errorf("there is no log of the %v lane: what it carries is not kept", lane)
	}
	return b.read(ctx, lane, query{}, func(rec record) error {
		ev, err := Decode(rec.data)
		if err != nil {
			return fmt.Errorf("entry %d of the %v log: %w", rec.seq, lane, err)
		}
		return each(Stored{ID: ev.ID, Room: ev.Room, Origin: ev.Origin, HLC: ev.HLC, Seq: rec.seq, StoredAt: rec.at})
	})
}

// Since returns the events of a room with HLC >= from that the own log holds, of both lanes, oldest
// first, at most limit of them (0: all). It reads from the disk; a ring in memory is cheaper.
func (b *Backbone) Since(ctx context.Context, room string, from HLC, limit int) ([]*Event, error) {
	// An event is stored after it was stamped, on whose clock ever; MaxAhead bounds how far
	// that clock can have been ahead of this one.
	start := from.Time().Add(-MaxAhead)
	var events []*Event
	for _, lane := range logged {
		q := query{Start: &start, Subjects: roomFilter(b.cfg.Node, lane, room)}
		err := b.read(ctx, lane, q, func(rec record) error {
			ev, err := Decode(rec.data)
			if err != nil {
				b.m.malformed.Inc()
				return nil // one bad entry must not keep the others from a client that resumes
			}
			if ev.HLC >= from {
				events = append(events, ev)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("history of room %q: %w", room, err)
		}
	}
	slices.SortFunc(events, Compare)
	if limit > 0 && len(events) > limit {
		events = events[:limit]
	}
	return events, nil
}

// Find returns an event that the own log holds, or nil.
func (b *Backbone) Find(ctx context.Context, lane protocol.Lane, room, id string) (*Event, error) {
	if !slices.Contains(logged, lane) {
		return nil, nil
	}
	data, err := findStored(ctx, b.own[lane].link.get(), lane, eventSubject(b.cfg.Node, &Event{Lane: lane, Room: room, ID: id}))
	if err != nil || data == nil {
		return nil, err
	}
	return Decode(data)
}

// Compare orders events: by clock, then by origin and id, the same on every node.
func Compare(a, b *Event) int {
	return cmp.Or(cmp.Compare(a.HLC, b.HLC), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.ID, b.ID))
}

// read hands all matching records of the own log to a function.
func (b *Backbone) read(ctx context.Context, lane protocol.Lane, q query, each func(record) error) error {
	r, err := newReader(b.own[lane].link.get(), lane)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		var last uint64
		left, err := r.batch(ctx, q, func(rec record) error {
			last = rec.seq
			return each(rec)
		})
		if err != nil || left == 0 {
			return err
		}
		q.Start, q.Seq = nil, last+1
	}
}
