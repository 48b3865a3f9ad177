package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// DesiredReplicas is the metric in which a node says how many nodes a region should have.
const DesiredReplicas = "wedsync_desired_replicas"

// Scaled is what a Scaler acts on: a Cluster.
type Scaled interface {
	Nodes() []*Node
	Add(ctx context.Context, region string) (*Node, error)
	Remove(ctx context.Context, n *Node) error
}

// ScalerConfig says what a Scaler does. Every field has a default but Cluster.
type ScalerConfig struct {
	Cluster Scaled
	// Every is how often the nodes are asked; default 2 s.
	Every time.Duration
	// Changed hears of every change that was tried, from several goroutines; it may be nil.
	Changed func(Change)
	// Desired says how many nodes each region should have; default: the metrics of the nodes.
	Desired func(ctx context.Context) (map[string]int, error)
	Logger  *slog.Logger // default slog.Default()
}

// Change is a node that was added or removed.
type Change struct {
	Region  string
	Node    string // empty if no node could be added
	Added   bool   // else removed
	Desired int
	Took    time.Duration
	Err     error
}

// String says it in a line.
func (c Change) String() string {
	what, node := "removed", c.Node
	if c.Added {
		what = "added"
	}
	if node == "" {
		node = "a node"
	}
	if c.Err != nil {
		return fmt.Sprintf("%s: %s not %s (%d wanted): %v", c.Region, node, what, c.Desired, c.Err)
	}
	return fmt.Sprintf("%s: %s %s (%d wanted), in %v", c.Region, node, what, c.Desired, c.Took.Round(time.Millisecond))
}

// Scaler does for a local cluster what a HorizontalPodAutoscaler does on Kubernetes: it asks the nodes how many of
// them there should be, and adds or drains nodes until there are. When to change is the policy of the nodes; the
// Scaler has no opinion and no memory. In a region one node at a time is added and one removed.
type Scaler struct {
	cfg ScalerConfig

	mu    sync.Mutex // guards the following
	busy  map[step]bool
	tasks sync.WaitGroup // the changes under way
}

// step is what can be under way once at a time.
type step struct {
	region string
	add    bool
}

// NewScaler returns a Scaler; Run makes it work.
func NewScaler(cfg ScalerConfig) (*Scaler, error) {
	if cfg.Cluster == nil {
		return nil, errors.New("scaler: Cluster: none given")
	}
	if cfg.Every < 0 {
		return nil, fmt.Errorf("scaler: Every: %v is negative", cfg.Every)
	}
	if cfg.Every == 0 {
		cfg.Every = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Scaler{cfg: cfg, busy: make(map[step]bool)}
	if s.cfg.Desired == nil {
		s.cfg.Desired = s.ask
	}
	return s, nil
}

// Run works until ctx ends, and returns when every change under way has ended too: a node that is being added or
// drained then is given up, as Add and Remove say.
func (s *Scaler) Run(ctx context.Context) {
	ticks := time.NewTicker(s.cfg.Every)
	defer ticks.Stop()
	defer s.tasks.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		want, err := s.cfg.Desired(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Logger.Warn("nobody says how many nodes there should be", "error", err)
			}
			continue
		}
		for region, n := range want {
			s.adjust(ctx, region, n)
		}
	}
}

// adjust starts the next step of a region, if it needs one that is not under way. Nodes that are being drained do not
// count, so that a region whose load returns meanwhile does not wait for them.
func (s *Scaler) adjust(ctx context.Context, region string, want int) {
	var nodes []*Node
	for _, n := range s.cfg.Cluster.Nodes() {
		if n.Region == region && !n.Draining() {
			nodes = append(nodes, n)
		}
	}
	want = max(1, want) // a region is not given up
	if len(nodes) == 0 || len(nodes) == want {
		return
	}
	next := step{region, len(nodes) < want}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[next] {
		return
	}
	s.busy[next] = true
	s.tasks.Go(func() { // owned by Run, which waits for it; ends with the change, which ends with ctx
		change := s.change(ctx, next, want, nodes)
		s.mu.Lock()
		s.busy[next] = false
		s.mu.Unlock()
		s.cfg.Logger.Info("scaling", "change", change.String())
		if s.cfg.Changed != nil {
			s.cfg.Changed(change)
		}
	})
}

// change adds the next node of a region, or removes the last.
func (s *Scaler) change(ctx context.Context, next step, want int, nodes []*Node) Change {
	begun := time.Now()
	c := Change{Region: next.region, Desired: want, Added: next.add}
	if next.add {
		var n *Node
		if n, c.Err = s.cfg.Cluster.Add(ctx, next.region); c.Err == nil {
			c.Node = n.Name
		}
	} else {
		last := nodes[len(nodes)-1]
		c.Node, c.Err = last.Name, s.cfg.Cluster.Remove(ctx, last)
	}
	c.Took = time.Since(begun)
	return c
}

// askWithin bounds how long the nodes may take to say what they need.
const askWithin = time.Second

// ask takes the largest number that any node says: a node that hears little of the others sees too little load,
// and must not take nodes away from those who see more.
func (s *Scaler) ask(ctx context.Context) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	nodes := s.cfg.Cluster.Nodes()
	answers, errs := make([][]Series, len(nodes)), make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { answers[i], errs[i] = n.Metrics(ctx, DesiredReplicas) }) // owned by this call, which waits for it
	}
	all.Wait()
	want := make(map[string]int)
	for _, series := range slices.Concat(answers...) {
		region := series.Label("region")
		want[region] = max(want[region], int(series.Value))
	}
	if len(want) == 0 {
		return nil, errors.Join(append(errs, fmt.Errorf("no node has the metric %s: start the servers with --scaling FILE", DesiredReplicas))...)
	}
	return want, nil
}
