package urgent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

func TestHeldInTwoRegionsAndDeliveredEverywhereOnce(t *testing.T) {
	nodes := cluster(t, 3, 3)
	for i := range 30 {
		from := nodes[i%3]
		ev := event("public:w1", fmt.Sprintf("m%d", i))
		if i%2 == 0 {
			ev.Lane = protocol.Normal
		}
		held := publish(t, from, ev)
		slices.Sort(held.Regions)
		if len(slices.Compact(held.Regions)) != 2 {
			t.Errorf("held by %v: want two regions", held.Regions)
		}
		if from.inbox.count(ev.ID) != 1 {
			t.Errorf("%s was not delivered to the publisher's own node before ok", ev.ID)
		}
	}
	for i := range 30 {
		delivered(t, fmt.Sprintf("m%d", i), nodes...)
	}
	once(t, nodes...)
	for _, n := range nodes {
		eventually(t, "all three logs", func() error {
			if got := len(n.log(protocol.Urgent)) + len(n.log(protocol.Normal)); got != 30 {
				return fmt.Errorf("%s holds %d of 30", n.cfg.Node, got)
			}
			return nil
		})
	}
}

func TestEventArrivesAsItWasPublished(t *testing.T) {
	nodes := cluster(t, 2, 2)
	for _, form := range []backbone.Form{backbone.Text, backbone.JSON, backbone.Binary} {
		id := fmt.Sprintf("form.%d", form)
		sender := new(int)
		sent := &backbone.Event{ID: id, Lane: protocol.Urgent, Room: "private:Zoë & Max.*>", Name: "urgent", From: "band", Form: form, Payload: []byte{0, 1, 0xff}, Sender: sender}
		publish(t, nodes[0], sent)
		delivered(t, id, nodes...)
		got, local := nodes[1].inbox.first(id), nodes[0].inbox.first(id)
		if got.Room != sent.Room || got.Name != sent.Name || got.From != sent.From || got.Form != form || string(got.Payload) != string(sent.Payload) ||
			got.HLC != sent.HLC || got.Origin != "n0" || got.Replayed || got.Sender != nil {
			t.Errorf("got %+v, sent %+v", got, sent)
		}
		if local.Sender != sender {
			t.Error("the local delivery does not name the member that sent it")
		}
	}
}

func TestIDIsMadeIfMissing(t *testing.T) {
	nodes := cluster(t, 1, 1)
	ev := event("public:w", "")
	if held := publish(t, nodes[0], ev); len(held.Regions) != 1 {
		t.Errorf("a single region holds in itself, got %v", held.Regions)
	}
	if ev.ID == "" || ev.HLC == 0 || ev.Origin != "n0" {
		t.Errorf("not filled in: %+v", ev)
	}
}

func TestPublishRefusesWhatCannotBeStored(t *testing.T) {
	n := cluster(t, 1, 1)[0]
	for name, ev := range map[string]*backbone.Event{
		"id":      event("public:w", "no blanks"),
		"room":    event("", "x"),
		"payload": {ID: "big", Room: "public:w", Payload: make([]byte, backbone.MaxPayload+1)},
	} {
		if _, err := n.l.Publish(t.Context(), ev); err == nil || errors.Is(err, ErrNotHeld) {
			t.Errorf("%s: got %v, want a definite refusal", name, err)
		}
		if err := n.l.Cast(t.Context(), ev); err == nil {
			t.Errorf("%s: cast accepted", name)
		}
	}
	if n.inbox.total() != 0 {
		t.Error("a refused event was delivered")
	}
	big := &backbone.Event{ID: "max", Room: "public:w", Payload: make([]byte, backbone.MaxPayload)}
	publish(t, n, big)
}

// TestMutePeer covers a peer that accepts connections and says nothing, and one that takes its
// subscription and then stops reading.
func TestIsolatedNodeDeliversLocallyButDoesNotHold(t *testing.T) {
	nodes := configs(t, 3, 3)
	nodes[0].lane.Deadline = 300 * time.Millisecond
	nodes[0].start()
	ev := event("public:w", "alone")
	start := time.Now()
	_, err := nodes[0].l.Publish(t.Context(), ev)
	if !errors.Is(err, ErrNotHeld) {
		t.Fatalf("got %v, want ErrNotHeld", err)
	}
	if took := time.Since(start); took < 300*time.Millisecond || took > time.Second {
		t.Errorf("gave up after %v, want the deadline", took)
	}
	if nodes[0].inbox.count("alone") != 1 {
		t.Error("not delivered locally")
	}
	if err := nodes[0].b.Ready(); err == nil {
		t.Error("ready without any other region")
	}

	// The same id again heals, whether the first copy has got through meanwhile or not.
	nodes[1].start()
	nodes[2].start()
	nodes[0].ready()
	publish(t, nodes[0], event("public:w", "alone"))
	delivered(t, "alone", nodes...)
	eventually(t, "all logs", func() error {
		for _, n := range nodes {
			if got := n.log(protocol.Urgent)["alone"]; got != 1 {
				return fmt.Errorf("%s holds it %d times", n.cfg.Node, got)
			}
		}
		return nil
	})
	once(t, nodes...)
}

