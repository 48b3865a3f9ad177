package urgent

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

func bulk(room, id string) *backbone.Event {
	return &backbone.Event{ID: id, Lane: protocol.Bulk, Room: room, Name: "photo", Payload: make([]byte, 1<<10)}
}

func TestBulkIsCastAndNeverHeld(t *testing.T) {
	nodes := cluster(t, 3, 3)
	if _, err := nodes[0].l.Submit(bulk("public:w", "x")); !errors.Is(err, errBulk) {
		t.Errorf("published: %v", err)
	}
	for _, home := range nodes[:2] { // a publisher with two homes, which is delivered once
		if err := home.l.Cast(t.Context(), bulk("public:w", "photo")); err != nil {
			t.Fatal(err)
		}
		delivered(t, "photo", nodes...)
	}
	once(t, nodes...)
	for _, n := range nodes {
		if events, err := n.l.Since(t.Context(), "public:w", 0, 0); err != nil || len(events) != 0 {
			t.Errorf("%s replays %d bulk events, %v", n.cfg.Node, len(events), err)
		}
	}
}

// TestBulkBeingDeliveredHoldsUpNothingUrgent: both are of one room.
func TestBulkBeingDeliveredHoldsUpNothingUrgent(t *testing.T) {
	nodes := configs(t, 2, 2)
	nodes[0].start()
	nodes[1].start()
	nodes[0].ready()
	busy, release := make(chan struct{}), make(chan struct{})
	deliver := nodes[0].inbox.deliver
	nodes[0].l.cfg.Deliver = func(ev *backbone.Event) {
		if ev.Lane == protocol.Bulk {
			close(busy)
			<-release
		}
		deliver(ev)
	}
	var sending sync.WaitGroup
	sending.Go(func() { // ends with release
		if err := nodes[0].l.Cast(t.Context(), bulk("public:w", "large")); err != nil {
			t.Error(err)
		}
	})
	<-busy
	published := make(chan struct{})
	sending.Go(func() { // ends with its hold
		publish(t, nodes[0], event("public:w", "urgent"))
		publish(t, nodes[1], event("public:w", "elsewhere"))
		delivered(t, "elsewhere", nodes[0])
		close(published)
	})
	select {
	case <-published:
	case <-time.After(20 * time.Second):
		t.Error("urgent events wait for a bulk event that is being delivered")
	}
	close(release)
	sending.Wait()
}
