package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// limited is a fault that gives each process less of the processor: so many cores, as `limits.cpu` of a pod. A process
// that needs less than that is not hurt, and then the fault is not proved.
type limited struct {
	nodes     []*cluster.Node
	network   wan.Network
	cores     float64
	throttles map[string]throttle // by node
}

// throttlePeriod is the time over which a limit holds: a process that has used its share waits for the next period. The
// shorter it is, the more the limit looks like a slower processor, also to one that is busy for moments only. Kubernetes
// takes 100 ms, in which such a process would not notice. The kernel wants shares of a millisecond or more.
func throttlePeriod(cores float64) time.Duration {
	return max(5*time.Millisecond, time.Duration(float64(time.Millisecond)/cores))
}

// throttle limits the processor time of one node's process.
type throttle interface {
	// limit puts the limit into force.
	limit(cores float64) error
	// bites shows that the limit holds the process up.
	bites(ctx context.Context) (string, error)
	// lift takes the limit back. It may be called again, and after half a limit.
	lift() error
	// lifted shows that nothing of the limit is left on the process.
	lifted(ctx context.Context) (string, error)
}

// newLimited chooses the best mechanism that this machine allows.
func newLimited(nodes []*cluster.Node, network wan.Network, cores float64, injection uint64) *limited {
	f := &limited{nodes: nodes, network: network, cores: cores, throttles: make(map[string]throttle)}
	tree, err := findCgroups()
	for _, n := range nodes {
		if err == nil {
			f.throttles[n.Name] = newCgroup(tree, n, injection)
		} else {
			f.throttles[n.Name] = &pulse{node: n}
		}
	}
	return f
}

// QuotaMechanism says how processor time is limited on this machine, for the record of a run.
func QuotaMechanism() string {
	tree, err := findCgroups()
	if err != nil {
		return fmt.Sprintf("SIGSTOP and SIGCONT in turns, because %v", err)
	}
	return tree.String()
}

// usageOver is how long the usage before the fault is measured.
const usageOver = time.Second

// before also measures what each process uses without a limit: it says how hard the limit is.
func (f *limited) before(ctx context.Context) (seen, error) {
	saw, err := serving(ctx, f.network, f.nodes)
	used, usageErr := every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		first, err := n.Usage()
		if err != nil {
			return "", err
		}
		begun := time.Now()
		select {
		case <-time.After(usageOver):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		second, err := n.Usage()
		return fmt.Sprintf("%.2f of a core", float64(second.CPU-first.CPU)/float64(time.Since(begun))), err
	})
	for name, share := range used {
		saw[name] = fmt.Sprintf("%v, uses %v", saw[name], share)
	}
	saw["mechanism"] = QuotaMechanism()
	return saw, errors.Join(err, usageErr)
}

func (f *limited) inject(context.Context) error {
	return each(f.nodes, func(n *cluster.Node) error { return f.throttles[n.Name].limit(f.cores) })
}

func (f *limited) prove(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		return f.throttles[n.Name].bites(ctx)
	})
}

func (f *limited) revert(context.Context) error {
	return each(f.nodes, func(n *cluster.Node) error { return f.throttles[n.Name].lift() })
}

func (f *limited) proveGone(ctx context.Context) (seen, error) {
	return every(ctx, f.nodes, func(ctx context.Context, n *cluster.Node) (string, error) {
		text, err := f.throttles[n.Name].lifted(ctx)
		if err != nil {
			return text, err
		}
		well, err := ready(ctx, f.network, n)
		return text + "; " + well, err
	})
}
