package urgent

import (
	"strings"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// How long an id is remembered at least; at most it is a quarter longer. Bulk is not published again after
// minutes, and there is much of it.
const (
	seenFor     = 5 * time.Minute
	bulkSeenFor = 30 * time.Second
)

// generations is how many old ones there are: each is as long as a share of the span. Of few, memory would swing
// between the span and twice of it; each more costs a look when an id is new.
const generations = 4

// seen remembers which events this node has delivered, in generations. What is older than the oldest
// cannot be judged from memory; horizon says from when on it can: every event with a clock value of at
// least horizon that was ever delivered here is remembered. (An event delivered before the generation
// began had moved this node's clock past its own value by then.)
//
// An event below the horizon is either long delivered, or comes late by repair. The own log knows
// which: it takes each id once. So such an event is delivered when, and only when, the own log has
// just stored it.
type seen struct {
	now     map[seenKey]*entry
	old     [generations]generation // the youngest first
	born    time.Time               // of now
	bornHLC backbone.HLC
	horizon backbone.HLC
	clock   *backbone.Clock
	span    time.Duration
	held    map[string]*hold // one for all events that the same regions hold
}

// generation is what was seen for a time.
type generation struct {
	entries map[seenKey]*entry
	born    backbone.HLC
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
	s := seen{now: map[seenKey]*entry{}, born: now, bornHLC: start, horizon: start, clock: clock, span: span, held: map[string]*hold{}}
	for i := range s.old {
		s.old[i].born = start
	}
	return s
}

// get returns the entry of an event, or nil if it was not seen.
func (s *seen) get(ev *backbone.Event) *entry {
	k := seenKey{ev.Room, ev.ID}
	if e := s.now[k]; e != nil {
		return e
	}
	for i := range s.old {
		if e := s.old[i].entries[k]; e != nil {
			return e
		}
	}
	return nil
}

// add remembers an event that is about to be delivered.
func (s *seen) add(ev *backbone.Event, now time.Time) *entry {
	if now.Sub(s.born) >= s.span/generations {
		s.turn(now)
	}
	e := &entry{hlc: ev.HLC, origin: ev.Origin}
	s.now[seenKey{ev.Room, ev.ID}] = e
	return e
}

// turn begins a new generation, and forgets the oldest. What is held by now need not remember how it came about.
func (s *seen) turn(now time.Time) {
	for _, e := range s.now {
		if e.hold != nil && !e.hold.wanted() {
			regions := strings.Join(e.hold.regions, " ")
			if s.held[regions] == nil {
				s.held[regions] = e.hold
			}
			e.hold = s.held[regions]
		}
	}
	copy(s.old[1:], s.old[:generations-1])
	s.old[0] = generation{s.now, s.bornHLC}
	s.horizon = s.old[generations-1].born
	s.now, s.born, s.bornHLC = make(map[seenKey]*entry, len(s.now)), now, s.clock.Now()
}
