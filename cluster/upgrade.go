package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"
)

// Upgrade replaces the process of every node, one node after the other, while the rest of the cluster serves: drain,
// start the new program with the same data, wait until it is ready, which it is when it has caught up. An empty path
// starts the same program again. each hears of every node that has been replaced; it may be nil. The first node that
// cannot be replaced ends the upgrade: a program that does not start must not take the next node too.
func (c *Cluster) Upgrade(ctx context.Context, path string, each func(*Node)) error {
	for _, n := range c.Nodes() {
		if err := c.Replace(ctx, n, path); err != nil {
			return err
		}
		if each != nil {
			each(n)
		}
	}
	return nil
}

// Replace is Upgrade for one node. When it returns an error the node may be down.
func (c *Cluster) Replace(ctx context.Context, n *Node, path string) error {
	wrap := func(err error) error { return fmt.Errorf("upgrading %s: %w", n.Name, err) }
	if err := c.takeTurn(ctx); err != nil {
		return wrap(err)
	}
	defer c.endTurn()
	if path != "" {
		digest, err := c.digest(path)
		if err != nil {
			return wrap(err)
		}
		n.mu.Lock()
		n.bin = binary{path, digest}
		n.mu.Unlock()
	}
	if n.Alive() {
		if err := n.Drain(ctx); err != nil {
			return wrap(err)
		}
	}
	if err := n.Start(ctx); err != nil {
		return wrap(err)
	}
	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := n.waitReady(ready); err != nil {
		return wrap(err)
	}
	return nil
}

// digest returns the SHA-256 of a program. A program of tens of megabytes takes a while, in a process that may carry
// the packets of all regions: so each is read once.
func (c *Cluster) digest(path string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("looking at the program: %w", err)
	}
	key := fmt.Sprint(path, info.Size(), info.ModTime().UnixNano())
	if known, ok := c.digests[key]; ok {
		return known, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading the program: %w", err)
	}
	c.digests[key] = hex.EncodeToString(h.Sum(nil))
	return c.digests[key], nil
}

// UpgradeWithin is the longest that replacing one node can take.
const UpgradeWithin = DrainGrace + readyWithin + time.Second
