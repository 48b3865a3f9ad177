package presence

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A thousand members come within a second, and leave within another: everybody is told of each of
// them once, and in few diffs, for each of these goes to every member.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "east", "west", "north")
		defer c.stop()
		time.Sleep(time.Second)
		const members, most = 1000, 120
		storm := func(what string, left int, do func(n *node, id uint64)) {
			start := time.Now()
			for i := range members {
				do(c.nodes[c.names[i%3]], uint64(i+1))
				time.Sleep(time.Millisecond)
			}
			for _, name := range c.names {
				c.within(time.Second, name+" knows all", func() bool { return c.nodes[name].Len() == left })
			}
			time.Sleep(maxWindow)
			for _, name := range c.names {
				told := c.nodes[name].take()
				changes, bytes := 0, 0
				last := start
				for _, d := range told {
					changes += d.diff.Len()
					bytes += len(d.diff.Payload(""))
					last = d.at
				}
				t.Logf("%s: %s told %d diffs of %d bytes in all, the last after %v", what, name, len(told), bytes, last.Sub(start))
				if len(told) > most || changes != members {
					t.Errorf("%s: %s told %d changes in %d diffs, want %d in at most %d", what, name, changes, len(told), members, most)
				}
			}
		}
		storm("joins", members, func(n *node, id uint64) { n.Track(id, supplier(id)) })
		storm("leaves", 0, func(n *node, id uint64) { n.Untrack(id) })
		sent := 0.0
		for _, n := range c.nodes {
			sent += testutil.ToFloat64(n.metrics.sent)
		}
		t.Logf("%.0f bytes of gossip for a join and a leave, to both peers", sent/members)
	})
}

// The cost of a join does not grow with the room: gossip and diffs carry what changed alone.
func TestJoinCostsTheSameInALargeRoom(t *testing.T) {
	small, large := newTrio(100), newTrio(1000)
	joinSmall, leaveSmall := small.join(t), small.leave(t)
	joinLarge, leaveLarge := large.join(t), large.leave(t)
	t.Logf("join: %+v among 100, %+v among 1000; leave: %+v and %+v", joinSmall, joinLarge, leaveSmall, leaveLarge)
	for _, c := range []struct {
		what         string
		small, large int
	}{
		{"gossip of a join", joinSmall.gossip, joinLarge.gossip},
		{"diff of a join", joinSmall.diff, joinLarge.diff},
		{"gossip of a leave", leaveSmall.gossip, leaveLarge.gossip},
		{"diff of a leave", leaveSmall.diff, leaveLarge.diff},
	} {
		if c.small == 0 || float64(c.large) > 1.2*float64(c.small) {
			t.Errorf("%s: %d bytes among 100 members, %d among 1000", c.what, c.small, c.large)
		}
	}
}

// trio is three nodes without loops, whose wires bring everything at once, and a room with members.
type trio struct {
	nodes   [3]*replica
	now     time.Time
	members int
	payload []byte // the last diff
}

// cost of one change, in bytes.
type cost struct{ gossip, diff int }

func newTrio(members int) *trio {
	w := &trio{now: t0}
	names := []string{"eu-central", "us-east", "ap-south"}
	for i, name := range names {
		cfg := Config{Node: name, Peers: names}.withDefaults()
		w.nodes[i] = newReplica(&cfg, uint64(i)+1<<60)
	}
	for ; w.members < members; w.members++ {
		w.nodes[w.members%3].track(uint64(w.members), supplier(uint64(w.members)), w.now)
	}
	w.settle(nil)
	return w
}

// supplier is the entry that a supplier's app tracks.
func supplier(i uint64) Entry {
	return Entry{Room: wedding, Key: fmt.Sprintf("florist-%04d", i),
		Payload: fmt.Appendf(nil, `{"trade":"florist","name":"Supplier %04d","status":"online","at":"2026-06-13T14:%02d:00Z"}`, i, i%60)}
}

func (w *trio) join(t testing.TB) cost {
	w.nodes[0].track(1<<32, supplier(9999), w.now)
	return w.settle(t)
}

func (w *trio) leave(t testing.TB) cost {
	w.nodes[0].untrack(1<<32, w.now)
	return w.settle(t)
}

// settle brings all messages to all peers and cuts all diffs, a second later than anything before.
func (w *trio) settle(t testing.TB) (c cost) {
	w.now = w.now.Add(time.Second)
	for i, from := range w.nodes {
		messages, _ := from.outgoing(w.now, false)
		for _, m := range messages {
			b := m.encode()
			for j, to := range w.nodes {
				if i == j {
					continue
				}
				c.gossip += len(b)
				got, err := decode(b)
				if err != nil {
					panic(err)
				}
				to.receive(got, w.now)
			}
		}
	}
	for _, n := range w.nodes {
		diffs, _ := n.diffs(w.now)
		if t != nil && len(diffs) != 1 {
			t.Fatalf("%d diffs", len(diffs))
		}
		for _, d := range diffs {
			w.payload = d.Payload("")
			c.diff = len(w.payload)
		}
	}
	return c
}
