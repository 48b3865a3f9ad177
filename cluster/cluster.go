// Package cluster runs a multi-region cluster of real server processes on this machine.
//
// Each node is a wedsync-server process with its own data directory and its own log server, started in the
// network of its region, so that what goes between regions takes the time, and suffers the faults, of a
// wide-area network (package wan). Nodes can be killed, stopped, frozen and started again with their data: that is
// what a region's death is made of. A cluster can also grow, shrink and be renewed while it serves (members.go,
// upgrade.go), by hand or by what its nodes say they need (Scaler).
//
//	network, _ := l.Network(profile)                      // see package lab
//	c, _ := cluster.Start(ctx, cluster.Config{Network: network, …})
//	defer c.Close()
//	_ = c.WaitReady(ctx)
//	_ = c.Nodes()[0].Kill()
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

// The ports of a node.
const (
	httpPort = 4000 // WebSocket, REST, health
	logPort  = 4222 // its log server, for the other nodes
)

// Unlimited lifts the limits that a server sets to the rates of its clients: those of one application, which a load
// test is meant to exceed.
var Unlimited = []string{
	"--max-joins-per-second=0", "--max-events-per-second=0", "--max-presence-events-per-second=0",
	"--max-changes-per-second=0", "--max-connects-per-second=0", "--presence-calls=0",
}

// How long a server has to end by itself before it is killed.
const (
	stopGrace  = 5 * time.Second  // when the whole cluster ends: there is nobody to hand anything over to
	DrainGrace = 40 * time.Second // when the others go on: it moves its clients and hands its log over
)

// Config says what to run. Network belongs to the cluster once Start has succeeded.
type Config struct {
	Regions        []string // default: those of the network
	NodesPerRegion int      // that are started; default 1
	// MaxNodesPerRegion is up to how many nodes a region can grow (Add); their addresses are known from the start.
	// Default NodesPerRegion.
	MaxNodesPerRegion int
	Profile           wan.Profile // for the record: the network has it in force
	Dir               string      // data, and logs, are kept here
	ServerBinary      string      // path of wedsync-server
	JWTSecret         string      // of the tokens that the servers accept
	ClusterSecret     string      // between the servers
	Flaw              string      // breaks the servers on purpose (wedsync-server --flaw)
	ExtraArgs         []string    // flags of wedsync-server for every node, after those that the cluster sets
	Env               []string    // KEY=VALUE, added to this process's environment for the servers
	Network           wan.Network
	Logger            *slog.Logger // default slog.Default()
}

// Validate says everything that is wrong with the configuration.
func (c Config) Validate() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if c.Network == nil {
		say("Network: none given")
	} else {
		for i, r := range c.Regions {
			if !slices.Contains(c.Network.Regions(), r) {
				say("Regions: the network has no %q, it has %s", r, strings.Join(c.Network.Regions(), ", "))
			}
			if slices.Contains(c.Regions[:i], r) {
				say("Regions: %q is there twice", r)
			}
		}
	}
	if c.NodesPerRegion < 0 || c.NodesPerRegion > wan.NodesPerRegion {
		say("NodesPerRegion: %d is not between 1 and %d", c.NodesPerRegion, wan.NodesPerRegion)
	}
	if c.MaxNodesPerRegion != 0 && c.MaxNodesPerRegion < c.NodesPerRegion || c.MaxNodesPerRegion > wan.NodesPerRegion {
		say("MaxNodesPerRegion: %d is not between NodesPerRegion (%d) and %d", c.MaxNodesPerRegion, c.NodesPerRegion, wan.NodesPerRegion)
	}
	if c.Dir == "" {
		say("Dir: name a directory for data and logs")
	}
	if c.JWTSecret == "" || c.ClusterSecret == "" {
		say("JWTSecret, ClusterSecret: both are needed")
	}
	switch info, err := os.Stat(c.ServerBinary); {
	case c.ServerBinary == "":
		say("ServerBinary: name the path of wedsync-server")
	case err != nil:
		say("ServerBinary: %w: build it with `make build`", err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		say("ServerBinary: %s is not a program", c.ServerBinary)
	}
	return errors.Join(wrong...)
}

