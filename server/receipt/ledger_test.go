package receipt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

const room = "private:wedding:42"

// Who is missed, and when, whatever node they are on and whatever becomes of them.
func TestEscalation(t *testing.T) {
	for name, c := range map[string]struct {
		// story is told on three nodes; florist is on the second and baker on the third at its beginning,
		// and the planner publishes m1 on the first when story calls publish.
		story   func(w *world, publish func())
		missing []string // nil: nothing is escalated
		told    int
	}{
		"all confirm": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[1], room, "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"nobody confirms": {story: func(_ *world, publish func()) { publish() }, missing: []string{"baker", "florist"}},
		"one does not": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[1], room, "m1", "florist")
		}, missing: []string{"baker"}, told: 1},
		"the publisher need not": {story: func(w *world, publish func()) {
			w.nodes[0].Join(room, "planner")
			publish()
			w.confirm(w.nodes[1], room, "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"receipts before the message": {story: func(w *world, publish func()) {
			w.confirm(w.nodes[1], room, "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
			publish()
		}},
		"a broken socket is still expected": {story: func(w *world, publish func()) {
			w.nodes[1].End(room, "florist", false)
			w.pass(30 * time.Minute)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}, missing: []string{"florist"}, told: 1},
		"but not for longer than the roster is kept": {story: func(w *world, publish func()) {
			w.nodes[1].End(room, "florist", false)
			w.pass(65 * time.Minute)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"and whoever is there is expected for as long as it takes": {story: func(w *world, publish func()) {
			w.pass(4 * time.Hour)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}, missing: []string{"florist"}, told: 1},
		"a dead region's members are still expected": {story: func(w *world, publish func()) {
			w.nodes[1].kill()
			w.pass(time.Minute)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}, missing: []string{"florist"}, told: 1},
		"and confirm elsewhere": {story: func(w *world, publish func()) {
			w.nodes[1].kill()
			publish()
			w.nodes[2].Join(room, "florist")
			w.confirm(w.nodes[2], room, "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"who has left is not expected": {story: func(w *world, publish func()) {
			w.nodes[1].End(room, "florist", true)
			w.pass(time.Second)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"nor who leaves afterwards": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
			w.pass(time.Second)
			w.nodes[1].End(room, "florist", true)
		}},
		"who joins later is not expected": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[1], room, "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
			w.pass(time.Second)
			w.nodes[0].Join(room, "band")
		}},
		"but counts if it confirms": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[1], room, "m1", "florist")
			w.pass(time.Second)
			w.nodes[0].Join(room, "band")
			w.confirm(w.nodes[0], room, "m1", "band")
		}, missing: []string{"baker"}, told: 2},
		"who comes back is expected as before": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
			w.nodes[1].End(room, "florist", false)
			w.pass(time.Second)
			w.nodes[0].Join(room, "florist")
		}, missing: []string{"florist"}, told: 1},
		"who has moved is expected as before": {story: func(w *world, publish func()) {
			w.nodes[0].Join(room, "florist")
			w.nodes[1].End(room, "florist", true) // as a drain makes clients do it
			w.pass(time.Second)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}, missing: []string{"florist"}, told: 1},
		"who moves meanwhile, too": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
			w.pass(time.Second)
			w.nodes[0].Join(room, "florist")
			w.nodes[1].End(room, "florist", true)
		}, missing: []string{"florist"}, told: 1},
		"who leaves both homes has left": {story: func(w *world, publish func()) {
			w.nodes[0].Join(room, "florist")
			w.pass(time.Second)
			w.nodes[1].End(room, "florist", true)
			w.nodes[0].End(room, "florist", true)
			w.pass(time.Second)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"who leaves one home while the other is dead has left": {story: func(w *world, publish func()) {
			w.nodes[0].Join(room, "florist")
			w.pass(time.Second)
			w.nodes[1].kill()
			w.nodes[0].End(room, "florist", true)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"who leaves one of two channels has not left": {story: func(w *world, publish func()) {
			w.nodes[1].Join(room, "florist") // below the same wedding
			w.nodes[1].End(room, "florist", true)
			w.pass(time.Second)
			publish()
			w.confirm(w.nodes[2], room, "m1", "baker")
		}, missing: []string{"florist"}, told: 1},
		"another room's members are not expected": {story: func(w *world, publish func()) {
			w.nodes[1].Join("private:wedding:43", "photographer")
			publish()
			w.confirm(w.nodes[1], room, "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
		}},
		"nor does a receipt in another room count": {story: func(w *world, publish func()) {
			publish()
			w.confirm(w.nodes[1], "private:wedding:43", "m1", "florist")
			w.confirm(w.nodes[2], room, "m1", "baker")
		}, missing: []string{"florist"}, told: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, func(c *Config) { c.RosterFor = time.Hour })
				w.nodes[1].Join(room, "florist")
				w.nodes[2].Join(room, "baker")
				w.pass(time.Second)
				var published time.Duration
				c.story(w, func() { published = w.publish(w.nodes[0], room, "m1", "planner") })
				w.pass(time.Minute)
				got := w.escalations()
				if c.missing == nil {
					if len(got) > 0 {
						t.Fatalf("escalated without a reason: %+v", got)
					}
					return
				}
				want := Escalation{ID: "esc/m1", Room: room, Path: "timeline", Escalation: protocol.Escalation{
					ID: "m1", Missing: c.missing, Told: c.told, AfterMS: DefaultEscalateAfter.Milliseconds()}}
				if len(got) != 1 {
					t.Fatalf("escalated %d times: %+v", len(got), got)
				}
				if diff := cmp.Diff(want, got[0].Escalation); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if after := got[0].at - published; after != DefaultEscalateAfter {
					t.Errorf("after %v, want %v", after, DefaultEscalateAfter)
				}
			})
		})
	}
}

