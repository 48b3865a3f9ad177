package urgent

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

func ids(events []*backbone.Event) []string {
	var out []string
	for _, ev := range events {
		out = append(out, ev.ID)
	}
	return out
}

func TestSinceReadsRingAndLogAlike(t *testing.T) {
	nodes := cluster(t, 2, 2)
	var all []*backbone.Event
	for i := range 20 {
		ev := event("public:w", fmt.Sprintf("m%02d", i))
		ev.Lane = protocol.Lane(i % 2)
		publish(t, nodes[i%2], ev)
		publish(t, nodes[i%2], event("public:other", fmt.Sprintf("o%02d", i)))
		all = append(all, ev)
	}
	delivered(t, "m19", nodes...)
	delivered(t, "m18", nodes...)

	for _, n := range nodes {
		check := func(where string, from backbone.HLC, want []*backbone.Event, limit int) {
			t.Helper()
			got, err := n.l.Since(t.Context(), "public:w", from, limit)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(ids(got)) != fmt.Sprint(ids(want)) {
				t.Errorf("%s from the %s: got %v, want %v", n.cfg.Node, where, ids(got), ids(want))
			}
			for _, ev := range got {
				if !ev.Replayed || ev.Sender != nil {
					t.Errorf("%s from the %s is not marked as replayed", ev.ID, where)
				}
			}
		}
		// A node trusts its rings only when it has settled, so this reads the log.
		check("log", 0, all, 0)
		check("log", all[7].HLC, all[7:], 0)
		check("log", all[7].HLC, all[7:10], 3)
		check("log", all[19].HLC+1, nil, 0)
		for i := range n.l.shards { // as if it had started long ago
			n.l.shards[i].rings.low = 0
			for _, r := range n.l.shards[i].rings.rooms {
				r.low = 0
			}
		}
		check("ring", 1, all, 0)
		check("ring", all[7].HLC, all[7:], 0)
		check("ring", all[7].HLC, all[7:10], 3)
		check("ring", all[19].HLC+1, nil, 0)
	}
}

func TestSinceAfterRestartReadsTheLog(t *testing.T) {
	nodes := cluster(t, 2, 2)
	first := event("public:w", "before")
	publish(t, nodes[0], first)
	nodes[0].stop()
	nodes[0].start()
	nodes[0].ready()
	publish(t, nodes[0], event("public:w", "after"))
	if events, ok := nodes[0].l.shard("public:w").since("public:w", first.HLC); ok {
		t.Errorf("the ring claims to reach back before the start: %v", ids(events))
	}
	got, err := nodes[0].l.Since(t.Context(), "public:w", first.HLC, 0)
	if err != nil || fmt.Sprint(ids(got)) != "[before after]" {
		t.Errorf("got %v, %v", ids(got), err)
	}
	events, ok := nodes[0].l.shard("public:w").since("public:w", first.HLC)
	if !ok || fmt.Sprint(ids(events)) != "[before after]" {
		t.Errorf("the ring did not learn what the log said: %v, %v", ids(events), ok)
	}
}

// TestRingIsHonest compares rings with a plain list: what a ring serves is complete, and in order.
func TestRingIsHonest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := backbone.At(time.UnixMilli(1_000_000))
		r := newRings(start)
		now := time.UnixMilli(1_000_000)
		low := r.low // of what came after the start; what came before it, only the log has
		var all []*backbone.Event
		learned := false
		for i := range rapid.IntRange(0, 700).Draw(t, "events") {
			// mostly in order, some late
			at := int64(low) + int64(i)*10 - rapid.Int64Range(0, 100).Draw(t, "late")
			ev := &backbone.Event{ID: fmt.Sprint(i), Room: "w", HLC: backbone.HLC(at), Payload: make([]byte, rapid.SampledFrom([]int{1, 1, 1, 20_000}).Draw(t, "size"))}
			now = now.Add(rapid.SampledFrom([]time.Duration{0, 0, 0, 0, time.Second, ringFor * 2}).Draw(t, "pause"))
			// What came before the start was there before anything was learned.
			if early := !learned && rapid.IntRange(0, 9).Draw(t, "early") == 0; early {
				ev.HLC = backbone.HLC(rapid.Int64Range(1, int64(low)).Draw(t, "before the start")) // only the log has it
			} else {
				r.add(ev, now)
			}
			all = append(all, ev)
			if rapid.IntRange(0, 99).Draw(t, "learn") == 0 {
				learned = true
				back := backbone.HLC(rapid.Int64Range(1, int64(low)+7100).Draw(t, "back"))
				var stored []*backbone.Event
				for _, ev := range all {
					if ev.HLC >= back {
						stored = append(stored, ev)
					}
				}
				r.learn("w", back, merge(stored, nil), now)
			}
		}
		from := low + backbone.HLC(rapid.Int64Range(-50, 7100).Draw(t, "from"))
		got, ok := r.since("w", from)
		if !ok {
			return
		}
		var want []*backbone.Event
		for _, ev := range all {
			if ev.HLC >= from {
				want = append(want, ev)
			}
		}
		want = merge(want, nil)
		if fmt.Sprint(ids(got)) != fmt.Sprint(ids(want)) {
			t.Fatalf("from %d: got %v, want %v", from, ids(got), ids(want))
		}
		if room := r.rooms["w"]; room != nil && (len(room.events) > ringLen || room.bytes > ringBytes) {
			t.Fatalf("ring has outgrown its bounds: %d events, %d bytes", len(room.events), room.bytes)
		}
	})
}