// Cluster is a running cluster. Its methods may be called by several goroutines at once.
type Cluster struct {
	cfg    Config
	places []*Node       // every node that there can be, region by region
	turn   chan struct{} // holds one token: at most one node leaves at a time
	closed sync.Once
	err    error // of Close

	mu      sync.Mutex // guards the following
	members map[*Node]bool
	ever    map[*Node]bool
	digests map[string]string // SHA-256 of the programs, by path, size and time
}

// Names are the nodes that a cluster of this shape has, without processes: to see what a selector would match.
func Names(regions []string, perRegion int) []*Node {
	var nodes []*Node
	for _, region := range regions {
		for i := range max(1, perRegion) {
			nodes = append(nodes, &Node{Name: fmt.Sprintf("%s-%d", region, i+1), Region: region, Index: i})
		}
	}
	return nodes
}

// Start starts every node. It does not wait until they are ready (WaitReady), but a node that ends at once is an
// error there. On error nothing is left running, and the network is still the caller's.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if len(cfg.Regions) == 0 {
		cfg.Regions = cfg.Network.Regions()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.NodesPerRegion = max(1, cfg.NodesPerRegion)
	cfg.MaxNodesPerRegion = max(cfg.NodesPerRegion, cfg.MaxNodesPerRegion)
	c := &Cluster{cfg: cfg, places: Names(cfg.Regions, cfg.MaxNodesPerRegion), turn: make(chan struct{}, 1),
		members: make(map[*Node]bool), ever: make(map[*Node]bool), digests: make(map[string]string)}
	for _, dir := range []string{"data", "logs", "peers"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, dir), 0o755); err != nil {
			return nil, fmt.Errorf("cluster: making its directory: %w", err)
		}
	}
	digest, err := c.digest(cfg.ServerBinary)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	for _, n := range c.places {
		if err := n.place(cfg, binary{cfg.ServerBinary, digest}); err != nil {
			return nil, fmt.Errorf("cluster: finding an address for %s: %w", n.Name, err)
		}
		if n.Index < cfg.NodesPerRegion {
			c.members[n], c.ever[n] = true, true
		}
	}
	if err := c.introduce(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	for _, n := range c.Nodes() {
		if err := n.Start(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("cluster: %w", err), c.stop())
		}
	}
	return c, nil
}

// Nodes lists the nodes of the cluster, region by region. A node that is down is listed, one that was removed is not.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.those(func(n *Node) bool { return c.members[n] })
}

// Ever lists the nodes that are or were in the cluster.
func (c *Cluster) Ever() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.those(func(n *Node) bool { return c.ever[n] })
}

// Places lists every node that there can be: clients that know them all find a node that is added later.
func (c *Cluster) Places() []*Node { return slices.Clone(c.places) }

func (c *Cluster) those(wanted func(*Node) bool) (nodes []*Node) {
	for _, n := range c.places {
		if wanted(n) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Network is what connects the nodes.
func (c *Cluster) Network() wan.Network { return c.cfg.Network }

// Profile is how far apart the regions are.
func (c *Cluster) Profile() wan.Profile { return c.cfg.Profile }

// WaitReady waits until the given nodes (none: all) answer /readyz in the venue with 200. It fails as soon as one of
// them has ended, and when ctx ends.
func (c *Cluster) WaitReady(ctx context.Context, nodes ...*Node) error {
	if len(nodes) == 0 {
		nodes = c.Nodes()
	}
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = n.waitReady(ctx) }) // ends with ctx at the latest
	}
	all.Wait()
	return errors.Join(errs...)
}

// Close stops every node and then the network. Nothing that was started is left.
func (c *Cluster) Close() error {
	c.closed.Do(func() { c.err = errors.Join(c.stop(), c.cfg.Network.Close()) })
	return c.err
}

// stop stops all nodes at once.
func (c *Cluster) stop() error {
	errs := make([]error, len(c.places))
	var all sync.WaitGroup
	for i, n := range c.places {
		all.Go(func() { errs[i] = n.Stop(stopGrace) }) // ends within stopGrace and the kernel's time to kill
	}
	all.Wait()
	return errors.Join(errs...)
}