// The node that comes first escalates, and if it dies the next one does, a second later or, if its death has been
// noticed, at once.
func TestNextInRankEscalates(t *testing.T) {
	for name, c := range map[string]struct {
		dies  []int // ranks
		early time.Duration
		late  time.Duration // of the escalation
	}{
		"all live":                         {},
		"first dies at the last moment":    {dies: []int{0}, early: 600 * time.Millisecond, late: time.Second},
		"first and second die":             {dies: []int{0, 1}, early: 600 * time.Millisecond, late: 2 * time.Second},
		"the second's death changes less":  {dies: []int{1}, early: 600 * time.Millisecond},
		"first has been dead for a while":  {dies: []int{0}, early: 10 * time.Second},
		"both have been dead for a while":  {dies: []int{0, 1}, early: 10 * time.Second},
		"the first dies having asked them": {dies: []int{0}, early: 100 * time.Millisecond, late: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.nodes[0].Join(room, "florist")
				w.pass(time.Second)
				var order []*node
				for i := range 3 {
					order = append(order, w.owner(message{room, "m1"}, i))
				}
				published := w.publish(w.nodes[0], room, "m1", "")
				w.pass(DefaultEscalateAfter - c.early)
				for _, i := range c.dies {
					order[i].kill()
				}
				w.pass(time.Minute)
				got := w.escalations()
				if len(got) != 1 || got[0].by != w.owner(message{room, "m1"}, 0).name {
					t.Fatalf("got %+v, want one by %s", got, w.owner(message{room, "m1"}, 0).name)
				}
				if late := got[0].at - published - DefaultEscalateAfter; late != c.late {
					t.Errorf("late by %v, want %v", late, c.late)
				}
			})
		})
	}
}

// A node that has missed the receipts asks the others before it cries.
func TestReceiptsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.nodes[1].Join(room, "florist")
		w.pass(time.Second)
		w.publish(w.nodes[0], room, "m1", "")
		first := w.owner(message{room, "m1"}, 0)
		other := w.owner(message{room, "m1"}, 1)
		first.set(func(n *node) { n.unheard = true })
		w.confirm(other, room, "m1", "florist")
		if s, _ := first.Status("m1"); len(s.Told) != 0 {
			t.Fatal("the receipt was not missed")
		}
		w.pass(time.Minute)
		if got := w.escalations(); len(got) != 0 {
			t.Errorf("escalated: %+v", got)
		}
		if s, _ := first.Status("m1"); len(s.Told) != 1 || len(s.Missing) != 0 {
			t.Errorf("the receipt has not been learned: %+v", s)
		}
	})
}

