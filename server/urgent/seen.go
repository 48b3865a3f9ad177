package urgent

import (
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// How long an id is remembered at least; at most it is twice as long. Bulk is not published again after
// minutes, and there is much of it.
const (
	seenFor     = 5 * time.Minute
	bulkSeenFor = 30 * time.Second
)

// seen remembers which events this node has delivered, in two generations. What is older than the
// older generation cannot be judged from memory; horizon says from when on it can: every event with
// a clock value of at least horizon that was ever delivered here is remembered. (An event delivered
// before the generation began had moved this node's clock past its own value by then.)
//
// An event below the horizon is either long delivered, or comes late by repair. The own log knows
// which: it takes each id once. So such an event is delivered when, and only when, the own log has
// just stored it.
type seen struct {
	now, old map[seenKey]*entry
	born     time.Time // of now
	bornHLC  backbone.HLC
	horizon  backbone.HLC
	clock    *backbone.Clock
	span     time.Duration
}

type seenKey struct{ room, id string }

// entry is what is kept of a delivered event: its first stamp, which later copies of the id must
// carry too, and the hold if it was published here.
type entry struct {
	hlc    backbone.HLC
	origin string
	hold   *hold
}

func newSeen(start backbone.HLC, clock *backbone.Clock, now time.Time, span time.Duration) seen {
	return seen{now: map[seenKey]*entry{}, born: now, bornHLC: start, horizon: start, clock: clock, span: span}
}

// get returns the entry of an event, or nil if it was not seen.
func (s *seen) get(ev *backbone.Event) *entry {
	k := seenKey{ev.Room, ev.ID}
	if e := s.now[k]; e != nil {
		return e
	}
	return s.old[k]
}

// add remembers an event that is about to be delivered.
func (s *seen) add(ev *backbone.Event, now time.Time) *entry {
	if now.Sub(s.born) >= s.span {
		s.old, s.horizon = s.now, s.bornHLC
		s.now, s.born, s.bornHLC = map[seenKey]*entry{}, now, s.clock.Now()
	}
	e := &entry{hlc: ev.HLC, origin: ev.Origin}
	s.now[seenKey{ev.Room, ev.ID}] = e
	return e
}
