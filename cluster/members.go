package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// readyWithin is how long a node may take to be ready when the cluster grows or is renewed: it has to fetch what it
// has missed.
const readyWithin = 90 * time.Second

// Add starts the next node of a region, tells the others, and returns when it is ready. A place that was given up by
// Remove is taken again, with its data. On error the node is not in the cluster.
func (c *Cluster) Add(ctx context.Context, region string) (*Node, error) {
	n, err := c.admit(region)
	if err != nil {
		return nil, fmt.Errorf("adding a node: %w", err)
	}
	err = c.introduce()
	if err == nil {
		err = n.Start(ctx)
	}
	if err == nil {
		ready, cancel := context.WithTimeout(ctx, readyWithin)
		err = n.waitReady(ready)
		cancel()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adding %s: %w", n.Name, err), c.dismiss(n))
	}
	return n, nil
}

// admit makes the next node of a region a member.
func (c *Cluster) admit(region string) (*Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := false
	for _, n := range c.places {
		if n.Region != region {
			continue
		}
		known = true
		if !c.members[n] {
			c.members[n], c.ever[n] = true, true
			return n, nil
		}
	}
	if !known {
		return nil, fmt.Errorf("there is no region %q", region)
	}
	return nil, fmt.Errorf("%s has %d nodes, and there are addresses for no more", region, c.cfg.MaxNodesPerRegion)
}

// dismiss undoes admit, and stops the node.
func (c *Cluster) dismiss(n *Node) error {
	err := n.Stop(stopGrace)
	c.mu.Lock()
	delete(c.members, n)
	c.mu.Unlock()
	return errors.Join(err, c.introduce())
}

// Remove drains a node and takes it out of the cluster; its data is kept. One node leaves at a time: another Remove
// or Upgrade waits. The last node of a region stays. If ctx ends before the node has, the node is killed and is out.
func (c *Cluster) Remove(ctx context.Context, n *Node) error {
	if err := c.takeTurn(ctx); err != nil {
		return fmt.Errorf("removing %s: %w", n.Name, err)
	}
	defer c.endTurn()
	c.mu.Lock()
	member, others := c.members[n], 0
	for m := range c.members {
		if m != n && m.Region == n.Region {
			others++
		}
	}
	c.mu.Unlock()
	switch {
	case !member:
		return fmt.Errorf("removing %s: it is not in the cluster", n.Name)
	case others == 0:
		return fmt.Errorf("removing %s: it is the last node of %s", n.Name, n.Region)
	}
	var err error
	if n.Alive() {
		err = n.Drain(ctx)
	}
	// The others hear of it last: until the node has ended it hands its log over to them.
	if err = errors.Join(err, n.Kill(), c.dismiss(n)); err != nil {
		return fmt.Errorf("removing %s: %w", n.Name, err)
	}
	return nil
}

// takeTurn waits until no other node is leaving.
func (c *Cluster) takeTurn(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting until another node has left: %w", context.Cause(ctx))
	}
}

func (c *Cluster) endTurn() { <-c.turn }

// introduce tells every member who the others are. A file is replaced whole, so that a server that watches it never
// reads half of one.
func (c *Cluster) introduce() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	members := c.those(func(n *Node) bool { return c.members[n] })
	for _, n := range members {
		if err := n.meet(members); err != nil {
			return fmt.Errorf("introducing %s to its peers: %w", n.Name, err)
		}
	}
	return nil
}

// meet writes the node's peers file.
func (n *Node) meet(members []*Node) error {
	var text bytes.Buffer
	for _, peer := range members {
		if peer == n {
			continue
		}
		addr, err := n.cfg.Network.Reach(n.Region, peer.log)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s@%s=nats://%s\n", peer.Name, peer.Region, addr)
	}
	path := n.peersFile()
	if err := os.WriteFile(path+".new", text.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