// A node that comes back after a while has a message, but neither its receipts nor its escalation: it waits for
// what the others say.
func TestLateNodeListensFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.nodes[0].Join(room, "florist")
		w.pass(time.Second)
		w.publish(w.nodes[0], room, "m1", "")
		published := w.nodes[0].clock.Now()
		w.pass(time.Minute)
		late := w.start("late")
		w.pass(2 * time.Second)
		late.Published(&backbone.Event{ID: "m1", Room: room, HLC: published, Origin: "n0"})
		w.pass(time.Second)
		late.Escalated(room, "m1") // as the log says it a little later
		w.pass(time.Minute)
		if got := w.escalations(); len(got) != 1 || got[0].by == "late" {
			t.Errorf("got %+v", got)
		}
		// Without it, it escalates: the others may have died before they could.
		late.Published(&backbone.Event{ID: "m2", Room: room, HLC: backbone.At(time.Now().Add(-40 * time.Second)), Origin: "n0"})
		w.nodes[0].Join(room, "band")
		w.pass(time.Minute)
		if got := w.escalations(); len(got) != 2 || got[1].by != "late" {
			t.Errorf("got %+v", got)
		}
	})
}

// Never, failing, and too old.
func TestNoEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(c *Config) { c.EscalateAfter = 0 })
		n := w.nodes[0]
		n.Join(room, "florist")
		w.publish(n, room, "m1", "")
		w.pass(9 * time.Minute)
		if s, ok := n.Status("m1"); len(w.escalations()) != 0 || !ok || len(s.Missing) != 1 {
			t.Errorf("escalations %v, status %+v, %v", w.escalations(), s, ok)
		}
		if got := n.metric(metricUntold); got != 1 {
			t.Errorf("%s is %v", metricUntold, got)
		}
		w.pass(2 * time.Minute)
		if _, ok := n.Status("m1"); ok {
			t.Error("the tally is kept for ever")
		}
		old := backbone.At(time.Now().Add(-time.Hour))
		n.Published(&backbone.Event{ID: "m2", Room: room, HLC: old})
		n.Published(&backbone.Event{Room: room, HLC: n.clock.Now()})
		if got := n.metric(metricUntold); got != 0 {
			t.Errorf("%s is %v", metricUntold, got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		n := w.nodes[0]
		n.set(func(n *node) { n.failing = true })
		n.Join(room, "florist")
		w.publish(n, room, "m1", "")
		w.pass(time.Minute)
		if got := n.metric(metricEscalations); got != 1 || n.metric(metricReceipt) != 0 {
			t.Errorf("%s is %v, %s %v", metricEscalations, got, metricReceipt, n.metric(metricReceipt))
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		for _, key := range []string{"florist", "baker", "band"} {
			w.nodes[0].Join(room, key)
		}
		w.pass(time.Second)
		published := time.Now()
		w.publish(w.nodes[1], room, "m1", "planner")
		w.pass(150 * time.Millisecond)
		w.confirm(w.nodes[0], room, "m1", "florist")
		w.pass(time.Second)
		w.confirm(w.nodes[0], room, "m1", "florist") // again: the first counts
		w.confirm(w.nodes[0], room, "m1", "guest")   // of whom nobody knew
		want := Tally{ID: "m1", Room: room, Path: "timeline", Published: published.UTC(), Expected: []string{"band", "baker", "florist"},
			Told:    []Told{{"florist", "region-of-n0", 150}, {"guest", "region-of-n0", 1150}},
			Missing: []string{"band", "baker"}}
		slices.Sort(want.Expected)
		slices.Sort(want.Missing)
		for _, n := range w.nodes {
			got, ok := n.Status("m1")
			if diff := cmp.Diff(want, got); diff != "" || !ok {
				t.Errorf("%s: %v (-want +got)\n%s", n.name, ok, diff)
			}
			if got := n.metric(metricUntold); got != 2 {
				t.Errorf("%s: %s is %v", n.name, metricUntold, got)
			}
		}
		if a, b := w.nodes[0].metric(metricReceipt), w.nodes[1].metric(metricReceipt); a != 0 || b != 2 {
			t.Errorf("%s: %v and %v, want only the node counted that accepted the message", metricReceipt, a, b)
		}
		w.pass(DefaultEscalateAfter)
		w.confirm(w.nodes[0], room, "m1", "baker") // late, and told all the same
		for _, n := range w.nodes {
			if got, _ := n.Status("m1"); !got.Escalated || len(got.Told) != 3 {
				t.Errorf("%s: %+v", n.name, got)
			}
		}
		if _, ok := w.nodes[0].Status("m9"); ok {
			t.Error("a message that never was has a tally")
		}
		w.publish(w.nodes[0], "private:other", "m1", "")
		if got, _ := w.nodes[0].Status("m1"); got.Room != "private:other" {
			t.Errorf("of two messages with one id, got the older one: %+v", got)
		}
	})
}

