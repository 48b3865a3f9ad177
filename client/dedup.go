package client

import (
	"hash/maphash"
	"time"
)

const (
	memoryAge = 10 * time.Minute // an id is remembered at least so long …
	memoryIDs = 100_000          // … or until so many newer ones came
)

// memory remembers message ids in two generations: a lookup asks both, a new id goes to the young
// one, and when that is old or full it becomes the old one and the old one is forgotten. So it
// holds at most 2 × memoryIDs, forgets in bulk, and costs nothing until the first id comes: ten
// thousand clients live in one process. For the same reason it keeps 128 bits of a hash instead of
// the id.
type memory struct {
	young, old map[fingerprint]trace
	since      time.Time // when young began
}

type fingerprint [2]uint64

// seeds are random, so that nobody can prepare ids that collide.
var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func fingerprintOf(id string) fingerprint {
	return fingerprint{maphash.String(seeds[0], id), maphash.String(seeds[1], id)}
}

// trace is what is remembered of an id.
type trace struct {
	own      bool      // published by this client
	sessions [2]uint32 // the last two sessions that brought it; 0 is none
}

// by says whether the session is one of those that brought the message.
func (t trace) by(session int) bool {
	return t.sessions[0] == uint32(session) || t.sessions[1] == uint32(session)
}

// brought notes that a session has brought the message and returns what was known of it before.
func (m *memory) brought(id string, session int, now time.Time) (before trace, known bool) {
	key := fingerprintOf(id)
	before, known = m.find(key)
	after := before
	if !before.by(session) {
		after.sessions = [2]uint32{uint32(session), before.sessions[0]}
	}
	m.keep(key, after, now)
	return before, known
}

// keepOwn remembers an id that the client publishes itself.
func (m *memory) keepOwn(id string, now time.Time) {
	key := fingerprintOf(id)
	t, _ := m.find(key)
	t.own = true
	m.keep(key, t, now)
}

func (m *memory) find(key fingerprint) (trace, bool) {
	if t, ok := m.young[key]; ok {
		return t, true
	}
	t, ok := m.old[key]
	return t, ok
}

// keep puts an id among the young, so that one which is seen again is remembered longer.
func (m *memory) keep(key fingerprint, t trace, now time.Time) {
	if m.young == nil || len(m.young) >= memoryIDs || now.Sub(m.since) >= memoryAge {
		m.old, m.young, m.since = m.young, make(map[fingerprint]trace), now
	}
	m.young[key] = t
}
