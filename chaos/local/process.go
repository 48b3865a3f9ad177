package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// down is a fault that ends processes and keeps them down.
type down struct {
	nodes   []*cluster.Node
	network wan.Network
	grace   time.Duration

	pids map[string]int // before the fault
}

// before shows that there is something to kill: a node that is down already proves nothing.
func (f *down) before(ctx context.Context) (seen, error) {
	f.pids = make(map[string]int)
	for _, n := range f.nodes {
		f.pids[n.Name] = n.Pid()
	}
	return serving(ctx, f.network, f.nodes)
}

func (f *down) inject(ctx context.Context) error {
	return each(f.nodes, func(n *cluster.Node) error {
		if f.grace > 0 {
			return n.Stop(f.grace)
		}
		return n.Kill()
	})
}

// prove shows for each target that its process is gone and that its address refuses connections.
func (f *down) prove(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		return refuses(ctx, f.network, n, f.pids[n.Name])
	})
}

func (f *down) revert(ctx context.Context) error {
	return each(f.nodes, func(n *cluster.Node) error {
		if n.Alive() {
			return nil
		}
		return n.Start(ctx)
	})
}

// proveGone waits until each target is ready again, which it is not before it has caught up.
func (f *down) proveGone(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		if n.Alive() && n.Pid() == f.pids[n.Name] {
			return "never ended", fmt.Errorf("%s: process %d was never ended", n.Name, n.Pid())
		}
		return ready(ctx, f.network, n)
	})
}

// freeze is a fault that stops processes without ending them.
type freeze struct {
	nodes   []*cluster.Node
	network wan.Network
}

// stopped is the state of a process that got SIGSTOP (proc(5)).
const stopped = 'T'

func (f *freeze) before(ctx context.Context) (seen, error) {
	return serving(ctx, f.network, f.nodes)
}

func (f *freeze) inject(context.Context) error {
	return each(f.nodes, func(n *cluster.Node) error { return n.Signal(syscall.SIGSTOP) })
}

// prove shows that the kernel calls each target stopped, and that it is silent.
func (f *freeze) prove(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		short, cancel := context.WithTimeout(ctx, lookFor)
		defer cancel()
		err := eventually(short, func(context.Context) error {
			if s := n.State(); s != stopped {
				return fmt.Errorf("%s: process %d is in state %q, not T (stopped)", n.Name, n.Pid(), s)
			}
			return nil
		})
		if err != nil {
			return "not stopped", err
		}
		p := probe{f.network, wan.Venue, n}
		if took, err := p.within(ctx, silence); err == nil {
			return "answers", fmt.Errorf("%s: answered after %v, although it is stopped", p, took)
		} else if !silent(err) {
			return "is not silent", fmt.Errorf("a stopped process is silent, but: %w", err)
		}
		return fmt.Sprintf("pid %d is in state T, no answer within %v", n.Pid(), silence), nil
	})
}

func (f *freeze) revert(context.Context) error {
	return each(f.nodes, func(n *cluster.Node) error {
		if !n.Alive() {
			return nil // there is nothing left to wake; proveGone will say so
		}
		return n.Signal(syscall.SIGCONT)
	})
}

func (f *freeze) proveGone(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		text, err := ready(ctx, f.network, n)
		if s := n.State(); s == stopped || s == 0 {
			return "not running", errors.Join(fmt.Errorf("%s: process %d is in state %q", n.Name, n.Pid(), s), err)
		}
		return text, err
	})
}

// silence is how long to wait for an answer that must not come: longer than the longest round trip
// that a profile may ask for, shorter than what a drill can spare.
const silence = 700 * time.Millisecond

// serving shows that each node answers the vendors. One that is not ready for a moment, because another fault has just
// begun or ended, is given that moment.
func serving(ctx context.Context, network wan.Network, nodes []*cluster.Node) (seen, error) {
	return every(ctx, nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		p := probe{network, wan.Venue, n}
		ctx, cancel := context.WithTimeout(ctx, lookFor)
		defer cancel()
		var took time.Duration
		err := eventually(ctx, func(ctx context.Context) error {
			status, t, err := p.ask(ctx, "/readyz")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%s: /readyz is %d", p, status)
			}
			took = t
			return err
		})
		if err != nil {
			return "not ready", err
		}
		return fmt.Sprintf("pid %d is ready, answered in %v", n.Pid(), took.Round(time.Microsecond)), nil
	})
}

// every looks at all nodes at once and collects what was seen, by name.
func every(ctx context.Context, nodes []*cluster.Node, look func(context.Context, *cluster.Node) (string, error)) (seen, error) {
	var mu sync.Mutex
	saw := make(seen)
	err := each(nodes, func(n *cluster.Node) error {
		text, err := look(ctx, n)
		mu.Lock()
		defer mu.Unlock()
		saw[n.Name] = text
		return err
	})
	return saw, err
}
