package receipt

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/server/backbone"
)

var drawStanding = rapid.Custom(func(t *rapid.T) standing {
	return standing{
		Since: backbone.HLC(rapid.IntRange(0, 3).Draw(t, "since")),
		At:    backbone.HLC(rapid.IntRange(1, 4).Draw(t, "at")),
		Left:  rapid.Bool().Draw(t, "left"),
	}
})

var drawMember = rapid.Custom(func(t *rapid.T) member {
	return member{fmt.Sprint("room", rapid.IntRange(0, 2).Draw(t, "room")), fmt.Sprint("key", rapid.IntRange(0, 2).Draw(t, "key"))}
})

type item struct {
	m member
	s standing
}

var drawNews = rapid.SliceOf(rapid.Custom(func(t *rapid.T) item {
	return item{drawMember.Draw(t, "member"), drawStanding.Draw(t, "standing")}
}))

// entries is all that a roster knows.
func (r *roster) entries() map[member]standing {
	all := map[member]standing{}
	for i := range r.parts {
		for room, keys := range r.parts[i].rooms {
			for key, s := range keys {
				all[member{room, key}] = s
			}
		}
	}
	return all
}

// News may come in any order, and as often as they like; rosters that know the same have the same digests.
func TestMergeIsCommutativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		news := drawNews.Draw(t, "news")
		shuffled := rapid.Permutation(append(slices.Clone(news), news...)).Draw(t, "shuffled")
		a, b := newRoster(100), newRoster(100)
		for _, n := range news {
			a.merge(n.m, n.s, 100)
		}
		for _, n := range shuffled {
			b.merge(n.m, n.s, 100)
		}
		if diff := cmp.Diff(a.entries(), b.entries(), cmp.AllowUnexported(member{})); diff != "" {
			t.Fatalf("(-in order +shuffled)\n%s", diff)
		}
		if a.digest() != b.digest() || !slices.Equal(a.digests(), b.digests()) || a.size != b.size {
			t.Fatalf("digests %x and %x, sizes %d and %d", a.digest(), b.digest(), a.size, b.size)
		}
		for _, n := range news { // once more changes nothing
			if changed, _ := a.merge(n.m, n.s, 100); changed {
				t.Fatalf("%+v changed something again", n)
			}
		}
		for m := range a.entries() {
			a.remove(m)
		}
		if a.digest() != newRoster(1).digest() || a.size != 0 {
			t.Fatalf("an empty roster has digest %x and size %d", a.digest(), a.size)
		}
	})
}

// Another node's clock may be ahead by up to a minute: who joins, leaves or stays has the last word all the same.
func TestClockAhead(t *testing.T) {
	r, m := newRoster(10), member{"room", "florist"}
	r.merge(m, standing{At: 1000, Left: true}, 5)
	if r.join(m, 10); r.entries()[m] != (standing{Since: 10, At: 1001}) {
		t.Errorf("after a join: %+v", r.entries()[m])
	}
	if changed, news := r.merge(m, standing{At: 2000, Left: true}, 20); !changed || !news || r.entries()[m] != (standing{Since: 10, At: 2001}) {
		t.Errorf("after another node's leave: %+v", r.entries()[m])
	}
	if r.refresh(5000, 30); r.entries()[m] != (standing{Since: 10, At: 2002}) {
		t.Errorf("after a refresh: %+v", r.entries()[m])
	}
	if r.end(m, true, 40); r.entries()[m] != (standing{At: 2003, Left: true}) {
		t.Errorf("after a leave: %+v", r.entries()[m])
	}
}

// A difference of any kind shows in the digest.
func TestDigestsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newRoster(100), newRoster(100)
		for _, n := range drawNews.Draw(t, "a") {
			a.merge(n.m, n.s, 100)
		}
		for _, n := range drawNews.Draw(t, "b") {
			b.merge(n.m, n.s, 100)
		}
		if same := maps.Equal(a.entries(), b.entries()); same != (a.digest() == b.digest()) || same != slices.Equal(a.digests(), b.digests()) {
			t.Fatalf("same %v, digests %x %x", same, a.digest(), b.digest())
		}
	})
}

// life is three rosters whose members come, go, leave and break off, and whose news get lost.
type life struct {
	now     backbone.HLC
	rosters [3]*roster
}

func (l *life) tick() backbone.HLC { l.now++; return l.now }

// exchange makes a roster learn all that another one knows.
func (l *life) exchange(from, to int) {
	for m, s := range l.rosters[from].entries() {
		l.rosters[to].merge(m, s, l.tick())
	}
}

// Whatever happened and whatever got lost: once all have exchanged what they know, they know the same, and
// whoever has a session anywhere belongs to its room.
func TestRostersConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := life{now: 1000}
		for i := range l.rosters {
			l.rosters[i] = newRoster(100)
		}
		node := rapid.IntRange(0, 2)
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				l.rosters[node.Draw(t, "node")].join(drawMember.Draw(t, "member"), l.tick())
			},
			"end": func(t *rapid.T) {
				l.rosters[node.Draw(t, "node")].end(drawMember.Draw(t, "member"), rapid.Bool().Draw(t, "left"), l.tick())
			},
			"crash": func(t *rapid.T) { // and start again, without a memory
				l.rosters[node.Draw(t, "node")] = newRoster(100)
			},
			"exchange": func(t *rapid.T) { l.exchange(node.Draw(t, "from"), node.Draw(t, "to")) },
		})
		for range 4 { // one to spread what is known, one for what members' nodes say to that, and these to spread
			for from := range l.rosters {
				for to := range l.rosters {
					l.exchange(from, to)
				}
			}
		}
		for i, r := range l.rosters {
			if diff := cmp.Diff(l.rosters[0].entries(), r.entries(), cmp.AllowUnexported(member{})); diff != "" {
				t.Fatalf("roster %d (-first +this)\n%s", i, diff)
			}
			for m := range r.here {
				for j, other := range l.rosters {
					if s, ok := other.get(m); !ok || s.Left {
						t.Fatalf("%v is on node %d, and node %d says %+v %v", m, i, j, s, ok)
					}
				}
			}
		}
	})
}

// A roster that is too large forgets who has not been heard of for the longest time, keeps everybody else, and does not take
// back what it has forgotten.
func TestRosterIsBounded(t *testing.T) {
	const most = 1000
	r := newRoster(most)
	for i := range backbone.HLC(5 * most) {
		m := member{fmt.Sprint("room", i%70), fmt.Sprint("key", i)}
		if _, news := r.merge(m, standing{Since: 1 + i, At: 1 + i}, 0); news {
			t.Fatal("news of a member that is not here")
		}
		if r.size > most || i%97 == 0 && len(r.entries()) != r.size {
			t.Fatalf("%d members, of which %d are there", r.size, len(r.entries()))
		}
		if _, ok := r.get(m); !ok {
			t.Fatalf("the latest one, %d, was forgotten", i)
		}
	}
	if r.size < most*15/16 {
		t.Errorf("only %d members are left", r.size)
	}
	for _, s := range r.entries() {
		if s.At <= r.floor {
			t.Errorf("%+v is below the floor, %d", s, r.floor)
		}
	}
	if changed, _ := r.merge(member{"room", "old"}, standing{Since: 1, At: r.floor}, 0); changed {
		t.Error("what was forgotten comes back")
	}
	here := member{"room", "here"}
	r.join(here, 10*most)
	r.remove(here)
	if renewed := r.refresh(0, 20*most); !slices.Equal(renewed, []member{here}) {
		t.Errorf("renewed %v", renewed)
	}
}
