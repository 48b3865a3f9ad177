package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/cluster/wan"
)

// TestScalerFollowsTheNodes: a real cluster whose nodes say what they need.
func TestScalerFollowsTheNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		cfg.MaxNodesPerRegion = 3
		c := start(t, cfg)
		changes := make(chan Change, 10)
		run(t, ScalerConfig{Cluster: c, Every: 20 * time.Millisecond, Logger: cfg.Logger, Changed: func(c Change) { changes <- c }})
		want := func(region string, n int) {
			for _, node := range c.Nodes() {
				says(t, node, fmt.Sprintf("# HELP x\n%s{region=%q} %d\n", DesiredReplicas, region, n))
			}
		}
		next := func(expected string) {
			t.Helper()
			select {
			case change := <-changes:
				if change.Err != nil || !strings.HasPrefix(change.String(), expected) {
					t.Errorf("%s, want %s", change, expected)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("nothing happened, want %s", expected)
			}
		}
		want("a", 3)
		next("a: a-2 added (3 wanted), in ")
		next("a: a-3 added (3 wanted), in ")
		want("a", 1)
		next("a: a-3 removed (1 wanted), in ")
		next("a: a-2 removed (1 wanted), in ")
		if d := cmp.Diff([]string{"a-1", "b-1", "c-1"}, nodeNames(c.Nodes())); d != "" {
			t.Error(d)
		}
	})
}

// run makes a scaler work until the end of the test.
func run(t *testing.T, cfg ScalerConfig) {
	t.Helper()
	s, err := NewScaler(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// TestNodeThatSeesLittleTakesNothingAway: the largest answer counts.
func TestNodeThatSeesLittleTakesNothingAway(t *testing.T) {
	c := start(t, config(t, wan.Proxy, "well"))
	s, err := NewScaler(ScalerConfig{Cluster: c})
	must(t, err)
	if _, err := s.ask(t.Context()); err == nil || !strings.Contains(err.Error(), "--scaling FILE") {
		t.Errorf("nobody says anything: %v", err)
	}
	says(t, c.Nodes()[0], DesiredReplicas+`{region="a"} 1`+"\n"+DesiredReplicas+`{region="b"} 2`+"\n")
	says(t, c.Nodes()[2], DesiredReplicas+`{region="a"} 3`+"\n")
	want, err := s.ask(t.Context())
	must(t, err)
	if d := cmp.Diff(map[string]int{"a": 3, "b": 2}, want); d != "" {
		t.Error(d)
	}
}

// slowCluster is a cluster without processes in which removing takes until it is let.
type slowCluster struct {
	mu      sync.Mutex
	nodes   []*Node
	places  []*Node
	leaving chan struct{}
}

func (c *slowCluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

func (c *slowCluster) Add(context.Context, string) (*Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.nodes) == len(c.places) {
		return nil, errors.New("full")
	}
	c.nodes = c.places[:len(c.nodes)+1]
	return c.nodes[len(c.nodes)-1], nil
}

func (c *slowCluster) Remove(ctx context.Context, _ *Node) error {
	select {
	case <-c.leaving:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = c.nodes[:len(c.nodes)-1]
	return nil
}

func TestScalerSteps(t *testing.T) {
	places := Names([]string{"a"}, 4)
	c := &slowCluster{places: places, nodes: places[:3], leaving: make(chan struct{})}
	var mu sync.Mutex
	want := 1
	set := func(n int) { mu.Lock(); want = n; mu.Unlock() }
	changes := make(chan Change, 10)
	run(t, ScalerConfig{Cluster: c, Every: time.Millisecond, Changed: func(c Change) { changes <- c }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Desired: func(context.Context) (map[string]int, error) {
			mu.Lock()
			defer mu.Unlock()
			return map[string]int{"a": want, "elsewhere": 5}, nil
		}})
	step := func(expected string, err bool) {
		t.Helper()
		change := <-changes
		if !strings.HasPrefix(change.String(), expected) || (change.Err != nil) != err {
			t.Errorf("%s, want %s", change, expected)
		}
	}
	c.leaving <- struct{}{} // the first removal is under way, and only one
	step("a: a-3 removed", false)
	// The next removal hangs; the load comes back, and a node is added all the same.
	set(3)
	step("a: a-3 added", false)
	set(2)
	c.leaving <- struct{}{}
	step("a: a-", false)
	set(9)
	for range 2 {
		step("a: a-", false)
	}
	step("a: a node not added (9 wanted): full", true)
	set(len(c.Nodes())) // nothing to do any more
}

func TestScalerNeedsACluster(t *testing.T) {
	if _, err := NewScaler(ScalerConfig{}); err == nil {
		t.Error("no cluster was accepted")
	}
	if _, err := NewScaler(ScalerConfig{Cluster: &slowCluster{}, Every: -1}); err == nil {
		t.Error("a negative interval was accepted")
	}
}
