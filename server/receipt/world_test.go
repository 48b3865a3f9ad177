package receipt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is some nodes in one synctest bubble. Messages, receipts and escalations reach every node that lives
// and is not deaf to them.
type world struct {
	t     *testing.T
	begin time.Time

	mu    sync.Mutex // guards the following
	nodes []*node
	said  []said
}

// said is an escalation that a node has published.
type said struct {
	by string
	at time.Duration // since the world began
	Escalation
}

type node struct {
	*Ledger
	world    *world
	name     string
	clock    *backbone.Clock
	registry *prometheus.Registry
	stop     context.CancelFunc
	done     chan struct{}

	// Guarded by the world's mu.
	dead     bool
	deaf     bool // to gossip, in both directions
	unheard  bool // its receipts and escalations do not reach the others, nor theirs it
	failing  bool // to publish
	messages int  // of gossip that it has sent
}

func newWorld(t *testing.T, n int, change ...func(*Config)) *world {
	w := &world{t: t, begin: time.Now()}
	for i := range n {
		w.start(fmt.Sprint("n", i), change...)
	}
	w.pass(2 * time.Second) // all have heard each other
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.kill()
		}
	})
	return w
}

func (w *world) start(name string, change ...func(*Config)) *node {
	w.t.Helper()
	n := &node{world: w, name: name, clock: backbone.NewClock(time.Now), registry: prometheus.NewRegistry(), done: make(chan struct{})}
	cfg := Config{Node: name, Clock: n.clock.Now, Gossip: n.gossip, Escalate: n.escalate,
		EscalateAfter: DefaultEscalateAfter, Registerer: n.registry}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if n.Ledger, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { // ends with ctx
		defer close(n.done)
		if err := n.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = append(w.nodes, n)
	return n
}

// sent is how many messages of gossip the node has sent.
func (n *node) sent() int {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	return n.messages
}

// set changes what reaches a node.
func (n *node) set(change func(*node)) {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	change(n)
}

// kill ends a node without a goodbye.
func (n *node) kill() {
	n.world.mu.Lock()
	n.dead = true
	n.world.mu.Unlock()
	n.stop()
	<-n.done
}

func (n *node) gossip(to string, data []byte) {
	n.world.mu.Lock()
	n.messages++
	var others []*node
	for _, other := range n.world.nodes {
		if other != n && (to == "" || to == other.name) && !other.dead && !n.dead && !other.deaf && !n.deaf {
			others = append(others, other)
		}
	}
	n.world.mu.Unlock()
	for _, other := range others {
		other.Receive(slices.Clone(data))
	}
}

func (n *node) escalate(_ context.Context, e Escalation) error {
	w := n.world
	w.mu.Lock()
	failing := n.failing
	w.said = append(w.said, said{n.name, time.Since(w.begin), e})
	hear := w.reached(n)
	w.mu.Unlock()
	if failing {
		return errors.New("not held by two regions")
	}
	for _, other := range hear {
		other.Escalated(e.Room, e.Escalation.ID)
	}
	return nil
}

// reached is the nodes that hear what is live on one of them. mu is held.
func (w *world) reached(from *node) (nodes []*node) {
	for _, n := range w.nodes {
		if !n.dead && (n == from || !n.unheard && !from.unheard) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// publish has a message accepted by a node, and returns when.
func (w *world) publish(n *node, room, id, from string) time.Duration {
	ev := &backbone.Event{ID: id, Room: room, Path: "timeline", From: from, Origin: n.name, HLC: n.clock.Now(), Lane: protocol.Urgent}
	w.mu.Lock()
	nodes := w.reached(n)
	w.mu.Unlock()
	for _, other := range nodes {
		other.clock.Observe(ev.HLC)
		other.Published(ev)
	}
	return time.Since(w.begin)
}

// confirm has a member of a node confirm a message.
func (w *world) confirm(n *node, room, id, by string) {
	w.mu.Lock()
	nodes := w.reached(n)
	w.mu.Unlock()
	for _, other := range nodes {
		other.Ledger.Receipt(room, id, by, "region-of-"+n.name)
	}
}

func (w *world) pass(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

// escalations is what has been published.
func (w *world) escalations() []said {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

// owner is the node of a rank for a message, of those that live.
func (w *world) owner(m message, of int) *node {
	for _, n := range w.nodes {
		var others []string
		for _, other := range w.nodes {
			if other != n && !other.dead {
				others = append(others, other.name)
			}
		}
		if !n.dead && rank(n.name, others, m) == of {
			return n
		}
	}
	w.t.Fatalf("nobody has rank %d", of)
	return nil
}

// metric is the value of a metric of the node; for a histogram the number of observations.
func (n *node) metric(name string) (sum float64) {
	families, err := n.registry.Gather()
	if err != nil {
		n.world.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}
