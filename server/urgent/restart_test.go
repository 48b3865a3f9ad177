package urgent

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

func TestDeadPeerDelaysNobodyAndCatchesUp(t *testing.T) {
	nodes := cluster(t, 3, 3)
	publish(t, nodes[0], event("public:w", "before"))
	delivered(t, "before", nodes...)
	nodes[2].stop()

	var slowest time.Duration
	const missed = 200
	for i := range missed {
		start := time.Now()
		publish(t, nodes[i%2], event("public:w", fmt.Sprintf("m%d", i)))
		slowest = max(slowest, time.Since(start))
	}
	if slowest > time.Second {
		t.Errorf("the slowest ok took %v while a peer was dead", slowest)
	}
	for i := range missed {
		delivered(t, fmt.Sprintf("m%d", i), nodes[0], nodes[1])
	}
	if ok, why := nodes[0].b.CaughtUp(); !ok {
		t.Errorf("an unreachable peer blocks CaughtUp: %s", why)
	}

	nodes[2].start()
	if ok, _ := nodes[2].b.CaughtUp(); ok {
		t.Error("caught up at once after a restart, before reading anything")
	}
	nodes[2].ready()
	ids := nodes[2].log(protocol.Urgent)
	for i := range missed {
		if ids[fmt.Sprintf("m%d", i)] != 1 {
			t.Fatalf("m%d is in the log of the returned node %d times", i, ids[fmt.Sprintf("m%d", i)])
		}
	}
	once(t, nodes...)
}

func TestMutePeerDelaysNobody(t *testing.T) {
	nodes := configs(t, 3, 3)
	mute, err := net.Listen("tcp", nodes[2].cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() { // ends when mute is closed
		var open []net.Conn
		for {
			c, err := mute.Accept()
			if err != nil {
				for _, c := range open {
					c.Close()
				}
				return
			}
			open = append(open, c)
		}
	})
	t.Cleanup(func() { mute.Close(); conns.Wait() })
	nodes[0].start()
	nodes[1].start()
	eventually(t, "two nodes ready", func() error { return errors.Join(nodes[0].b.Ready(), nodes[1].b.Ready()) })
	var slowest time.Duration
	for i := range 300 {
		start := time.Now()
		publish(t, nodes[i%2], event("public:w", fmt.Sprintf("m%d", i)))
		slowest = max(slowest, time.Since(start))
	}
	if slowest > time.Second {
		t.Errorf("the slowest ok took %v beside a mute peer", slowest)
	}
	delivered(t, "m299", nodes[0], nodes[1])
	eventually(t, "caught up", func() error {
		if ok, why := nodes[0].b.CaughtUp(); !ok {
			return errors.New(why)
		}
		return nil
	})
}

func TestAllClosedAndRestartedLosesNothing(t *testing.T) {
	nodes := cluster(t, 3, 3)
	for i := range 60 {
		publish(t, nodes[i%3], event("public:w", fmt.Sprintf("m%d", i)))
	}
	for _, n := range nodes {
		eventually(t, "all logs", func() error {
			if got := len(n.log(protocol.Urgent)); got != 60 {
				return fmt.Errorf("%s holds %d of 60", n.cfg.Node, got)
			}
			return nil
		})
	}
	for _, n := range nodes {
		n.stop()
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	for _, n := range nodes {
		ids := n.log(protocol.Urgent)
		for i := range 60 {
			if id := fmt.Sprintf("m%d", i); ids[id] != 1 {
				t.Errorf("%s holds %s %d times", n.cfg.Node, id, ids[id])
			}
		}
	}
	// A retry after the restart is held, not delivered again.
	publish(t, nodes[0], event("public:w", "m59"))
	once(t, nodes...)
}

func TestLateEventsAreMarkedReplayed(t *testing.T) {
	nodes := configs(t, 2, 2)
	nodes[0].lane.Deadline = 50 * time.Millisecond
	nodes[1].lane.ReplayedAfter = 100 * time.Millisecond
	nodes[0].start()
	if _, err := nodes[0].l.Publish(t.Context(), event("public:w", "late")); !errors.Is(err, ErrNotHeld) {
		t.Fatal(err)
	}
	eventually(t, "time passes", func() error {
		if nodes[0].inbox.at["late"].After(time.Now().Add(-200 * time.Millisecond)) {
			return errors.New("too early")
		}
		return nil
	})
	nodes[1].start()
	delivered(t, "late", nodes[1])
	if ev := nodes[1].inbox.first("late"); !ev.Replayed {
		t.Error("an event that came by catch-up is not marked")
	}
	nodes[1].ready()
	once(t, nodes...)
}

func TestAckEarlyIsSeenToLie(t *testing.T) {
	nodes := configs(t, 3, 3)
	for _, n := range nodes {
		n.lane.AckEarly = true
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	held := publish(t, nodes[0], event("public:w", "lie"))
	acked := time.Now()
	if len(held.Regions) != 2 {
		t.Errorf("claims %v, want two regions", held.Regions)
	}
	delivered(t, "lie", nodes...)
	if late := time.Since(acked); late > 500*time.Millisecond {
		t.Errorf("the live copies took %v", late)
	}
	var stored []backbone.Stored
	eventually(t, "stored at last", func() error {
		stored = nil
		return errors.Join(nodes[0].b.Log(t.Context(), protocol.Urgent, func(s backbone.Stored) error {
			stored = append(stored, s)
			return nil
		}), func() error {
			if len(stored) != 1 {
				return fmt.Errorf("%d entries", len(stored))
			}
			return nil
		}())
	})
	if early := stored[0].StoredAt.Sub(acked); early < earlyBy/2 {
		t.Errorf("stored %v after the ok; the flaw should be visible", early)
	}
	once(t, nodes...)
}

// TestOldCopyIsLeftToTheLog covers what comes when memory no longer reaches back: only the own log,
// which takes each id once, can tell a late event from a late copy.
func TestOldCopyIsLeftToTheLog(t *testing.T) {
	n := cluster(t, 1, 1)[0]
	old := event("public:w", "old")
	old.HLC = n.l.shard(old.Room).seen.horizon - 1
	if n.l.arrive(old, false) || n.inbox.count("old") != 0 {
		t.Error("a copy that may have been delivered long ago was delivered")
	}
	if !n.l.arrive(old, true) || n.inbox.count("old") != 1 {
		t.Error("an event that the log has just taken was not delivered")
	}
	n.l.arrive(old, true)
	n.l.arrive(old, false)
	once(t, n)
}
