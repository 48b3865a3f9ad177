package presence

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A node that comes last knows everything as soon as the peers' answers are there.
func TestNewcomerAsksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.kill("north")
		c.within(3*time.Second, "north is gone", c.sees("east", "east", "west"))
		c.isolate("north", false)
		c.start("north")
		took := c.within(time.Second, "north knows all", c.sees("north", "east", "west"))
		if took > 2*c.delay+5*time.Millisecond {
			t.Errorf("took %v, want a round trip", took)
		}
	})
}

func TestKilledNodeIsNoGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.kill("north")
		for _, name := range []string{"east", "west"} {
			n := c.nodes[name]
			c.within(3*time.Second, name+" has told that north is gone", func() bool {
				n.mu.Lock()
				defer n.mu.Unlock()
				return len(n.told) > 0 && c.sees(name, "east", "west")()
			})
			if got := testutil.ToFloat64(n.metrics.down); got != 1 {
				t.Errorf("%s counts %v nodes down", name, got)
			}
			if got := n.diffs(); len(got) != 1 || !strings.Contains(got[0], `"leaves":{"north"`) {
				t.Errorf("%s told %s", name, got)
			}
		}
	})
}

// Cut off and back without a change: the same entries under the same references, nothing sent again.
func TestCutOffNodeReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		before := map[string]string{}
		repairs := map[string]float64{}
		for name, n := range c.nodes {
			before[name] = string(sorted(t, n.State(wedding, "")))
			repairs[name] = testutil.ToFloat64(n.metrics.repairs)
		}
		c.isolate("north", true)
		c.within(3*time.Second, "east misses north", c.sees("east", "east", "west"))
		c.within(3*time.Second, "north is alone", c.sees("north", "north"))
		c.isolate("north", false)
		for _, name := range c.names {
			c.within(time.Second, name+" sees all again", c.sees(name, c.names...))
			n := c.nodes[name]
			if got := string(sorted(t, n.State(wedding, ""))); got != before[name] {
				t.Errorf("%s shows %s\nbefore: %s", name, got, before[name])
			}
			if got := testutil.ToFloat64(n.metrics.repairs); got != repairs[name] {
				t.Errorf("%s asked for a full state though nothing had changed", name)
			}
		}
	})
}

// What changed behind the cut comes with one full state.
func TestCutOffNodeReturnsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		north := c.nodes["north"]
		c.isolate("north", true)
		c.within(3*time.Second, "east misses north", c.sees("east", "east", "west"))
		north.Untrack(1)
		north.enter("late")
		time.Sleep(time.Second)
		c.isolate("north", false)
		c.within(time.Second, "east sees what changed", c.sees("east", "east", "west", "late"))
		c.within(time.Second, "west sees what changed", c.sees("west", "east", "west", "late"))
	})
}

// A short cut that nobody counts as down is noticed all the same.
func TestLostChangeIsRepaired(t *testing.T) {
	for name, after := range map[string]func(*node){
		"by the next change":    func(n *node) { time.Sleep(30 * time.Millisecond); n.enter("second") },
		"by the next heartbeat": func(*node) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := ready(t)
				defer c.stop()
				found := c.losing(func(_, to string, m *message) bool { return m.kind == delta && to == "west" })
				c.nodes["east"].enter("first")
				synctest.Wait()
				time.Sleep(10 * time.Millisecond)
				if found() != 1 {
					t.Fatal("no delta was lost")
				}
				west := c.nodes["west"]
				before := testutil.ToFloat64(west.metrics.repairs)
				after(c.nodes["east"])
				c.within(time.Second, "west has the lost change", func() bool { return c.keys("west")["first"] })
				if got := testutil.ToFloat64(west.metrics.repairs); got != before+1 {
					t.Errorf("%v repairs, want 1", got-before)
				}
			})
		})
	}
}