// Clients may confirm an escalation as they confirm everything urgent; nobody counts it.
func TestEscalationsNeedNoReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newWorld(t, 1).nodes[0]
		n.Receipt(room, EscalationID("m1"), "florist", "r")
		if len(n.early) != 0 {
			t.Error("a receipt is kept")
		}
	})
}

func TestJoinNeedsAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for _, c := range []struct{ room, key string }{
			{room, ""}, {"", "florist"}, {room, "\xff"}, {room, strings.Repeat("k", 256)}, {strings.Repeat("r", 513), "florist"},
		} {
			if w.nodes[0].Join(c.room, c.key) {
				t.Errorf("%q in %q is expected", c.key, c.room)
			}
		}
		w.nodes[0].End(room, "nobody", true)
		if got := w.nodes[0].metric(metricMembers); got != 0 {
			t.Errorf("%v members", got)
		}
	})
}

func TestConfig(t *testing.T) {
	_, err := New(Config{Node: strings.Repeat("n", 256), EscalateAfter: -1, Keep: 1, MaxTallies: -1})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"256 bytes", "clock is nil", "gossip is nil", "escalate is nil", "negative: escalate after -1ns", "-1 tallies"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	_, err = New(Config{Node: "n", EscalateAfter: time.Minute, Keep: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "at least 2m0s") {
		t.Errorf("error %v", err)
	}
}

func TestEscalationID(t *testing.T) {
	long := strings.Repeat("x", backbone.MaxID)
	for id, want := range map[string]string{"m1": "esc/m1", long[:60]: "esc/" + long[:60]} {
		if got := EscalationID(id); got != want {
			t.Errorf("%s: %s", id, got)
		}
	}
	a, b := EscalationID(long), EscalationID(long[:61])
	if a == b || len(a) != backbone.MaxID || !protocol.ValidID(a) || !strings.HasPrefix(a, EscalationPrefix) {
		t.Errorf("%s and %s", a, b)
	}
}

// Every node comes first for its share of the messages, and one that goes leaves the order of the others.
func TestRank(t *testing.T) {
	nodes := []string{"eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "ap-south-1"}
	first := map[string]int{}
	const n = 5000
	for i := range n {
		m := message{room, fmt.Sprint("m", i)}
		seen := map[int]string{}
		for _, node := range nodes {
			seen[rankAmong(node, nodes, m)] = node
		}
		if len(seen) != len(nodes) {
			t.Fatalf("%v: ranks %v", m, seen)
		}
		first[seen[0]]++
		for r := 1; r < len(nodes); r++ { // without the first, each goes up by one
			var rest []string
			for q := 1; q < len(nodes); q++ {
				rest = append(rest, seen[q])
			}
			if got := rankAmong(seen[r], rest, m); got != r-1 {
				t.Fatalf("%v: rank %d, then %d", m, r, got)
			}
		}
	}
	for node, k := range first {
		if share := float64(k) * float64(len(nodes)) / n; share < 0.85 || share > 1.15 {
			t.Errorf("%s comes first %d times of %d", node, k, n)
		}
	}
}

func rankAmong(node string, nodes []string, m message) int {
	var others []string
	for _, other := range nodes {
		if other != node {
			others = append(others, other)
		}
	}
	return rank(node, others, m)
}