func TestContextEndsTheWait(t *testing.T) {
	nodes := configs(t, 2, 2)
	nodes[0].start()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := nodes[0].l.Publish(ctx, event("public:w", "x"))
	if !errors.Is(err, ErrNotHeld) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSameIDThroughTwoHomes(t *testing.T) {
	nodes := cluster(t, 3, 3)
	var homes sync.WaitGroup
	for i := range 50 {
		for _, n := range nodes[:2] {
			homes.Go(func() { publish(t, n, event("public:w", fmt.Sprintf("m%d", i))) })
		}
		homes.Wait()
	}
	for i := range 50 {
		delivered(t, fmt.Sprintf("m%d", i), nodes...)
	}
	for _, n := range nodes {
		eventually(t, "log", func() error {
			ids := n.log(protocol.Urgent)
			if len(ids) != 50 {
				return fmt.Errorf("%d ids", len(ids))
			}
			for id, times := range ids {
				if times != 1 {
					t.Errorf("%s is %d times in the log of %s", id, times, n.cfg.Node)
				}
			}
			return nil
		})
	}
	once(t, nodes...)
}

func TestSameIDInAnotherRoomIsAnotherEvent(t *testing.T) {
	nodes := cluster(t, 2, 2)
	publish(t, nodes[0], event("public:w1", "x"))
	publish(t, nodes[0], event("public:w2", "x"))
	eventually(t, "both", func() error {
		if nodes[1].inbox.count("x") != 2 {
			return errors.New("missing")
		}
		return nil
	})
}

func TestOrderOfOnePublisherIsKept(t *testing.T) {
	nodes := cluster(t, 3, 3)
	const n = 300
	var oks sync.WaitGroup
	for i := range n {
		ev := event("public:w", fmt.Sprintf("m%03d", i))
		now := time.Now()
		h := nodes[0].l.shard(ev.Room).publish(nodes[0].l, ev, now)
		oks.Go(func() {
			if _, err := h.wait(context.Background(), 5*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	oks.Wait()
	delivered(t, fmt.Sprintf("m%03d", n-1), nodes...)
	for _, node := range nodes {
		node.inbox.mu.Lock()
		if !slices.IsSorted(node.inbox.order) || len(node.inbox.order) != n {
			t.Errorf("%s delivered %d events, in order: %v", node.cfg.Node, len(node.inbox.order), slices.IsSorted(node.inbox.order))
		}
		node.inbox.mu.Unlock()
	}
}

func TestCastReachesEveryNodeAndIsNotKept(t *testing.T) {
	nodes := cluster(t, 3, 3)
	for _, lane := range []protocol.Lane{protocol.Normal, protocol.Urgent} {
		id := "cast-" + lane.String()
		ev := event("public:w", id)
		ev.Lane = lane
		if err := nodes[0].l.Cast(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		delivered(t, id, nodes...)
		for _, n := range nodes {
			if n.log(lane)[id] != 0 {
				t.Errorf("%s has stored a cast", n.cfg.Node)
			}
		}
	}
	for range 2 { // without an id there is nothing to tell two casts apart by
		if err := nodes[1].l.Cast(t.Context(), event("public:w", "")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both casts", func() error {
		if got := nodes[0].inbox.count(""); got != 2 {
			return fmt.Errorf("%d of 2", got)
		}
		return nil
	})
}

func TestReceiptsCrossNodes(t *testing.T) {
	nodes := cluster(t, 3, 3)
	want := Receipt{ID: "m1", Room: "public:w", By: "florist-7", Region: "r1"}
	nodes[1].l.Confirm(t.Context(), Receipt{ID: "m1", Room: "public:w", By: "florist-7"})
	for _, n := range nodes {
		eventually(t, "receipt on "+n.cfg.Node, func() error {
			n.inbox.mu.Lock()
			defer n.inbox.mu.Unlock()
			if len(n.inbox.receipts) != 1 || n.inbox.receipts[0] != want {
				return fmt.Errorf("got %v", n.inbox.receipts)
			}
			return nil
		})
	}
}

func TestClosedLaneRefuses(t *testing.T) {
	n := cluster(t, 1, 1)[0]
	if err := n.l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.l.Publish(t.Context(), event("public:w", "x")); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if err := n.l.Cast(t.Context(), event("public:w", "x")); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := New(Config{Deadline: -1})
	for _, want := range []string{"backbone", "deliver", "deadline"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %s", err, want)
		}
	}
}
