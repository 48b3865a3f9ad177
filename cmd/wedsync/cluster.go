package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/control"
	"github.com/wedsync/wedsync/cluster/lab"
	"github.com/wedsync/wedsync/cluster/wan"
)

// ClusterCmd is `wedsync cluster`.
type ClusterCmd struct {
	Up      ClusterUpCmd      `cmd:"" help:"Start a cluster and keep it until Ctrl-C."`
	Status  ClusterStatusCmd  `cmd:"" help:"Show the nodes of the running cluster."`
	Upgrade ClusterUpgradeCmd `cmd:"" help:"Replace every node of the running cluster, one after the other, while it serves."`
	Scale   ClusterScaleCmd   `cmd:"" help:"Add or drain nodes of a region of the running cluster."`
}

// ClusterUpCmd is `wedsync cluster up`.
type ClusterUpCmd struct {
	Regions  int    `default:"3" help:"Number of regions: the first so many of the profile."`
	Nodes    int    `default:"1" help:"Servers per region."`
	MaxNodes int    `help:"Up to how many servers a region can grow (wedsync cluster scale); 3 by default, or --nodes if that is more." placeholder:"N"`
	Scaling  string `help:"Scaling policy (YAML) for the servers: they decide how many of them there are, and the cluster follows." type:"existingfile" placeholder:"FILE"`
	Profile  string `help:"Network profile (YAML): regions and the round-trip times between them." type:"existingfile" placeholder:"FILE"`
	Network  string `enum:"auto,packet,proxy" default:"auto" help:"packet: private namespaces with a packet router; proxy: user-space proxies on loopback; auto: packet where the kernel allows it."`
	PortBase int    `default:"4001" help:"First of the ports on 127.0.0.1: one for the first server of each region, then for the second, and so on up to --max-nodes."`
	Server   string `help:"Path of wedsync-server, if not beside this program." type:"path" placeholder:"FILE"`
	Dir      string `help:"Keep data and logs here; by default they are temporary." type:"path" placeholder:"DIR"`
	Flaw     string `help:"Break the servers on purpose, see wedsync-server --help." placeholder:"SPEC"`
}

// readyWithin is how long the servers have to become ready.
const readyWithin = 30 * time.Second

// Run is called twice when the network is the packet-level one: outside the lab, where Enter waits, and inside it.
func (c *ClusterUpCmd) Run(ctx context.Context, logger *slog.Logger) error {
	profile, err := c.profile()
	if err != nil {
		return usageError{err}
	}
	if c.Server == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program's directory: %w", err)
		}
		c.Server = filepath.Join(filepath.Dir(self), "wedsync-server")
	}
	if _, err := os.Stat(c.Server); err != nil {
		return usageError{fmt.Errorf("there is no wedsync-server: %w: run `make build`, or name it with --server", err)}
	}
	var listen []string
	for i := range c.Regions * c.MaxNodes {
		listen = append(listen, fmt.Sprintf("127.0.0.1:%d", c.PortBase+i))
	}
	l, err := lab.Enter(lab.Config{Choice: lab.Choice(c.Network), Listen: listen, Logger: logger})
	if err != nil {
		return err
	}
	return c.up(ctx, l, profile, logger)
}

func (c *ClusterUpCmd) profile() (wan.Profile, error) {
	profile := wan.DefaultProfile()
	if c.Profile != "" {
		var err error
		if profile, err = wan.LoadProfile(c.Profile); err != nil {
			return wan.Profile{}, err
		}
	}
	switch {
	case c.Regions < 1 || c.Regions > len(profile.Regions):
		return wan.Profile{}, fmt.Errorf("--regions %d: profile %q has %d (%s); for more, write a profile and give it with --profile",
			c.Regions, profile.Name, len(profile.Regions), strings.Join(profile.Regions, ", "))
	case c.Nodes < 1 || c.Nodes > wan.NodesPerRegion:
		return wan.Profile{}, fmt.Errorf("--nodes %d: choose 1 to %d", c.Nodes, wan.NodesPerRegion)
	case c.MaxNodes != 0 && c.MaxNodes < c.Nodes || c.MaxNodes > wan.NodesPerRegion:
		return wan.Profile{}, fmt.Errorf("--max-nodes %d: choose --nodes (%d) to %d", c.MaxNodes, c.Nodes, wan.NodesPerRegion)
	}
	if c.MaxNodes == 0 {
		c.MaxNodes = max(c.Nodes, 3)
	}
	if c.PortBase < 1 || c.PortBase+c.Regions*c.MaxNodes > 1<<16 {
		return wan.Profile{}, fmt.Errorf("--port-base %d: there must be %d ports from there up to 65535", c.PortBase, c.Regions*c.MaxNodes)
	}
	return profile.Only(profile.Regions[:c.Regions]...)
}

