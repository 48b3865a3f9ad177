package receipt

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/server/backbone"
)

// same waits until all nodes have the same roster, of a size.
func (w *world) same(size int, within time.Duration) {
	w.t.Helper()
	begin := time.Now()
	for {
		digests, ok := map[uint64]bool{}, true
		for _, n := range w.nodes {
			n.mu.Lock()
			digests[n.roster.digest()] = true
			ok = ok && n.roster.size == size
			n.mu.Unlock()
		}
		ok = ok && len(digests) == 1
		if ok {
			return
		}
		if time.Since(begin) > within {
			w.t.Fatalf("the rosters are not the same after %v", within)
		}
		w.pass(50 * time.Millisecond)
	}
}

// Joins are known everywhere within a moment, in few messages; a node that was away, or is new, learns what it
// has missed.
func TestRosterReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		before := w.nodes[0].sent()
		for i := range 2500 {
			w.nodes[0].Join(fmt.Sprint("room", i%100), fmt.Sprint("key", i))
			if i%25 == 0 {
				w.pass(10 * time.Millisecond) // a storm of a second
			}
		}
		w.same(2500, time.Second)
		if n := w.nodes[0].sent() - before; n > 12 {
			t.Errorf("%d messages", n)
		}

		away := w.nodes[2]
		away.set(func(n *node) { n.deaf = true })
		for i := range 1500 {
			w.nodes[1].Join("another", fmt.Sprint("key", i))
			w.nodes[0].End(fmt.Sprint("room", i%100), fmt.Sprint("key", i), true)
		}
		w.pass(10 * time.Second)
		away.set(func(n *node) { n.deaf = false })
		w.same(4000, 10*time.Second)
		away.mu.Lock()
		if s, _ := away.roster.get(member{"room7", "key7"}); !s.Left {
			t.Errorf("who has left while the node was away: %+v", s)
		}
		away.mu.Unlock()

		w.start("new")
		w.same(4000, 10*time.Second)

		quiet := w.nodes[0].sent()
		w.pass(100 * time.Second)
		if n := w.nodes[0].sent() - quiet; n > 101 {
			t.Errorf("%d messages in 100 seconds in which nothing happened", n)
		}
	})
}

// More than one answer may carry comes in several.
func TestLargeRosterReachesANewNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		const members = 3 * maxAnswer
		for i := range members {
			w.nodes[0].Join(fmt.Sprint("room", i%1000), fmt.Sprint("key", i))
		}
		w.pass(time.Second)
		w.start("new")
		w.same(members, 20*time.Second)
	})
}

// Nodes that cannot agree, because one has no room, ask each other less and less.
func TestAskingWithoutEndSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		small := w.start("small", func(c *Config) { c.MaxMembers = 100 })
		for i := range 500 {
			w.nodes[0].Join(room, fmt.Sprint("key", i))
			w.pass(time.Millisecond)
		}
		w.pass(2 * time.Minute)
		before := small.sent()
		w.pass(10 * time.Minute)
		if n := small.sent() - before - 600; n < 0 || n > 45 { // beats, and a question each half minute, and answers to theirs
			t.Errorf("%d messages besides the beats in ten minutes", n)
		}
		if n := small.metric(metricMembers); n > 100 {
			t.Errorf("%v members", n)
		}
	})
}

// A goodbye counts at once.
func TestGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		alive := func() int {
			w.nodes[0].mu.Lock()
			defer w.nodes[0].mu.Unlock()
			return len(w.nodes[0].alive(time.Now()))
		}
		if alive() != 1 {
			t.Fatalf("%d others live", alive())
		}
		w.nodes[1].stop()
		synctest.Wait()
		if alive() != 0 {
			t.Error("it counts after its goodbye")
		}
		w.nodes[1].kill()
		w.pass(2 * time.Minute)
		w.nodes[0].mu.Lock()
		defer w.nodes[0].mu.Unlock()
		if len(w.nodes[0].peers) != 0 {
			t.Error("it is remembered for ever")
		}
	})
}

// What is from the future would have the last word, and what is too old says nothing.
func TestClocksThatAreWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		n := w.nodes[0]
		now := time.Now()
		for key, at := range map[string]time.Time{"ahead": now.Add(2 * time.Minute), "old": now.Add(-13 * time.Hour), "good": now.Add(-time.Hour)} {
			g := gossip{Node: "other", Rooms: map[string][]entry{room: {{Key: key, Since: backbone.At(at), At: backbone.At(at)}}}}
			data, err := g.encode()
			if err != nil {
				t.Fatal(err)
			}
			n.Receive(data)
		}
		if _, ok := n.roster.get(member{room, "good"}); !ok || n.roster.size != 1 {
			t.Errorf("%v", n.roster.entries())
		}
	})
}

