package receipt

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/wedsync/wedsync/server/backbone"
)

// member is somebody in a room: the key under which all its sessions join.
type member struct{ room, key string }

// standing is what is known of a member. Of two, the later one holds (later).
type standing struct {
	Since backbone.HLC // it belongs to the room without having left it
	At    backbone.HLC // of this news
	Left  bool
}

// later says whether s replaces t. It is a total order, so it does not matter in which order news come.
func (s standing) later(t standing) bool {
	if s.At != t.At {
		return s.At > t.At
	}
	if s.Left != t.Left {
		return s.Left
	}
	return s.Since > t.Since
}

// parts is in how many parts rosters are compared.
const parts = 64

// roster is who belongs to which room. It is pure: it has no clock and no lock.
type roster struct {
	max   int
	parts [parts]part
	size  int
	// floor is the time before which it remembers nobody, because there were too many.
	floor backbone.HLC
	here  map[member]int // sessions on this node, of those who have any
}

// part is the rooms with one hash.
type part struct {
	rooms  map[string]map[string]standing
	digest uint64 // the hashes of all entries, added up without carry; 0 if there are none
}

func newRoster(most int) *roster {
	r := &roster{max: most, here: map[member]int{}}
	for i := range r.parts {
		r.parts[i].rooms = map[string]map[string]standing{}
	}
	return r
}

func (r *roster) part(room string) *part { return &r.parts[hash(room)%parts] }

func (r *roster) get(m member) (standing, bool) {
	s, ok := r.part(m.room).rooms[m.room][m.key]
	return s, ok
}

// join counts a session of this node in, and reports whether that is news.
func (r *roster) join(m member, now backbone.HLC) (news bool) {
	r.here[m]++
	s, ok := r.get(m)
	if ok && !s.Left {
		return false
	}
	r.set(m, standing{Since: now, At: max(now, s.At+1)}) // another node's clock may be ahead
	return true
}

// end counts a session out, and reports whether that is news: it is if the member has left on purpose and has
// no other session here.
func (r *roster) end(m member, left bool, now backbone.HLC) (news bool) {
	switch n := r.here[m]; {
	case n == 0:
		return false // it never began
	case n > 1:
		r.here[m] = n - 1
		return false
	}
	delete(r.here, m)
	if !left {
		return false
	}
	s, _ := r.get(m)
	r.set(m, standing{At: max(now, s.At+1), Left: true})
	return true
}

// merge takes what another node says of a member, and reports whether the others are to be told something
// that this node knows better: that it is here.
func (r *roster) merge(m member, theirs standing, now backbone.HLC) (changed, news bool) {
	mine, known := r.get(m)
	if known && !theirs.later(mine) || !known && theirs.At <= r.floor {
		return false, false
	}
	if theirs.Left && r.here[m] > 0 {
		r.set(m, standing{Since: cmp.Or(mine.Since, now), At: max(now, theirs.At+1)})
		return true, true
	}
	r.set(m, theirs)
	return true, false
}

// refresh renews what is said of the members here, if it is from before a time or forgotten, and returns
// them, so that nobody who is here is forgotten.
func (r *roster) refresh(before, now backbone.HLC) (renewed []member) {
	for m := range r.here {
		s, ok := r.get(m)
		if ok && s.At > before {
			continue
		}
		r.set(m, standing{Since: cmp.Or(s.Since, now), At: max(now, s.At+1)})
		renewed = append(renewed, m)
	}
	return renewed
}

// forget drops what is from before a time in one part.
func (r *roster) forget(i int, before backbone.HLC) {
	for room, keys := range r.parts[i].rooms {
		for key, s := range keys {
			if s.At < before {
				r.remove(member{room, key})
			}
		}
	}
}

// expected is who belongs to a room, and has since a time.
func (r *roster) expected(room string, since backbone.HLC) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key, s := range r.part(room).rooms[room] {
			if !s.Left && s.Since <= since && !yield(key) {
				return
			}
		}
	}
}

// digests are one number for each part; rosters with the same digests are the same.
func (r *roster) digests() []uint64 {
	all := make([]uint64, parts)
	for i := range r.parts {
		all[i] = r.parts[i].digest
	}
	return all
}

// digest is one number for all of it.
func (r *roster) digest() (sum uint64) {
	for i := range r.parts {
		sum = scramble(sum ^ r.parts[i].digest)
	}
	return sum
}

func (r *roster) set(m member, s standing) {
	p := r.part(m.room)
	keys := p.rooms[m.room]
	if keys == nil {
		keys = map[string]standing{}
		p.rooms[m.room] = keys
	}
	old, known := keys[m.key]
	if known {
		p.digest ^= hashOf(m, old)
	} else {
		r.size++
	}
	keys[m.key] = s
	p.digest ^= hashOf(m, s)
	if r.size > r.max {
		r.trim()
	}
}

func (r *roster) remove(m member) {
	p := r.part(m.room)
	keys := p.rooms[m.room]
	p.digest ^= hashOf(m, keys[m.key])
	r.size--
	if delete(keys, m.key); len(keys) == 0 {
		delete(p.rooms, m.room)
	}
}

// trim forgets the sixteenth that has not been heard of for the longest time. It happens once for so many
// newcomers, so it costs each of them little.
func (r *roster) trim() {
	all := make([]backbone.HLC, 0, r.size)
	for i := range r.parts {
		for _, keys := range r.parts[i].rooms {
			for s := range maps.Values(keys) {
				all = append(all, s.At)
			}
		}
	}
	slices.Sort(all)
	r.floor = max(r.floor, all[max(0, len(all)-r.max*15/16-1)])
	for i := range r.parts {
		r.forget(i, r.floor+1)
	}
}

// hashOf is the hash of an entry, the same on every node.
func hashOf(m member, s standing) uint64 {
	h := hash(m.room, m.key)
	h = scramble(h ^ uint64(s.Since))
	h = scramble(h ^ uint64(s.At))
	if s.Left {
		h = scramble(h + 1)
	}
	return h
}

// hash is FNV-1a over texts and the places where they end, scrambled so that every bit counts.
func hash(texts ...string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, s := range texts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ 0xff) * prime // a byte that no text has
	}
	return scramble(h)
}

// scramble is the finalizer of SplitMix64.
func scramble(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
