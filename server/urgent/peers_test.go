package urgent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

// without returns the peers of a cluster but for some.
func without(peers []backbone.Peer, gone ...int) []backbone.Peer {
	var left []backbone.Peer
	for i, p := range peers {
		if len(gone) == 0 || gone[0] != i {
			left = append(left, p)
		} else {
			gone = gone[1:]
		}
	}
	return left
}

// TestHoldsFollowThePeers: what a hold needs is what the cluster has, also for one that waits already.
func TestHoldsFollowThePeers(t *testing.T) {
	nodes := configs(t, 2, 2) // the second is not started
	nodes[0].lane.Deadline = time.Minute
	nodes[0].start()
	wait, err := nodes[0].l.Submit(event("public:w", "waits"))
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].b.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	if held, err := wait(t.Context()); err != nil || len(held.Regions) != 1 {
		t.Errorf("the other region was removed while the hold waited for it: %v, %v", held, err)
	}
	if held := publish(t, nodes[0], event("public:w", "alone")); len(held.Regions) != 1 {
		t.Errorf("alone: held by %v", held.Regions)
	}
	if err := nodes[0].b.SetPeers(nodes[0].cfg.Peers); err != nil {
		t.Fatal(err)
	}
	nodes[1].start()
	nodes[0].ready()
	if held := publish(t, nodes[0], event("public:w", "both")); len(held.Regions) != 2 {
		t.Errorf("together: held by %v", held.Regions)
	}
	for _, id := range []string{"waits", "alone", "both"} { // repair brings what the new peer was not sent
		eventually(t, id, func() error {
			if nodes[1].log(protocol.Urgent)[id] != 1 {
				return errors.New("not in the log of the peer that was added")
			}
			return nil
		})
	}
}

// TestRetryAfterAPeerIsGone: an id whose hold has failed is held by what is left.
func TestRetryAfterAPeerIsGone(t *testing.T) {
	nodes := configs(t, 2, 2)
	nodes[0].lane.Deadline = 50 * time.Millisecond
	nodes[0].start()
	if _, err := nodes[0].l.Publish(t.Context(), event("public:w", "x")); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("got %v", err)
	}
	if err := nodes[0].b.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	nodes[0].l.cfg.Deadline = 10 * time.Second
	publish(t, nodes[0], event("public:w", "x"))
	once(t, nodes[0])
}

// TestPeersComeAndGoUnderLoad changes the peers of all nodes at random while they publish. In the end
// everything that was held by anybody is in every log, once.
func TestPeersComeAndGoUnderLoad(t *testing.T) {
	nodes := cluster(t, 4, 3)
	all := nodes[0].cfg.Peers
	const span = 3 * time.Second
	var mu sync.Mutex // guards held
	var held []string
	var work sync.WaitGroup
	until := time.Now().Add(span)
	for _, n := range nodes {
		for range 4 {
			work.Go(func() { // ends after span and a deadline
				for i := 0; time.Now().Before(until); i++ {
					ev := event(fmt.Sprintf("public:w%d", i%5), "")
					if i%2 == 0 {
						ev.Lane = protocol.Normal
					}
					if _, err := n.l.Publish(context.Background(), ev); err == nil {
						mu.Lock()
						held = append(held, ev.ID)
						mu.Unlock()
					} else if !errors.Is(err, ErrNotHeld) {
						t.Error(err)
					}
					n.b.Cast(&backbone.Event{ID: "bulk-" + ev.ID, Room: "public:w", Lane: protocol.Bulk, Payload: make([]byte, 100)})
				}
			})
		}
		work.Go(func() { // ends after span
			for time.Now().Before(until) {
				var some []backbone.Peer
				for _, i := range rand.Perm(len(all)) {
					if rand.IntN(4) > 0 {
						some = append(some, all[i])
					}
				}
				if err := n.b.SetPeers(some); err != nil {
					t.Error(err)
				}
				if n.b.Regions() < 1 || n.b.Regions() > 3 {
					t.Errorf("%d regions", n.b.Regions())
				}
				n.b.CaughtUp()
				time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond) // how often peers change
			}
		})
	}
	work.Wait()
	for _, n := range nodes {
		if err := n.b.SetPeers(all); err != nil {
			t.Fatal(err)
		}
	}
	if len(held) < 100 {
		t.Fatalf("only %d were held: the test does not test", len(held))
	}
	t.Logf("%d were held", len(held))
	for _, n := range nodes {
		eventually(t, n.cfg.Node, func() error {
			urgent, normal := n.log(protocol.Urgent), n.log(protocol.Normal)
			for _, id := range held {
				if urgent[id]+normal[id] != 1 {
					return fmt.Errorf("%s is there %d times", id, urgent[id]+normal[id])
				}
			}
			return nil
		})
	}
	once(t, nodes...)
}

