package presence

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const wedding = "private:wedding:42"

// cluster is some Trackers with wires of a real delay between them. Use it in a synctest bubble: a
// test of seconds then takes none.
type cluster struct {
	t     testing.TB
	delay time.Duration
	names []string
	nodes map[string]*node

	mu   sync.Mutex // guards the following
	cuts map[[2]string]bool
	lose func(from, to string, m *message) bool // nil: nothing
	sent []*message
}

// node is one running Tracker.
type node struct {
	*Tracker
	cfg   Config
	stop  func() // as a process ends that was told to
	inbox chan letter

	mu    sync.Mutex // guards the following
	told  []delivery
	hook  func() // in Deliver
	block func() // in Gossip
}

type delivery struct {
	room string
	at   time.Time
	diff *Diff
}

type letter struct {
	at   time.Time
	data []byte
}

func newCluster(t testing.TB, names ...string) *cluster {
	c := &cluster{t: t, delay: 50 * time.Millisecond, names: names, nodes: map[string]*node{}, cuts: map[[2]string]bool{}}
	for _, name := range names {
		c.start(name)
	}
	return c
}

// start begins a life of a node.
func (c *cluster) start(name string) *node {
	c.t.Helper()
	n := &node{inbox: make(chan letter, 1<<14)}
	n.cfg = Config{
		Node: name, Peers: c.names,
		Gossip: func(to string, data []byte) {
			n.mu.Lock()
			block := n.block
			n.mu.Unlock()
			if block != nil {
				block()
			}
			c.gossip(name, to, data)
		},
		Deliver: func(room string, d *Diff) {
			n.mu.Lock()
			n.told = append(n.told, delivery{room, time.Now(), d})
			hook := n.hook
			n.mu.Unlock()
			if hook != nil {
				hook()
			}
		},
	}
	tracker, err := New(n.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	n.Tracker = tracker
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { // until stop
		if err := tracker.Run(ctx); err != nil {
			c.t.Error(err)
		}
	})
	running.Go(func() { // until stop
		for {
			select {
			case l := <-n.inbox:
				time.Sleep(time.Until(l.at))
				tracker.Receive(l.data)
			case <-ctx.Done():
				return
			}
		}
	})
	n.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	c.mu.Lock()
	c.nodes[name] = n
	c.mu.Unlock()
	return n
}

func (c *cluster) gossip(from, to string, data []byte) {
	m, err := decode(data)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, m)
	for name, n := range c.nodes {
		if name == from || to != "" && to != name || c.cuts[[2]string{from, name}] || c.lose != nil && c.lose(from, name, m) {
			continue
		}
		select {
		case n.inbox <- letter{time.Now().Add(c.delay), data}:
		default:
			c.t.Errorf("the inbox of %s is full", name)
		}
	}
}

// stop ends all nodes.
func (c *cluster) stop() {
	for _, n := range c.nodes {
		n.stop()
	}
}

// cut makes one node unheard by another, or heals it.
func (c *cluster) cut(from, to string, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cuts[[2]string{from, to}] = cut
}

// isolate cuts a node off in both directions, or heals it.
func (c *cluster) isolate(name string, cut bool) {
	for _, other := range c.names {
		c.cut(name, other, cut)
		c.cut(other, name, cut)
	}
}

// kill ends a node without its goodbye.
func (c *cluster) kill(name string) {
	c.isolate(name, true)
	c.nodes[name].stop()
}

// losing loses messages of a kind until the returned function is called, which says how many.
func (c *cluster) losing(lose func(from, to string, m *message) bool) (stop func() int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	c.lose = func(from, to string, m *message) bool {
		lost := lose(from, to, m)
		if lost {
			n++
		}
		return lost
	}
	return func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lose = nil
		return n
	}
}

// within waits until cond holds and returns how long that took; it fails the test after d.
func (c *cluster) within(d time.Duration, what string, cond func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > d {
			c.t.Fatalf("after %v still not: %s", d, what)
		}
		time.Sleep(time.Millisecond)
	}
	synctest.Wait()
	return time.Since(start)
}

// sees reports whether a node shows exactly these keys in the wedding.
func (c *cluster) sees(name string, keys ...string) func() bool {
	return func() bool { return cmp.Equal(c.keys(name), set(keys)) }
}

func (c *cluster) keys(name string) map[string]bool {
	var l list
	parse(c.t, c.nodes[name].State(wedding, ""), &l)
	got := map[string]bool{}
	for key := range l {
		got[key] = true
	}
	return got
}

func set(keys []string) map[string]bool {
	s := map[string]bool{}
	for _, k := range keys {
		s[k] = true
	}
	return s
}

// enter tracks an entry of the wedding, and returns its id.
func (n *node) enter(key string) uint64 {
	id := n.NewID()
	n.Track(id, entry(key, `{"trade":"florist"}`))
	return id
}

func entry(key, payload string) Entry {
	return Entry{Room: wedding, Key: key, Payload: []byte(payload)}
}

// take returns what has been delivered so far, and forgets it.
func (n *node) take() []delivery {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	told := n.told
	n.told = nil
	return told
}

// diffs takes the diffs as a member at path "" sees them.
func (n *node) diffs() []string {
	var got []string
	for _, d := range n.take() {
		got = append(got, string(d.diff.Payload("")))
	}
	return got
}

// ready is a cluster of three on which everybody has heard of everybody, each with one entry.
func ready(t testing.TB) *cluster {
	t.Helper()
	c := newCluster(t, "east", "west", "north")
	for _, name := range c.names {
		c.nodes[name].enter(name)
	}
	for _, name := range c.names {
		c.within(time.Second, name+" sees all", c.sees(name, c.names...))
	}
	time.Sleep(2 * time.Second)
	for _, n := range c.nodes {
		n.diffs()
	}
	return c
}

// sorted returns a state with its keys in order.
func sorted(t testing.TB, state []byte) []byte {
	t.Helper()
	var l list
	parse(t, state, &l)
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
