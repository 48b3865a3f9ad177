package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// This file holds what operators do to a service that must not notice: drain, upgrade, scale.

// revive brings the nodes back that an operation has left down, or on their way down.
func revive(ctx context.Context, nodes []*cluster.Node) error {
	return each(nodes, func(n *cluster.Node) error {
		if n.Draining() {
			if err := n.Kill(); err != nil { // it was interrupted: nobody waits for its handover any more
				return err
			}
		}
		if n.Alive() {
			return nil
		}
		return n.Start(ctx)
	})
}

// drained is nodes that have been asked to end and are held down.
type drained struct {
	nodes   []*cluster.Node
	network wan.Network

	pids map[string]int // before
	work *work

	mu   sync.Mutex // guards the following
	took map[string]time.Duration
}

func (f *drained) before(ctx context.Context) (seen, error) {
	f.pids, f.took = make(map[string]int), make(map[string]time.Duration)
	for _, n := range f.nodes {
		f.pids[n.Name] = n.Pid()
	}
	return serving(ctx, f.network, f.nodes)
}

func (f *drained) inject(ctx context.Context) error {
	f.work = begin(ctx, func(ctx context.Context) error {
		return each(f.nodes, func(n *cluster.Node) error {
			begun := time.Now()
			err := n.Drain(ctx)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.took[n.Name] = time.Since(begun)
			return err
		})
	})
	return nil
}

// prove shows for each target that it ended by itself, with success and within the grace, and that its address refuses
// connections.
func (f *drained) prove(ctx context.Context) (seen, error) {
	if err := f.work.wait(ctx); err != nil {
		return seen{"drain": "not done"}, err
	}
	saw, err := every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		return refuses(ctx, f.network, n, f.pids[n.Name])
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, took := range f.took {
		saw[name] = fmt.Sprintf("ended by itself after %v, %v", took.Round(time.Millisecond), saw[name])
	}
	return saw, err
}

func (f *drained) revert(ctx context.Context) error {
	f.work.stop()
	return revive(ctx, f.nodes)
}

func (f *drained) proveGone(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		if n.Alive() && n.Pid() == f.pids[n.Name] {
			return "never ended", fmt.Errorf("%s: process %d was never ended", n.Name, n.Pid())
		}
		return ready(ctx, f.network, n)
	})
}

// upgraded is nodes whose processes are replaced, one after the other.
type upgraded struct {
	cluster *cluster.Cluster
	nodes   []*cluster.Node
	program string

	was  map[string]cluster.Life
	work *work

	mu   sync.Mutex // guards the following
	took map[string]time.Duration
}

func (f *upgraded) before(ctx context.Context) (seen, error) {
	f.was, f.took = make(map[string]cluster.Life), make(map[string]time.Duration)
	for _, n := range f.nodes {
		f.was[n.Name], _ = n.Life() // none: serving will say so
	}
	return serving(ctx, f.cluster.Network(), f.nodes)
}

func (f *upgraded) inject(ctx context.Context) error {
	f.work = begin(ctx, func(ctx context.Context) error {
		for _, n := range f.nodes {
			begun := time.Now()
			if err := f.cluster.Replace(ctx, n, f.program); err != nil {
				return err // the others keep the program that works
			}
			f.mu.Lock()
			f.took[n.Name] = time.Since(begun)
			f.mu.Unlock()
		}
		return nil
	})
	return nil
}

// prove shows for each target that another process runs, later than the first, of the program that was asked for, and
// that it is ready.
func (f *upgraded) prove(ctx context.Context) (seen, error) {
	if err := f.work.wait(ctx); err != nil {
		return f.progress(), err
	}
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		was := f.was[n.Name]
		is, err := f.replaced(n, was)
		if err != nil {
			return "not replaced", err
		}
		text, err := ready(ctx, f.cluster.Network(), n)
		f.mu.Lock()
		defer f.mu.Unlock()
		return fmt.Sprintf("pid %d replaced after %v; %s; program %.12s, before %.12s", was.PID, f.took[n.Name].Round(time.Millisecond), text, is.SHA256, was.SHA256), err
	})
}

// progress says which nodes have been replaced.
func (f *upgraded) progress() seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	saw := make(seen)
	for _, n := range f.nodes {
		if took, ok := f.took[n.Name]; ok {
			saw[n.Name] = fmt.Sprintf("replaced after %v", took.Round(time.Millisecond))
		} else {
			saw[n.Name] = "not replaced"
		}
	}
	return saw
}

