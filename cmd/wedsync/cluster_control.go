package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/wedsync/wedsync/cluster/control"
)

// runningCluster is how a command finds the cluster that is meant.
type runningCluster struct {
	Dir string `help:"Directory of the cluster, if it was started with --dir or if several run." type:"path" placeholder:"DIR"`
}

func (c runningCluster) find() (client *control.Client, err error) {
	if c.Dir != "" {
		client, err = control.Open(c.Dir)
	} else {
		client, err = control.Find(filepath.Join(os.TempDir(), clusterPrefix+"*"))
	}
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

func say(text string) { fmt.Println(text) }

// ClusterStatusCmd is `wedsync cluster status`.
type ClusterStatusCmd struct{ runningCluster }

// Run prints a line a node.
func (c *ClusterStatusCmd) Run(ctx context.Context) error {
	client, err := c.find()
	if err != nil {
		return err
	}
	nodes, err := client.Status(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tREGION\tSTATE\tPID\tUP\tPROGRAM\tCONNECTIONS\tMEMORY")
	for _, n := range nodes {
		up := "-"
		if n.State != "down" {
			up = time.Since(n.Started).Round(time.Second).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%.12s\t%d\t%.1f MiB\n", n.Node, n.Region, n.State, n.PID, up, n.SHA256, n.Connections, float64(n.RSS)/(1<<20))
	}
	return table.Flush()
}

// ClusterUpgradeCmd is `wedsync cluster upgrade`.
type ClusterUpgradeCmd struct {
	runningCluster
	Server string `help:"Path of the new wedsync-server; without it each node gets a new process of the same program." type:"existingfile" placeholder:"FILE"`
}

// Run prints a line for each node that has been replaced.
func (c *ClusterUpgradeCmd) Run(ctx context.Context) error {
	client, err := c.find()
	if err != nil {
		return err
	}
	return client.Upgrade(ctx, c.Server, say)
}

// ClusterScaleCmd is `wedsync cluster scale`.
type ClusterScaleCmd struct {
	runningCluster
	Region string `arg:"" help:"Region to change."`
	Nodes  int    `arg:"" help:"How many servers it is to have."`
}

// Run prints a line for each node that has come or gone.
func (c *ClusterScaleCmd) Run(ctx context.Context) error {
	client, err := c.find()
	if err != nil {
		return err
	}
	return client.Scale(ctx, c.Region, c.Nodes, say)
}