// TestNodeOfTheSameNameWithANewLog takes a node out for good and later starts one of its name, with an
// empty disk: it holds what all hold, and what it publishes then is not taken for something old.
func TestNodeOfTheSameNameWithANewLog(t *testing.T) {
	nodes := cluster(t, 3, 3)
	all := nodes[0].cfg.Peers
	const each = 60
	batch := func(name string, from ...*node) {
		for i := range each {
			publish(t, from[i%len(from)], event("public:w", fmt.Sprintf("%s%d", name, i)))
		}
	}
	complete := func(n *node, want int) {
		t.Helper()
		eventually(t, n.cfg.Node+" is complete", func() error {
			if got := len(n.log(protocol.Urgent)); got != want {
				return fmt.Errorf("holds %d of %d", got, want)
			}
			return nil
		})
	}
	batch("with", nodes...)
	for _, n := range nodes {
		complete(n, each)
	}
	for _, n := range nodes[:2] {
		if err := n.b.SetPeers(without(all, 2)); err != nil {
			t.Fatal(err)
		}
	}
	nodes[2].stop()
	batch("without", nodes[:2]...)
	if err := os.RemoveAll(nodes[2].cfg.Dir); err != nil {
		t.Fatal(err)
	}

	nodes[2].inbox = newInbox() // of other members
	nodes[2].start()
	for _, n := range nodes[:2] {
		if err := n.b.SetPeers(all); err != nil {
			t.Fatal(err)
		}
	}
	nodes[2].ready()
	complete(nodes[2], 2*each)
	if events, err := nodes[2].l.Since(t.Context(), "public:w", 0, 0); err != nil || len(events) != 2*each {
		t.Errorf("replays %d of %d, %v", len(events), 2*each, err)
	}
	for _, n := range nodes[:2] { // its new log begins where the old one did, with other events
		n.ready()
	}
	batch("again", nodes[2])
	for _, n := range nodes {
		complete(n, 3*each)
		delivered(t, fmt.Sprintf("again%d", each-1), n)
	}
	once(t, nodes...)
}

// TestHandoverWhileAPeerIsCutOff drains a node whose events have reached one of two peers, and looks
// for them after it is gone.
func TestHandoverWhileAPeerIsCutOff(t *testing.T) {
	nodes := configs(t, 3, 3)
	there, back := newRoad(t, nodes[2].cfg.Listen), newRoad(t, nodes[0].cfg.Listen)
	for i, r := range map[int]*road{0: there, 2: back} {
		peers := append(nodes[i].cfg.Peers[:0:0], nodes[i].cfg.Peers...)
		peers[2-i].URL = r.url()
		nodes[i].cfg.Peers = peers
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	there.silence(true)
	back.silence(true)
	for i := range 50 {
		ev := event("public:w", fmt.Sprintf("m%d", i))
		if i%2 == 0 {
			ev.Lane = protocol.Normal
		}
		publish(t, nodes[0], ev)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	begun := time.Now()
	if err := nodes[0].b.Handover(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("handed over in %v", time.Since(begun))
	holds := func(n *node) error {
		if got := len(n.log(protocol.Urgent)) + len(n.log(protocol.Normal)); got != 50 {
			return fmt.Errorf("%s holds %d of 50", n.cfg.Node, got)
		}
		return nil
	}
	if err := holds(nodes[1]); err != nil {
		t.Error(err)
	}
	nodes[0].stop()
	eventually(t, "the third", func() error { return holds(nodes[2]) })
}

// TestHandoverWaitsUntilOthersHoldIt drains a node that alone holds an event.
func TestHandoverWaitsUntilOthersHoldIt(t *testing.T) {
	nodes := configs(t, 3, 3)
	nodes[0].lane.Deadline = 50 * time.Millisecond
	nodes[0].start()
	if _, err := nodes[0].l.Publish(t.Context(), event("public:w", "alone")); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("got %v", err)
	}
	nodes[1].start()
	nodes[2].start()
	if err := nodes[0].b.Handover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if n.log(protocol.Urgent)["alone"] != 1 {
			t.Errorf("%s does not hold it when the handover is over", n.cfg.Node)
		}
	}
}