func (f *upgraded) replaced(n *cluster.Node, was cluster.Life) (cluster.Life, error) {
	is, _ := n.Life()
	switch {
	case is.PID == was.PID || !is.Started.After(was.Started):
		return is, fmt.Errorf("%s: still process %d, started at %v", n.Name, is.PID, is.Started.Format(time.TimeOnly))
	case f.program != "" && is.Binary != f.program:
		return is, fmt.Errorf("%s: process %d runs %s, not %s", n.Name, is.PID, is.Binary, f.program)
	}
	// Not what we meant to start, but what the kernel runs.
	runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", is.PID))
	if err != nil {
		return is, fmt.Errorf("%s: what process %d runs: %w", n.Name, is.PID, err)
	}
	if file, err := os.Stat(is.Binary); err != nil || !os.SameFile(runs, file) {
		return is, errors.Join(fmt.Errorf("%s: process %d does not run %s as it is now", n.Name, is.PID, is.Binary), err)
	}
	return is, nil
}

// revert leaves no node down that an upgrade was busy with. The program that runs stays: there is nothing to take back.
func (f *upgraded) revert(ctx context.Context) error {
	f.work.stop()
	return revive(ctx, f.nodes)
}

func (f *upgraded) proveGone(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		return ready(ctx, f.cluster.Network(), n)
	})
}

// grown is a region with more nodes than before.
type grown struct {
	cluster *cluster.Cluster
	region  string
	count   int

	work *work

	mu    sync.Mutex // guards the following
	added []*cluster.Node
	rude  []error // what did not go well at the removal
}

func (f *grown) before(ctx context.Context) (seen, error) {
	return seen{f.region: strings.Join(names(f.members()), ", ")}, nil
}

// members are the nodes of the region.
func (f *grown) members() []*cluster.Node {
	return slices.DeleteFunc(f.cluster.Nodes(), func(n *cluster.Node) bool { return n.Region != f.region })
}

func (f *grown) inject(ctx context.Context) error {
	f.work = begin(ctx, func(ctx context.Context) error {
		for range f.count {
			n, err := f.cluster.Add(ctx, f.region)
			if err != nil {
				return err
			}
			f.mu.Lock()
			f.added = append(f.added, n)
			f.mu.Unlock()
		}
		return nil
	})
	return nil
}

func (f *grown) new() []*cluster.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.added)
}

// prove shows that every added node is a member and says to the vendors that it is ready.
func (f *grown) prove(ctx context.Context) (seen, error) {
	err := f.work.wait(ctx)
	saw, notReady := every(ctx, f.new(), func(ctx context.Context, n *cluster.Node) (string, error) {
		if !slices.Contains(f.members(), n) {
			return "not a member", fmt.Errorf("%s is not in the cluster", n.Name)
		}
		return ready(ctx, f.cluster.Network(), n)
	})
	return saw, errors.Join(err, notReady)
}

// revert drains the added nodes, the last one first. One that does not go kindly goes all the same: then the fault is
// over, and proveGone says how.
func (f *grown) revert(ctx context.Context) error {
	f.work.stop()
	var left error
	for _, n := range slices.Backward(f.new()) {
		if !slices.Contains(f.members(), n) {
			continue
		}
		err := f.cluster.Remove(ctx, n)
		if slices.Contains(f.members(), n) {
			left = errors.Join(left, err)
		} else if err != nil {
			f.mu.Lock()
			f.rude = append(f.rude, err)
			f.mu.Unlock()
		}
	}
	return left
}

// proveGone shows that the added nodes ended by themselves and refuse connections.
func (f *grown) proveGone(ctx context.Context) (seen, error) {
	saw, err := every(ctx, f.new(), func(ctx context.Context, n *cluster.Node) (string, error) {
		if slices.Contains(f.members(), n) {
			return "still a member", fmt.Errorf("%s is still in the cluster", n.Name)
		}
		return refuses(ctx, f.cluster.Network(), n, n.Pid())
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return saw, errors.Join(err, errors.Join(f.rude...))
}

// refuses shows that a process is gone and that the node's address refuses connections.
func refuses(ctx context.Context, network wan.Network, n *cluster.Node, pid int) (string, error) {
	if n.Alive() {
		return "alive", fmt.Errorf("%s: process %d is alive", n.Name, n.Pid())
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		return "there", fmt.Errorf("%s: process %d is still there", n.Name, pid)
	}
	p := probe{network, wan.Venue, n}
	switch took, err := p.within(ctx, lookFor); {
	case err == nil:
		return "answers", fmt.Errorf("%s: answered after %v, although it is down", p, took)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return "does not refuse", fmt.Errorf("a dead process refuses connections, but: %w", err)
	}
	return fmt.Sprintf("pid %d is gone, connection refused", pid), nil
}
