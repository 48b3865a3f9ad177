package urgent

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/protocol"
)

// cut makes two nodes unable to reach each other from the start: each is given an address of the
// other where nobody is.
func cut(t *testing.T, a, b *node) {
	dead := addresses(t, 2)
	for i, pair := range [][2]*node{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		peers := append(from.cfg.Peers[:0:0], from.cfg.Peers...)
		for j := range peers {
			if peers[j].Node == to.cfg.Node {
				peers[j].URL = "nats://" + dead[i]
			}
		}
		from.cfg.Peers = peers
	}
}

func TestCutBetweenTwoRegionsIsBridgedByTheThird(t *testing.T) {
	nodes := configs(t, 3, 3)
	cut(t, nodes[0], nodes[1])
	for _, n := range nodes {
		n.start()
	}
	eventually(t, "ready", func() error { return errors.Join(nodes[0].b.Ready(), nodes[1].b.Ready(), nodes[2].b.Ready()) })
	var slowest time.Duration
	for i := range 20 {
		ev := event("public:w", fmt.Sprintf("m%d", i))
		start := time.Now()
		publish(t, nodes[0], ev)
		delivered(t, ev.ID, nodes[1])
		slowest = max(slowest, time.Since(start))
	}
	// Not by repair, which waits for its poll: by the log of the third.
	if slowest > 200*time.Millisecond {
		t.Errorf("an urgent event took %v around the cut", slowest)
	}
	normal := event("public:w", "normal")
	normal.Lane = protocol.Normal
	publish(t, nodes[0], normal)
	delivered(t, "normal", nodes...)
	eventually(t, "the cut log is complete", func() error {
		if got := len(nodes[1].log(protocol.Urgent)); got != 20 {
			return fmt.Errorf("%d of 20", got)
		}
		return nil
	})
	once(t, nodes...)
}

func TestTwoNodesPerRegion(t *testing.T) {
	nodes := cluster(t, 6, 3)
	for i := range 12 {
		held := publish(t, nodes[i%6], event("public:w", fmt.Sprintf("m%d", i)))
		if held.Regions[0] == held.Regions[1] {
			t.Errorf("held twice in %s, not in two regions", held.Regions[0])
		}
	}
	nodes[2].stop() // region r2 dies: nodes 2 and 5
	nodes[5].stop()
	for i := range 12 {
		publish(t, nodes[i%2], event("public:w", fmt.Sprintf("after%d", i)))
	}
	delivered(t, "after11", nodes[0], nodes[1], nodes[3], nodes[4])
	once(t, nodes...)
}

func TestCatchUpOfThousandsIsDeliveredLateAndOnce(t *testing.T) {
	nodes := configs(t, 3, 3)
	for _, n := range nodes {
		n.cfg.SyncAlways = false // the load is not what is tested
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	nodes[2].stop()
	const missed = 2000
	var waits sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range missed {
		slots <- struct{}{}
		waits.Go(func() {
			publish(t, nodes[i%2], event(fmt.Sprintf("public:w%d", i%7), fmt.Sprintf("m%d", i)))
			<-slots
		})
	}
	waits.Wait()
	registry := prometheus.NewRegistry()
	nodes[2].cfg.SyncAlways, nodes[2].cfg.Registerer = true, registry
	start := time.Now()
	nodes[2].start()
	nodes[2].ready()
	t.Logf("caught up with %d in %v", missed, time.Since(start))
	if got := len(nodes[2].log(protocol.Urgent)); got != missed {
		t.Errorf("holds %d of %d", got, missed)
	}
	// Members who came to the returned node meanwhile get what it had missed; what it had taken
	// before it had any member is for them to ask for (Since).
	last, err := nodes[2].l.Since(t.Context(), "public:w3", 0, 0)
	if err != nil || len(last) < missed/7 {
		t.Errorf("history of a room: %d events, %v", len(last), err)
	}
	if nodes[2].inbox.total() == 0 {
		t.Error("nothing was delivered late")
	}
	once(t, nodes...)
	if n, err := testutil.GatherAndCount(registry, "wedsync_repaired_total"); err != nil || n == 0 {
		t.Errorf("repairs are not counted: %d, %v", n, err)
	}
}

func TestMetricsFollowConvention(t *testing.T) {
	nodes := configs(t, 2, 2)
	registry := prometheus.NewRegistry()
	nodes[0].cfg.Registerer = registry
	nodes[0].start()
	nodes[1].start()
	nodes[0].ready()
	publish(t, nodes[0], event("public:w", "x"))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"wedsync_region_link_up": 6, "wedsync_holds_total": 1, "wedsync_hold_duration_seconds": 1, "wedsync_lane_delivered_total": 1,
	} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
}
