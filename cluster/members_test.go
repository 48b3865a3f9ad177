package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/cluster/wan"
)

func nodeNames(nodes []*Node) (all []string) {
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return all
}

// peersOf reads who a node has been told about.
func peersOf(t *testing.T, n *Node) (names []string) {
	t.Helper()
	text, err := os.ReadFile(n.peersFile())
	must(t, err)
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, "@")
		if !ok || !strings.Contains(rest, "=nats://") {
			t.Errorf("peers file of %s: line %q", n, line)
		}
		names = append(names, name)
	}
	return names
}

func TestClusterGrowsAndShrinks(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		cfg.MaxNodesPerRegion = 2
		c := start(t, cfg)
		if d := cmp.Diff([]string{"a-1", "a-2", "b-1", "b-2", "c-1", "c-2"}, nodeNames(c.Places())); d != "" {
			t.Error(d)
		}
		n, err := c.Add(t.Context(), "b")
		must(t, err)
		if err := n.Ready(t.Context()); n.Name != "b-2" || err != nil {
			t.Errorf("added %s, which is not ready: %v", n, err)
		}
		if d := cmp.Diff([]string{"a-1", "b-1", "b-2", "c-1"}, nodeNames(c.Nodes())); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"a-1", "b-1", "c-1"}, peersOf(t, n)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"b-1", "b-2", "c-1"}, peersOf(t, c.Nodes()[0])); d != "" {
			t.Error(d)
		}
		if _, err := c.Add(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), "no more") {
			t.Errorf("a third node: %v", err)
		}
		if _, err := c.Add(t.Context(), "d"); err == nil || !strings.Contains(err.Error(), `no region "d"`) {
			t.Errorf("a region that is not there: %v", err)
		}
		if err := c.Remove(t.Context(), c.Nodes()[0]); err == nil || !strings.Contains(err.Error(), "last node of a") {
			t.Errorf("the last node of a region: %v", err)
		}
		must(t, c.Remove(t.Context(), n))
		if exit, ended := n.Exited(); !ended || exit.Status != "exit status 0" {
			t.Errorf("the removed node: %+v", exit)
		}
		if err := c.Remove(t.Context(), n); err == nil || !strings.Contains(err.Error(), "not in the cluster") {
			t.Errorf("removed twice: %v", err)
		}
		if d := cmp.Diff([]string{"b-1", "c-1"}, peersOf(t, c.Nodes()[0])); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"a-1", "b-1", "b-2", "c-1"}, nodeNames(c.Ever())); d != "" {
			t.Error(d)
		}
		again, err := c.Add(t.Context(), "b")
		must(t, err)
		if starts, err := os.ReadFile(filepath.Join(again.DataDir(), "starts")); again != n || err != nil || string(starts) != "xx" {
			t.Errorf("%s has the data %q, %v: want that of its first life", again, starts, err)
		}
	})
}

func TestAddThatFailsLeavesTheClusterAsItWas(t *testing.T) {
	cfg := config(t, wan.Proxy, "well")
	cfg.MaxNodesPerRegion = 2
	c := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Add(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if d := cmp.Diff([]string{"a-1", "b-1", "c-1"}, nodeNames(c.Nodes())); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"b-1", "c-1"}, peersOf(t, c.Nodes()[0])); d != "" {
		t.Error(d)
	}
}

// TestRemoveIsDone: the node is out, also if it does not go kindly; then the error says so.
func TestRemoveIsDone(t *testing.T) {
	for how, want := range map[string]string{"fails": "the handover failed", "stubborn": "deadline exceeded"} {
		t.Run(how, func(t *testing.T) {
			cfg := config(t, wan.Proxy, how)
			cfg.NodesPerRegion = 2
			c := start(t, cfg)
			n := c.Nodes()[1]
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := c.Remove(ctx, n); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want it to say %q", err, want)
			}
			if n.Alive() || len(c.Nodes()) != 5 {
				t.Errorf("alive %v, members %v", n.Alive(), nodeNames(c.Nodes()))
			}
			for _, n := range c.Nodes() {
				must(t, n.Kill()) // not to wait for the grace of each
			}
		})
	}
}

func TestOneNodeLeavesAtATime(t *testing.T) {
	cfg := config(t, wan.Proxy, "stubborn")
	cfg.NodesPerRegion = 2
	c := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- c.Remove(ctx, c.Places()[1]) }()
	for !c.Places()[1].Draining() {
		time.Sleep(time.Millisecond)
	}
	short, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	if err := c.Replace(short, c.Places()[0], ""); err == nil || !strings.Contains(err.Error(), "waiting until another node has left") {
		t.Errorf("an upgrade while a node is leaving: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for _, n := range c.Nodes() {
		must(t, n.Kill())
	}
}

func TestUpgradeReplacesEveryNode(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		c := start(t, cfg)
		program := filepath.Join(t.TempDir(), "server")
		text, err := os.ReadFile(cfg.ServerBinary)
		must(t, err)
		must(t, os.WriteFile(program, append(text, "newer"...), 0o755))
		before := map[string]Life{}
		for _, n := range c.Nodes() {
			life, ok := n.Life()
			if !ok || life.PID != n.Pid() || len(life.SHA256) != 64 || life.Binary != cfg.ServerBinary {
				t.Errorf("%s: %+v", n, life)
			}
			before[n.Name] = life
		}
		var order []string
		must(t, c.Upgrade(t.Context(), program, func(n *Node) {
			order = append(order, n.Name)
			must(t, n.Ready(t.Context()))
		}))
		if d := cmp.Diff([]string{"a-1", "b-1", "c-1"}, order); d != "" {
			t.Error(d)
		}
		for _, n := range c.Nodes() {
			was, is := before[n.Name], Life{}
			if is, _ = n.Life(); is.PID == was.PID || !is.Started.After(was.Started) || is.SHA256 == was.SHA256 || is.Binary != program {
				t.Errorf("%s: %+v, before %+v", n, is, was)
			}
			if starts, err := os.ReadFile(filepath.Join(n.DataDir(), "starts")); err != nil || string(starts) != "xx" {
				t.Errorf("%s: starts %q, %v: want the same data", n, starts, err)
			}
		}
	})
}

func TestUpgradeStopsAtTheFirstNodeThatFails(t *testing.T) {
	c := start(t, config(t, wan.Proxy, "well"))
	pid := c.Nodes()[1].Pid()
	err := c.Upgrade(t.Context(), "/bin/false", func(n *Node) { t.Errorf("%s was replaced", n) })
	if err == nil || !strings.Contains(err.Error(), "upgrading a-1") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("%v", err)
	}
	if n := c.Nodes()[1]; n.Pid() != pid || !n.Alive() {
		t.Error("the next node was touched")
	}
	if err := c.Upgrade(t.Context(), "/no/such/server", nil); err == nil || !strings.Contains(err.Error(), "/no/such/server") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestUsage(t *testing.T) {
	c := start(t, config(t, wan.Proxy, "well"))
	n := c.Nodes()[0]
	u, err := n.Usage()
	must(t, err)
	if u.RSS < 1<<20 || u.RSS > 1<<30 || u.CPU < 0 || u.CPU > time.Minute {
		t.Errorf("%+v", u)
	}
	must(t, n.Kill())
	if _, err := n.Usage(); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("of a node that is down: %v", err)
	}
}
