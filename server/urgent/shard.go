package urgent

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

// shard is a part of the rooms. Its lock is held while an event is judged, kept and delivered, and
// while its copies are queued: so the events of a room reach members and logs in one order, and a
// second copy that comes by another road can never overtake the first between being judged and
// being delivered.
//
// Bulk has a lock and a memory of its own. What is large takes long to deliver, and nothing urgent
// may wait for it.
type shard struct {
	loading sync.Mutex // held while a room's history is read from the disk; taken before mu

	mu    sync.Mutex // guards the following
	seen  seen
	rings rings

	bulk     sync.Mutex // guards the following; never held together with mu
	seenBulk seen
}

var seed = maphash.MakeSeed()

func (l *Lane) shard(room string) *shard {
	return &l.shards[maphash.String(seed, room)%shards]
}

func (s *shard) init(start backbone.HLC, clock *backbone.Clock) {
	s.seen = newSeen(start, clock, time.Now(), seenFor)
	s.seenBulk = newSeen(start, clock, time.Now(), bulkSeenFor)
	s.rings = newRings(start)
}

// publish delivers the event if its id is new, and begins or joins the hold.
func (s *shard) publish(l *Lane, ev *backbone.Event, now time.Time) *hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.seen.get(ev)
	if first := e == nil; first {
		ev.HLC, ev.Origin = l.b.Clock().Now(), l.b.Node()
		e = s.seen.add(ev, now)
		s.rings.add(ev, now)
		l.deliver(ev)
	} else {
		// The same stamp as the first time, so that all copies of the event are alike.
		ev.HLC, ev.Origin = e.hlc, e.origin
		l.m.repeated.Inc()
	}
	if e.hold == nil {
		e.hold = newHold(l.need)
	}
	if e.hold.begin(now, l.cfg.Deadline) {
		if l.cfg.AckEarly {
			l.ackEarly(ev, e.hold)
		} else {
			l.b.Write(ev, now.Add(l.cfg.Deadline), e.hold.ack, e.hold.wanted)
		}
	}
	return e.hold
}

// cast stamps and delivers the event of a member here unless its id is known, and reports whether it did.
func (s *shard) cast(l *Lane, ev *backbone.Event) bool { return s.deliverCast(l, ev, true) }

// arriveCast takes a cast of another node.
func (s *shard) arriveCast(l *Lane, ev *backbone.Event) { s.deliverCast(l, ev, false) }

func (s *shard) deliverCast(l *Lane, ev *backbone.Event, stamp bool) bool {
	lock, memory := &s.mu, &s.seen
	if ev.Lane == protocol.Bulk {
		lock, memory = &s.bulk, &s.seenBulk
	}
	lock.Lock()
	defer lock.Unlock()
	if stamp {
		ev.HLC, ev.Origin = l.b.Clock().Now(), l.b.Node()
	}
	if ev.ID != "" {
		if memory.get(ev) != nil {
			return false
		}
		memory.add(ev, time.Now())
	}
	l.deliver(ev)
	return true
}

// arrive takes a copy of another node's event, or of one of our own that comes back, and delivers
// the first. It returns false if memory does not reach back far enough to tell; a stored copy is
// the only one of its id, so it needs no memory.
func (s *shard) arrive(l *Lane, ev *backbone.Event, stored bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.get(ev) != nil {
		return true
	}
	if !stored && ev.HLC < s.seen.horizon {
		return false
	}
	now := time.Now()
	s.seen.add(ev, now)
	s.rings.add(ev, now)
	l.deliver(ev)
	return true
}

// recall remembers an event as delivered.
func (s *shard) recall(ev *backbone.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.get(ev) == nil {
		s.seen.add(ev, time.Now())
	}
}

// since reads the room's ring; false if it does not reach back far enough.
func (s *shard) since(room string, from backbone.HLC) ([]*backbone.Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rings.since(room, from)
}
