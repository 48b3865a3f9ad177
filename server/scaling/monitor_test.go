package scaling

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// node is a Monitor of a test, with the load that it is told to have.
type node struct {
	*Monitor
	registry *prometheus.Registry
	stop     context.CancelFunc

	mu          sync.Mutex // guards the following
	connections int
	messages    float64
	draining    bool
}

// startNodes runs monitors that hear each other, until the test ends.
func startNodes(t *testing.T, regions ...string) []*node {
	var nodes []*node
	for i, region := range regions {
		n := &node{registry: prometheus.NewRegistry()}
		var err error
		n.Monitor, err = New(Config{
			Node: fmt.Sprint(region, "-", i), Region: region, Policy: testPolicy(), Registerer: n.registry,
			Gossip: func(_ string, data []byte) {
				for _, other := range nodes {
					if other != n {
						other.Receive(slices.Clone(data))
					}
				}
			},
			Connections: func() int { n.mu.Lock(); defer n.mu.Unlock(); return n.connections },
			Messages:    func() float64 { n.mu.Lock(); defer n.mu.Unlock(); return n.messages },
			Draining:    func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.draining },
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		ctx, cancel := context.WithCancel(context.Background())
		n.stop = cancel
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			if err := n.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	return nodes
}

func (n *node) load(connections int, messages float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.connections, n.messages = connections, messages
}

// gauge is the value of the series of a metric with these label values, or -1.
func (n *node) gauge(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetValue()) {
					continue series
				}
			}
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return -1
}

func pass(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

// Every node says the same, of every region, within two seconds of a change.
func TestEveryNodeSaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, "eu", "eu", "us")
		check := func(eu, us float64, reason Reason) {
			t.Helper()
			for _, n := range nodes {
				if e, u := n.gauge(t, MetricDesired, "eu"), n.gauge(t, MetricDesired, "us"); e != eu || u != us {
					t.Errorf("%s says %v and %v, want %v and %v", n.cfg.Node, e, u, eu, us)
				}
				if n.gauge(t, MetricReason, "eu", string(reason)) != 1 || n.gauge(t, MetricReason, "eu", string(ByMax)) != 0 {
					t.Errorf("%s: another reason than %s", n.cfg.Node, reason)
				}
			}
		}
		pass(2 * time.Second)
		check(2, 1, Stabilizing)
		nodes[0].load(1500, 0)
		nodes[1].load(1200, 0)
		nodes[2].load(10, 5001)
		pass(2 * time.Second)
		check(3, 2, ByConnections)
		nodes[0].load(100, 0)
		nodes[1].load(100, 0)
		pass(2 * time.Second)
		check(3, 2, Stabilizing)
		for _, n := range nodes {
			if got := n.gauge(t, MetricNeeded, "eu"); got != 1 {
				t.Errorf("%s needs %v", n.cfg.Node, got)
			}
		}
		pass(time.Minute)
		check(2, 2, Stabilizing)
		pass(time.Minute)
		check(1, 2, ByMin)
	})
}

// A node that says nothing for 5 s does not count, and its region keeps what it has.
func TestSilentNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, "eu", "us")
		nodes[1].load(3500, 0)
		pass(2 * time.Second)
		nodes[1].stop()
		pass(4 * time.Second)
		if got := nodes[0].gauge(t, MetricReason, "us", string(ByConnections)); got != 1 {
			t.Error("it does not count although it spoke 4 s ago")
		}
		pass(3 * time.Second)
		if got := nodes[0].gauge(t, MetricReason, "us", string(Unheard)); got != 1 {
			t.Error("it counts although it has been silent for 7 s")
		}
		pass(10 * time.Minute)
		if got := nodes[0].gauge(t, MetricDesired, "us"); got != 4 {
			t.Errorf("us should have %v", got)
		}
		nodes[0].mu.Lock()
		nodes[0].draining = true
		nodes[0].mu.Unlock()
		pass(2 * time.Second)
		if _, loads := nodes[0].current(time.Now()); len(loads) != 1 || !loads[0].Draining {
			t.Errorf("%+v", loads)
		}
	})
}

// A policy that changes counts from the next second on, and only what is new in it changes anything.
func TestPolicyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, "eu")[0]
		n.load(4500, 0)
		pass(2 * time.Second)
		for _, c := range []struct{ low, high, want int }{{1, 10, 5}, {7, 10, 7}, {1, 10, 7}, {1, 3, 3}} {
			p := testPolicy()
			p.Regions["eu"] = Capacity{Min: c.low, Max: c.high, Connections: 1000, Messages: 5000}
			if err := n.Use(p); err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Second)
			if got := n.gauge(t, MetricDesired, "eu"); got != float64(c.want) {
				t.Errorf("with %d to %d nodes: %v, want %d", c.low, c.high, got, c.want)
			}
		}
		if err := n.Use(&Policy{}); err == nil {
			t.Error("a policy without any capacity is taken")
		}
	})
}

func TestMalformedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, "eu")[0]
		pass(time.Second)
		for i, data := range []string{``, `[]`, `{}`, `{"node":"x","region":"eu","connections":-1}`, `{"node":"x","region":""}`,
			`{"node":"x","region":"eu","messages":1e999}`, `{"node":"` + strings.Repeat("x", maxLoad) + `","region":"eu"}`} {
			n.Receive([]byte(data))
			if got := n.gauge(t, metricMalformed); got != float64(i+1) {
				t.Errorf("%s: %s is %v", data, metricMalformed, got)
			}
		}
		n.Receive([]byte(`{"node":"eu-0","region":"eu","connections":1000000}`)) // its own name: it knows better
		if _, loads := n.current(time.Now()); len(loads) != 1 || loads[0].Connections != 0 {
			t.Errorf("%+v", loads)
		}
		for i := range 2 * maxNodes {
			n.Receive(fmt.Appendf(nil, `{"node":"x%d","region":"eu"}`, i))
		}
		if _, loads := n.current(time.Now()); len(loads) != maxNodes {
			t.Errorf("%d nodes are remembered", len(loads))
		}
		n.load(0, math.NaN()) // cannot be told; the node goes on
		pass(2 * time.Second)
	})
}

func TestConfig(t *testing.T) {
	_, err := New(Config{Policy: &Policy{}})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"name of the node has 0 bytes", "name of the region has 0 bytes", "Gossip must be set", "Draining must be set", "default: min is 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func BenchmarkDesired(b *testing.B) {
	var loads []Load
	for i := range 30 {
		loads = append(loads, Load{Node: fmt.Sprint("n", i), Region: fmt.Sprint("r", i%3), Connections: 900, Messages: 4000})
	}
	p, now := NewPlanner(testPolicy()), monday
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		p.Desired(now, loads)
	}
}