func TestRingOfAQuietRoomIsDropped(t *testing.T) {
	start := backbone.At(time.UnixMilli(1_000_000))
	r := newRings(start)
	now := time.UnixMilli(1_000_000)
	old := &backbone.Event{ID: "old", Room: "quiet", HLC: r.low + 5}
	r.add(old, now)
	if _, ok := r.since("quiet", old.HLC); !ok {
		t.Fatal("a fresh ring does not serve")
	}
	later := now.Add(ringFor + sweepGap)
	r.add(&backbone.Event{ID: "new", Room: "busy", HLC: r.low + 50}, later)
	if r.rooms["quiet"] != nil {
		t.Error("the ring of a quiet room stays in memory")
	}
	if _, ok := r.since("quiet", old.HLC); ok {
		t.Error("serves what it has dropped")
	}
	if events, ok := r.since("quiet", old.HLC+1); !ok || len(events) != 0 {
		t.Error("does not know that nothing came since")
	}
}

func TestSeenKnowsHowFarItReachesBack(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	clock := backbone.NewClock(func() time.Time { return now })
	s := newSeen(clock.Now(), clock, now, seenFor)
	before := &backbone.Event{ID: "a", Room: "w", HLC: clock.Now()}
	s.add(before, now)
	for i := range generations + 1 {
		if s.get(before) == nil {
			t.Fatalf("forgotten after %d generations", i)
		}
		if before.HLC < s.horizon {
			t.Fatal("below the horizon, yet remembered")
		}
		now = now.Add(seenFor / generations)
		s.add(&backbone.Event{ID: fmt.Sprint(i), Room: "w", HLC: clock.Now()}, now)
	}
	if s.get(before) != nil {
		t.Error("memory is not bounded")
	}
	if before.HLC >= s.horizon {
		t.Error("forgotten, yet above the horizon: it would be delivered again")
	}
}

// TestSeenSharesHolds: when a generation is over, what is known of an event that is held is who holds it.
func TestSeenSharesHolds(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	clock := backbone.NewClock(func() time.Time { return now })
	s := newSeen(clock.Now(), clock, now, seenFor)
	hold := func(id string, acks ...string) *entry {
		e := s.add(&backbone.Event{ID: id, Room: "w", HLC: clock.Now()}, now)
		e.hold = newHold(func() int { return 2 })
		e.hold.begin(now, time.Second)
		for _, region := range acks {
			e.hold.ack(backbone.Ack{Region: region})
		}
		return e
	}
	a, b, other, open := hold("a", "eu", "us"), hold("b", "eu", "us"), hold("c", "us", "ap"), hold("d", "eu")
	if a.hold == b.hold {
		t.Fatal("shared before the generation is over: nothing is tested")
	}
	now = now.Add(seenFor)
	s.add(&backbone.Event{ID: "e", Room: "w", HLC: clock.Now()}, now)
	if a.hold != b.hold || a.hold == other.hold || a.hold == open.hold {
		t.Errorf("%p %p %p %p", a.hold, b.hold, other.hold, open.hold)
	}
	for _, e := range []*entry{a, b} {
		if held, err := e.hold.wait(t.Context(), 0); err != nil || len(held.Regions) != 2 || held.Regions[0] != "eu" || e.hold.begin(now, time.Second) {
			t.Errorf("%v, %v", held, err)
		}
	}
	open.hold.ack(backbone.Ack{Region: "ap"})
	if held, err := open.hold.wait(t.Context(), time.Second); err != nil || held.Regions[1] != "ap" {
		t.Errorf("%v, %v", held, err)
	}
}