// up runs the cluster until ctx ends.
func (c *ClusterUpCmd) up(ctx context.Context, l *lab.Lab, profile wan.Profile, logger *slog.Logger) (err error) {
	dir, tidy, err := c.workDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tidy(err)) }()
	network, err := l.Network(profile)
	if err != nil {
		return err
	}
	args := slices.Clone(cluster.Unlimited)
	if c.Scaling != "" {
		args = append(args, "--scaling", c.Scaling)
	}
	up, err := cluster.Start(ctx, cluster.Config{
		ExtraArgs: args,
		Regions:   profile.Regions, NodesPerRegion: c.Nodes, MaxNodesPerRegion: c.MaxNodes, Profile: profile, Network: network, Dir: dir, ServerBinary: c.Server,
		JWTSecret: c.secret("WEDSYNC_JWT_SECRET"), ClusterSecret: c.secret("WEDSYNC_CLUSTER_SECRET"), Flaw: c.Flaw, Logger: logger,
	})
	if err != nil {
		return errors.Join(err, network.Close())
	}
	defer func() { err = errors.Join(err, up.Close()) }()
	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := up.WaitReady(ready); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it was up
		}
		return err
	}
	gateways := open(up, l.Listeners, logger)
	defer func() {
		for _, g := range gateways {
			err = errors.Join(err, g.Close())
		}
	}()
	desk, err := control.Serve(control.Config{Cluster: up, Dir: dir, Scaling: c.Scaling != "", Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desk.Close()) }()
	if err := c.describe(os.Stdout, up, gateways, l); err != nil {
		return err
	}
	if err := c.follow(ctx, up, logger); err != nil {
		return err
	}
	fmt.Println("stopping")
	return nil
}

// follow lets the servers decide how many of them there are, if they have a policy for it, until ctx ends.
func (c *ClusterUpCmd) follow(ctx context.Context, up *cluster.Cluster, logger *slog.Logger) error {
	if c.Scaling == "" {
		<-ctx.Done()
		return nil
	}
	scaler, err := cluster.NewScaler(cluster.ScalerConfig{Cluster: up, Logger: logger,
		Changed: func(change cluster.Change) { fmt.Println("scaling:", change) }})
	if err != nil {
		return err
	}
	scaler.Run(ctx)
	return nil
}

// open makes a gateway on the host for each node that there can be. Their order is that of the ports: the first nodes of
// all regions, then the second ones.
func open(up *cluster.Cluster, listeners []net.Listener, logger *slog.Logger) map[*cluster.Node]*cluster.Gateway {
	places := up.Places()
	slices.SortStableFunc(places, func(a, b *cluster.Node) int { return a.Index - b.Index })
	gateways := make(map[*cluster.Node]*cluster.Gateway)
	for i, node := range places {
		gateways[node] = cluster.NewGateway(up.Network(), listeners[i], node, logger)
	}
	return gateways
}

// clusterPrefix begins the names of temporary directories of clusters, by which other commands find them.
const clusterPrefix = "wedsync-cluster-"

// workDir returns where the cluster keeps its files, and what tidies up: a temporary directory is removed unless
// something went wrong, for its logs say what.
func (c *ClusterUpCmd) workDir() (dir string, tidy func(error) error, err error) {
	if c.Dir != "" {
		return c.Dir, func(error) error { return nil }, os.MkdirAll(c.Dir, 0o755)
	}
	if dir, err = os.MkdirTemp("", clusterPrefix); err != nil {
		return "", nil, fmt.Errorf("making a directory for data and logs: %w", err)
	}
	return dir, func(failed error) error {
		if failed != nil {
			fmt.Fprintln(os.Stderr, "data and logs are kept in", dir)
			return nil
		}
		return os.RemoveAll(dir)
	}, nil
}

// secret is taken from the environment, so that tokens may be made elsewhere; else it is fresh.
func (c *ClusterUpCmd) secret(name string) string {
	if s := os.Getenv(name); s != "" {
		return s
	}
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// describe prints how to use the cluster.
func (c *ClusterUpCmd) describe(out io.Writer, up *cluster.Cluster, gateways map[*cluster.Node]*cluster.Gateway, l *lab.Lab) error {
	authenticated, err1 := up.Token("authenticated")
	service, err2 := up.Token("service_role")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	profile := up.Profile()
	fmt.Fprintf(out, "Network: %s.\n", up.Network().Describe())
	if l.Why != "" {
		fmt.Fprintf(out, "         (%s)\n", strings.ReplaceAll(l.Why, "\n", "\n          "))
	}
	fmt.Fprintf(out, "Round trips: %v to any region", profile.Access)
	for i, a := range profile.Regions {
		for _, b := range profile.Regions[i+1:] {
			fmt.Fprintf(out, "; %s - %s %v", a, b, profile.RoundTrip(a, b))
		}
	}
	fmt.Fprint(out, ".\n\n")
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tREGION\tPID\tWEBSOCKET\tHEALTH\tLOG")
	for _, n := range up.Nodes() {
		addr := gateways[n].Addr()
		fmt.Fprintf(table, "%s\t%s\t%d\tws://%s/socket\thttp://%s/healthz\t%s\n", n.Name, n.Region, n.Pid(), addr, addr, n.LogFile())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	known := up.Nodes()
	if c.Scaling != "" { // the load must find those that are added
		known = up.Places()
	}
	var regions []string
	for _, n := range known {
		regions = append(regions, fmt.Sprintf("%s=ws://%s/socket", n.Region, gateways[n].Addr()))
	}
	_, err := fmt.Fprintf(out, `
Tokens, good for a day:
  authenticated  %s
  service_role   %s

A wedding day against it:
  WEDSYNC_REGIONS=%s \
  WEDSYNC_TOKEN=%s \
  bin/k6 run scenarios/wedding-day.js

In another terminal: wedsync cluster status | upgrade | scale REGION N.
Ctrl-C stops it.
`, authenticated, service, strings.Join(regions, ","), authenticated)
	return err
}
