package urgent

import (
	"slices"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// Bounds of what is kept in memory for clients that come back. Beyond them the stored log serves.
const (
	ringLen   = 256              // events of a room
	ringBytes = 1 << 20          // payload of a room
	ringFor   = 10 * time.Minute // since the room's last event
	sweepGap  = time.Minute      // between two looks for rooms that have gone quiet
	// settling is how long after its start a node does not trust its rings: clocks of other nodes
	// may be ahead, so events with later stamps may have passed before it started.
	settling = 10 * time.Second
)

// rings keep the latest events of each room of a shard, oldest first.
type rings struct {
	rooms map[string]*ring
	// Every event with a value above low that came since the start is in its ring, or its ring says
	// otherwise. It rises when a ring is dropped.
	low   backbone.HLC
	swept time.Time
}

type ring struct {
	events []*backbone.Event // sorted by backbone.Compare
	bytes  int
	low    backbone.HLC // every event of the room above it is in the ring
	last   time.Time    // when an event came
}

func newRings(start backbone.HLC) rings {
	return rings{rooms: map[string]*ring{}, low: backbone.At(start.Time().Add(settling))}
}

// add keeps an event. Late ones are put in their place.
func (r *rings) add(ev *backbone.Event, now time.Time) {
	if now.Sub(r.swept) > sweepGap {
		r.sweep(now)
	}
	kept := *ev
	kept.Sender = nil // a ring must not keep a member alive that has left
	room := r.rooms[ev.Room]
	if room == nil {
		room = &ring{low: r.low}
		r.rooms[ev.Room] = room
	}
	room.add(&kept, now)
}

func (r *ring) add(ev *backbone.Event, now time.Time) {
	at, _ := slices.BinarySearchFunc(r.events, ev, backbone.Compare)
	r.events = slices.Insert(r.events, at, ev)
	r.bytes += len(ev.Payload)
	r.last = now
	drop := 0
	for len(r.events)-drop > ringLen || r.bytes > ringBytes {
		oldest := r.events[drop]
		r.bytes -= len(oldest.Payload)
		r.low = max(r.low, oldest.HLC)
		drop++
	}
	r.events = slices.Delete(r.events, 0, drop)
}

// sweep drops the rings of rooms without events for a while.
func (r *rings) sweep(now time.Time) {
	r.swept = now
	for name, room := range r.rooms {
		if now.Sub(room.last) > ringFor {
			if n := len(room.events); n > 0 {
				room.low = max(room.low, room.events[n-1].HLC)
			}
			r.low = max(r.low, room.low)
			delete(r.rooms, name)
		}
	}
}

// since returns the room's events with a clock value of at least from; false if some may be missing.
func (r *rings) since(name string, from backbone.HLC) ([]*backbone.Event, bool) {
	room := r.rooms[name]
	if room == nil {
		return nil, from > r.low
	}
	if from <= room.low {
		return nil, false
	}
	at, _ := slices.BinarySearchFunc(room.events, from, compareHLC)
	return slices.Clone(room.events[at:]), true
}

// recent returns what the ring has from a clock value on, complete or not.
func (r *rings) recent(name string, from backbone.HLC) []*backbone.Event {
	room := r.rooms[name]
	if room == nil {
		return nil
	}
	at, _ := slices.BinarySearchFunc(room.events, from, compareHLC)
	return slices.Clone(room.events[at:])
}

// compareHLC finds the first event of a clock value: it never says that one is equal, since several may be.
func compareHLC(ev *backbone.Event, from backbone.HLC) int {
	if ev.HLC < from {
		return -1
	}
	return 1
}

// learn takes what the log holds of a room from a clock value on, so that the next who asks need not read
// the disk: when a node returns, every supplier of a wedding asks at once. If it is more than a ring
// holds, the ring forgets the oldest again, and says so.
func (r *rings) learn(name string, from backbone.HLC, events []*backbone.Event, now time.Time) {
	room := r.rooms[name]
	if room == nil {
		room = &ring{low: r.low}
		r.rooms[name] = room
	}
	room.low = min(room.low, max(from, 1)-1)
	room.last = now
	have := make(map[string]bool, len(room.events))
	for _, ev := range room.events {
		have[ev.ID] = true
	}
	for _, ev := range events {
		if !have[ev.ID] {
			room.add(ev, now)
		}
	}
}