// Memory stays within its bounds, whatever comes.
func TestTalliesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(c *Config) { c.MaxTallies = 100 })
		n := w.nodes[0]
		n.Join(room, "florist")
		for i := range 1000 {
			w.publish(n, room, fmt.Sprint("m", i), "")
		}
		for i := range 10 * maxEarly {
			n.Receipt(room, fmt.Sprint("unknown", i), "florist", "r")
		}
		for i := range 10 * maxEarlyReceipts {
			n.Receipt(room, "popular", fmt.Sprint("guest", i), "r")
		}
		for i := range 2 * maxTold {
			n.Receipt(room, "m999", fmt.Sprint("guest", i), "r")
		}
		if len(n.tallies) != 100 || n.order.len() != 100 || len(n.agenda) != 100 || len(n.early) > maxEarly || n.earlies.len() > maxEarly {
			t.Errorf("%d tallies, %d in order, %d on the agenda, %d and %d early", len(n.tallies), n.order.len(), len(n.agenda), len(n.early), n.earlies.len())
		}
		if e := n.early[message{room, "popular"}]; len(e.told) != maxEarlyReceipts {
			t.Errorf("%d early receipts of one message", len(e.told))
		}
		if s, _ := n.Status("m999"); len(s.Told) != maxTold {
			t.Errorf("%d receipts", len(s.Told))
		}
		if got := n.metric(metricForgotten); got != 900 {
			t.Errorf("%s is %v", metricForgotten, got)
		}
		w.pass(time.Minute)
		if got := len(w.escalations()); got != 100 {
			t.Errorf("%d escalations, want those of the messages that are still known", got)
		}
		w.pass(time.Hour)
		if len(n.tallies) != 0 || len(n.agenda) != 0 {
			t.Errorf("%d tallies and %d on the agenda are left", len(n.tallies), len(n.agenda))
		}
	})
}

func TestGossipIsReadAsWritten(t *testing.T) {
	g := gossip{Node: "n1", Beat: new(uint64(1<<63 + 1)), Ask: make([]uint64, parts),
		Rooms: map[string][]entry{room: {{Key: "florist", Since: 1<<63 + 3, At: 1<<63 + 5}, {Key: "baker", At: 7, Left: true}}},
		Query: []query{{room, "m1"}}, Told: []told{{query{room, "m2"}, []Told{{"band", "eu-west", 12}}}}}
	data, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&g, got, cmp.AllowUnexported(gossip{}, told{})); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

func TestMalformedGossip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for i, data := range []string{
			``, `[]`, `{`, `{}`, `{"node":""}`, `{"node":"n","ask":[1]}`, `{"node":"n","rooms":{"":[]}}`,
			`{"node":"n","rooms":{"r":[{"a":1}]}}`, `{"node":"n","told":[{"room":"r","id":"i","told":[{}]}]}`,
			`{"node":"n","rooms":{"r":[{"k":"x","a":-1}]}}`,
		} {
			if _, err := decode([]byte(data)); !errors.Is(err, errMalformed) {
				t.Errorf("%s: %v", data, err)
			}
			w.nodes[0].Receive([]byte(data))
			if got := w.nodes[0].metric(metricMalformed); got != float64(i+1) {
				t.Errorf("%s: %s is %v", data, metricMalformed, got)
			}
		}
		if _, err := decode(make([]byte, maxGossip+1)); !errors.Is(err, errMalformed) {
			t.Error("a message of any length is read")
		}
		w.nodes[0].Receive([]byte(`{"node":"n","beat":1,"news":{"of":["a","later","version"]}}`))
		if len(w.nodes[0].peers) != 1 {
			t.Error("a message of a later version is not understood")
		}
	})
}

// Whatever another node sends, this one goes on.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"node":"n1","beat":7,"ask":[],"rooms":{"r":[{"k":"florist","s":1,"a":2,"l":true}]},"query":[{"room":"r","id":"m1"}],"told":[{"room":"r","id":"m1","told":[{"by":"band","region":"eu","after_ms":5}]}]}`))
	f.Add([]byte(`{"node":"n1","bye":true}`))
	clock := backbone.NewClock(time.Now)
	l, err := New(Config{Node: "n0", Clock: clock.Now, Gossip: func(string, []byte) {}, Escalate: func(context.Context, Escalation) error { return nil }})
	if err != nil {
		f.Fatal(err)
	}
	l.Published(&backbone.Event{ID: "m1", Room: "r", HLC: clock.Now()})
	f.Fuzz(func(t *testing.T, data []byte) {
		l.Receive(data)
		g, err := decode(data)
		if err != nil {
			return
		}
		again, err := g.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again); err != nil {
			t.Fatalf("read %q, wrote %q, which cannot be read: %v", data, again, err)
		}
	})
}