// A question or an answer that gets lost is asked for again at the next heartbeat.
func TestLostRepairIsRepeated(t *testing.T) {
	for _, k := range []kind{request, full} {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := ready(t)
				defer c.stop()
				found := c.losing(func(_, to string, m *message) bool { return m.kind == delta && to == "west" || m.kind == k })
				c.nodes["east"].enter("first")
				time.Sleep(700 * time.Millisecond)
				if found() < 2 {
					t.Fatal("nothing was lost")
				}
				c.within(time.Second, "west has the lost change", func() bool { return c.keys("west")["first"] })
			})
		})
	}
}

// A state of many parts, one of which gets lost.
func TestLargeState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "east", "west")
		defer c.stop()
		east := c.nodes["east"]
		lose := c.losing(func(_, _ string, m *message) bool { return m.kind == delta || m.kind == full && m.index == 1 })
		payload := `{"note":"` + strings.Repeat("x", 2000) + `"}`
		for i := range 1000 {
			east.Track(east.NewID(), entry(fmt.Sprint("k", i), payload))
		}
		time.Sleep(2 * time.Second)
		if lose() < 2 || len(c.keys("west")) != 0 {
			t.Fatalf("a part of the state was to be lost; west has %d entries", len(c.keys("west")))
		}
		c.within(time.Second, "west has all", func() bool { return c.nodes["west"].Len() == 1000 })
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, m := range c.sent {
			if n := len(m.encode()); n > maxMessage+1024 {
				t.Errorf("a message of %d bytes", n)
			}
		}
	})
}

// A new life replaces the former one at its first word, also before anyone missed it.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.kill("north")
		time.Sleep(100 * time.Millisecond)
		c.isolate("north", false)
		c.start("north").enter("again")
		c.within(200*time.Millisecond, "east sees the new life alone", c.sees("east", "east", "west", "again"))
		c.within(200*time.Millisecond, "west sees the new life alone", c.sees("west", "east", "west", "again"))
	})
}

func TestGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.nodes["north"].stop()
		took := c.within(3*time.Second, "east shows no more of north", c.sees("east", "east", "west"))
		down := c.nodes["east"].cfg.withDefaults().DownAfter
		if took < down || took > down+down/watchesPerDown+2*c.delay {
			t.Errorf("took %v: what north has left stays for %v, until its members are back elsewhere", took, down)
		}
		if got := testutil.ToFloat64(c.nodes["east"].metrics.down); got != 0 {
			t.Errorf("counted %v nodes down; this one said goodbye", got)
		}
	})
}

// East cannot hear north. Nobody else is affected, and north still sees east.
func TestPartialCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.cut("north", "east", true)
		c.within(3*time.Second, "east misses north", c.sees("east", "east", "west"))
		c.nodes["north"].enter("n2")
		c.nodes["east"].enter("e2")
		time.Sleep(5 * time.Second)
		for name, want := range map[string][]string{
			"east":  {"east", "west", "e2"},
			"west":  {"east", "west", "north", "e2", "n2"},
			"north": {"east", "west", "north", "e2", "n2"},
		} {
			if diff := cmp.Diff(set(want), c.keys(name)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		for _, diff := range c.nodes["west"].diffs() {
			if !strings.Contains(diff, `"leaves":{}`) {
				t.Errorf("west told %s", diff)
			}
		}
		c.cut("north", "east", false)
		c.within(time.Second, "east sees all", c.sees("east", "east", "west", "north", "e2", "n2"))
	})
}

// A node that was stopped for a while does not take its own deafness for the silence of the others.
func TestHeldUpNodeJudgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		east := c.nodes["east"]
		east.mu.Lock()
		east.block = func() {
			c.isolate("east", true)
			time.Sleep(10 * time.Second)
			c.isolate("east", false)
			east.mu.Lock()
			east.block = nil
			east.mu.Unlock()
		}
		east.mu.Unlock()
		time.Sleep(500 * time.Millisecond)
		c.within(3*time.Second, "west misses east", c.sees("west", "west", "north"))
		time.Sleep(15 * time.Second)
		for _, diff := range east.diffs() {
			t.Errorf("east told %s", diff)
		}
		if !c.sees("west", c.names...)() {
			t.Errorf("west shows %v", c.keys("west"))
		}
	})
}
