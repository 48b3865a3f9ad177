package urgent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runChild()
		return
	}
	goleak.VerifyTestMain(m)
}

const secret = "a secret of tests"

// node is one backbone with its lane, and what its members would have got.
type node struct {
	t     testing.TB
	cfg   backbone.Config
	lane  Config
	b     *backbone.Backbone
	l     *Lane
	inbox *inbox
}

// inbox records deliveries and receipts.
type inbox struct {
	mu       sync.Mutex
	events   map[string][]*backbone.Event // by id
	order    []string
	at       map[string]time.Time
	receipts []Receipt
}

func newInbox() *inbox {
	return &inbox{events: map[string][]*backbone.Event{}, at: map[string]time.Time{}}
}

func (in *inbox) deliver(ev *backbone.Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.events[ev.ID]) == 0 {
		in.at[ev.ID] = time.Now()
	}
	in.events[ev.ID] = append(in.events[ev.ID], ev)
	in.order = append(in.order, ev.ID)
}

func (in *inbox) receipt(r Receipt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.receipts = append(in.receipts, r)
}

func (in *inbox) count(id string) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.events[id])
}

// first is the first delivery of an id.
func (in *inbox) first(id string) *backbone.Event {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.events[id][0]
}

func (in *inbox) total() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.order)
}

func addresses(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		addrs = append(addrs, loopback.Must(t))
	}
	return addrs
}

// configs makes n nodes; node i is in region r<i modulo regions>.
func configs(t testing.TB, n, regions int) []*node {
	t.Helper()
	addrs := addresses(t, n)
	var peers []backbone.Peer
	for i, addr := range addrs {
		peers = append(peers, backbone.Peer{Node: fmt.Sprintf("n%d", i), Region: fmt.Sprintf("r%d", i%regions), URL: "nats://" + addr})
	}
	dir := t.TempDir()
	var nodes []*node
	for i, p := range peers {
		nodes = append(nodes, &node{t: t, inbox: newInbox(), cfg: backbone.Config{
			Node: p.Node, Region: p.Region, Listen: addrs[i], Peers: peers, Secret: secret,
			Dir: filepath.Join(dir, p.Node), SyncAlways: true, Logger: testLogger(t, p.Node),
		}})
	}
	return nodes
}

// cluster starts n nodes and waits until all are ready.
func cluster(t testing.TB, n, regions int) []*node {
	t.Helper()
	nodes := configs(t, n, regions)
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	return nodes
}

func testLogger(t testing.TB, node string) *slog.Logger {
	if os.Getenv("WEDSYNC_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", node)
}

func (n *node) start() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := backbone.Start(ctx, n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	cfg := n.lane
	cfg.Backbone, cfg.Deliver, cfg.OnReceipt = b, n.inbox.deliver, n.inbox.receipt
	l, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.b, n.l = b, l
	n.t.Cleanup(n.stop)
}

// stop closes the node, as a region that dies politely.
func (n *node) stop() {
	if n.l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := errors.Join(n.l.Close(ctx), n.b.Close(ctx)); err != nil {
		n.t.Errorf("closing %s: %v", n.cfg.Node, err)
	}
	n.l, n.b = nil, nil
}

// ready waits until every peer that runs is connected and read to its end.
func (n *node) ready() {
	n.t.Helper()
	eventually(n.t, n.cfg.Node+" ready", func() error {
		if err := n.b.Ready(); err != nil {
			return err
		}
		if ok, why := n.b.CaughtUp(); !ok || strings.Contains(why, "unreachable") {
			return errors.New(why)
		}
		return nil
	})
}

// log returns the ids in the own log, with how often each is there.
func (n *node) log(lane protocol.Lane) map[string]int {
	n.t.Helper()
	ids := map[string]int{}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.b.Log(ctx, lane, func(s backbone.Stored) error { ids[s.ID]++; return nil }); err != nil {
		n.t.Fatal(err)
	}
	return ids
}

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func event(room, id string) *backbone.Event {
	return &backbone.Event{ID: id, Lane: protocol.Urgent, Room: room, Name: "urgent", From: "planner", Payload: []byte(`{"text":"ceremony at 4 PM"}`)}
}

func publish(t testing.TB, n *node, ev *backbone.Event) Held {
	t.Helper()
	held, err := n.l.Publish(context.Background(), ev)
	if err != nil {
		t.Fatalf("publishing %s on %s: %v", ev.ID, n.cfg.Node, err)
	}
	return held
}

// delivered waits until each node has delivered the id.
func delivered(t testing.TB, id string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, id+" on "+n.cfg.Node, func() error {
			if n.inbox.count(id) == 0 {
				return errors.New("not delivered")
			}
			return nil
		})
	}
}

// once fails if a node has delivered anything more than once.
func once(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.inbox.mu.Lock()
		for id, events := range n.inbox.events {
			if len(events) > 1 {
				t.Errorf("%s delivered %s %d times", n.cfg.Node, id, len(events))
			}
		}
		n.inbox.mu.Unlock()
	}
}
