package presence

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestConvergesWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.nodes["east"].enter("dj-1")
		for _, name := range c.names {
			took := c.within(time.Second, name+" sees the newcomer", c.sees(name, "east", "west", "north", "dj-1"))
			t.Logf("%s sees the newcomer after another %v", name, took)
		}
		for _, n := range c.nodes {
			if got := testutil.ToFloat64(n.metrics.repairs); got > 3 { // its hello, and each peer's beginning
				t.Errorf("%v repairs on a healthy cluster", got)
			}
			if l, r := testutil.ToFloat64(n.metrics.local), testutil.ToFloat64(n.metrics.remote); l+r != 4 || n.Len() != 4 {
				t.Errorf("%v local and %v remote entries, %d in all; want 4", l, r, n.Len())
			}
		}
	})
}

func TestFirstChangeIsToldAtOnceAndABurstInOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		east := c.nodes["east"]
		start := time.Now()
		east.enter("first")
		synctest.Wait()
		for i := range 10 {
			time.Sleep(time.Millisecond)
			east.enter(fmt.Sprint("k", i))
		}
		time.Sleep(time.Second)
		var at []time.Duration
		told := east.take()
		for _, d := range told {
			at = append(at, d.at.Sub(start))
		}
		if len(at) != 2 || at[0] != 0 || at[1] != window(east.replica.window, 4) {
			t.Errorf("told after %v, want at once and after %v", at, window(east.replica.window, 4))
		}
		if got := told[1].diff.Len(); got != 10 {
			t.Errorf("the second diff has %d changes, want 10", got)
		}
	})
}

// Deliver may use the Tracker: it is called without a lock.
func TestDeliverMayCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		east := c.nodes["east"]
		east.mu.Lock()
		east.hook = func() { east.Track(99, entry("from within", "{}")); east.State(wedding, "") }
		east.mu.Unlock()
		east.enter("first")
		c.within(time.Second, "both are seen", c.sees("west", "east", "west", "north", "first", "from within"))
	})
}

func TestTrackAnswers(t *testing.T) {
	tr, err := New(Config{Node: "a", Gossip: func(string, []byte) {}, Deliver: func(string, *Diff) {}})
	if err != nil {
		t.Fatal(err)
	}
	id := tr.NewID()
	for i, c := range []struct {
		e    Entry
		want bool
	}{
		{entry("k", `{"a":1}`), true},
		{entry("k", `{"a":1}`), false},
		{entry("k", ` { "a" : 1 } `), false},
		{entry("k", `{"a":2}`), true},
		{entry("l", `{"a":2}`), true},
		{entry("l", `[2]`), false},
		{entry("l", ``), false},
		{entry("l", `{`), false},
		{Entry{Payload: []byte(`{}`)}, false},
	} {
		if got := tr.Track(id, c.e); got != c.want {
			t.Errorf("case %d: changed %v, want %v", i, got, c.want)
		}
	}
	if tr.Len() != 1 {
		t.Errorf("%d entries", tr.Len())
	}
	tr.Untrack(id)
	tr.Untrack(id)
	if got := string(tr.State(wedding, "")); tr.Len() != 0 || got != "{}" {
		t.Errorf("%d entries: %s", tr.Len(), got)
	}
	if id == tr.NewID() {
		t.Error("an id was given twice")
	}
}

func TestReceiveOfGarbage(t *testing.T) {
	tr, err := New(Config{Node: "a", Peers: []string{"a", "b"}, Gossip: func(string, []byte) {}, Deliver: func(string, *Diff) {}})
	if err != nil {
		t.Fatal(err)
	}
	stranger := message{kind: heartbeat, node: "c", incarnation: 1}
	echo := message{kind: heartbeat, node: "a", incarnation: 1}
	for _, data := range [][]byte{nil, {1}, {2, 1, 0}, {1, 9, 0}, stranger.encode(), echo.encode()} {
		tr.Receive(data)
	}
	if got := testutil.ToFloat64(tr.metrics.malformed); got != 6 {
		t.Errorf("%v messages counted, want 6", got)
	}
}

func TestRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "east")
		defer c.stop()
		synctest.Wait()
		if err := c.nodes["east"].Run(context.Background()); err == nil {
			t.Error("a second run was accepted")
		}
	})
}

// All methods at once from many goroutines, for the race detector; in the end all agree.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		var users sync.WaitGroup
		for _, name := range c.names {
			n := c.nodes[name]
			for u := range 4 {
				users.Go(func() {
					for i := range 50 {
						id := n.NewID()
						n.Track(id, entry(fmt.Sprint(name, u, i%5), fmt.Sprintf(`{"i":"%d"}`, i)))
						n.State(wedding, "")
						time.Sleep(time.Duration(u) * time.Millisecond)
						if i%3 > 0 {
							n.Untrack(id)
						}
					}
				})
			}
		}
		users.Wait()
		time.Sleep(2 * time.Second)
		const want = 3 + 3*4*17 // the nodes' own, and every third
		for _, name := range c.names {
			n := c.nodes[name]
			shown := 0
			var l list
			parse(t, n.State(wedding, ""), &l)
			for range l.byRef() {
				shown++
			}
			if shown != want || n.Len() != want {
				t.Errorf("%s shows %d and counts %d, want %d", name, shown, n.Len(), want)
			}
			var cl client
			cl.onState(t, []byte("{}"))
			for _, diff := range n.diffs() {
				cl.onDiff(t, []byte(diff))
			}
			if got := len(cl.state.byRef()); got != want-3 {
				t.Errorf("the diffs of %s make %d, want %d", name, got, want-3)
			}
		}
	})
}
