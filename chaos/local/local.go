// Package local injects faults into a cluster that runs on this machine.
//
// It does to processes and packets what Chaos Mesh does to pods, from the same resource:
//
//	PodChaos pod-kill, container-kill     SIGKILL (SIGTERM first if there is a gracePeriod); started again at the revert
//	PodChaos pod-failure                  SIGKILL, held down, started again at the revert
//	NetworkChaos                          the directed paths between regions, and to the vendors: partition, delay, loss,
//	                                      duplicate, corrupt, bandwidth, netem
//	PhysicalMachineChaos process          SIGSTOP, SIGCONT at the revert
//
// Beside experiments there are the actions of a drill (Action), for which Chaos Mesh has no resource: what operators do
// to a service that must not notice (drain, upgrade, scale), and less processor time. They are planned, injected,
// proved, reverted and journalled in the same way.
//
// A fault that was not proved did not happen. So an injection is looked at with the eyes of a client:
//
//	plan, _ := driver.Plan(experiment, hold)   // whom it hits; nothing is touched
//	injection, _ := driver.Inject(ctx, plan)   // probes before, then the fault
//	_ = injection.Prove(ctx)                   // shows the effect, and that what is out of its reach is well
//	…                                          // hold
//	_ = injection.Revert(ctx)
//	_ = injection.ProveGone(ctx)               // shows that the effect is gone
//
// Everything stands in the journal before it is done. RevertAll takes back whatever is in force,
// newest first; call it on every way out.
package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// Limits of the driver's own work. Injecting and proving also end with the caller's context.
const (
	proveWithin  = 10 * time.Second // an effect that does not show by then has not happened
	goneWithin   = 30 * time.Second // a node that has missed something catches up before it is ready
	revertWithin = 20 * time.Second // reverting does not end with the caller's context
)

// Driver injects into one cluster. Its methods may be called by several goroutines.
type Driver struct {
	cluster *cluster.Cluster
	journal *journal.Writer
	seed    uint64
	links   *links
	limits  limits

	mu      sync.Mutex // guards the following
	planned map[string]int
	open    []*Injection // in force, oldest first
}

// limits are the constants above; tests shorten them, and slow actions have longer ones.
type limits struct{ prove, gone, revert time.Duration }

func (l limits) atLeast(o limits) limits {
	return limits{max(l.prove, o.prove), max(l.gone, o.gone), max(l.revert, o.revert)}
}

// New returns a driver for a cluster. The seed makes its choices repeatable.
func New(c *cluster.Cluster, j *journal.Writer, seed uint64) *Driver {
	return &Driver{
		cluster: c, journal: j, seed: seed, links: newLinks(c.Network()),
		limits: limits{prove: proveWithin, gone: goneWithin, revert: revertWithin}, planned: make(map[string]int),
	}
}

// Plan says whom an experiment hits and what is done to them. Hold is how long the fault is to last;
// 0 takes the duration of the experiment. It is an error if nobody is hit, if a selector uses a label
// that no node has, if every region is hit, or if this driver has no mechanism for the experiment.
func (d *Driver) Plan(e *experiment.Experiment, hold time.Duration) (*Plan, error) {
	key := e.Kind + "/" + e.Name
	d.mu.Lock()
	n := d.planned[key]
	d.planned[key]++
	d.mu.Unlock()
	p, err := decide(e, d.cluster.Nodes(), stream(d.seed, e, n))
	if err != nil {
		return nil, err
	}
	for _, l := range p.do.links {
		if err := wan.Carries(d.cluster.Network().Kind(), l.impair); err != nil {
			return nil, p.errorf("%w", err)
		}
	}
	return d.finish(p, hold), nil
}

// PlanAction is Plan for an action.
func (d *Driver) PlanAction(a Action, hold time.Duration) (*Plan, error) {
	p, err := a.decide(d.cluster.Nodes())
	if err != nil {
		return nil, err
	}
	return d.finish(p, hold), nil
}

func (d *Driver) finish(p *Plan, hold time.Duration) *Plan {
	p.Seed = d.seed
	if hold > 0 {
		p.Hold = hold
	}
	return p
}

// Inject puts a plan into force. It probes first, so that Prove can compare: an error of these
// probes does not stop the injection, but Prove will report it. On any other error the fault has
// been taken back, unless the error says otherwise.
func (d *Driver) Inject(ctx context.Context, p *Plan) (*Injection, error) {
	i := &Injection{driver: d, plan: p, number: d.journal.NextInjection(), limits: d.limits.atLeast(p.limits)}
	i.fault = i.mechanism()
	before, cancel := context.WithTimeout(ctx, d.limits.prove)
	seen, doubt := i.fault.before(before)
	cancel()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("probing before %s: %w", p.Experiment.Name, ctx.Err())
	}
	if doubt != nil {
		i.doubt = fmt.Errorf("before the fault already: %w", doubt)
	}
	if err := d.journal.Append(i.entry(journal.EventProbe, seen, i.doubt)); err != nil {
		return nil, err
	}
	if err := d.journal.Append(i.entry(journal.EventIntent, i.detail(), nil)); err != nil {
		return nil, err // nothing has been touched
	}
	d.mu.Lock()
	d.open = append(d.open, i)
	d.mu.Unlock()

	err := i.fault.inject(ctx)
	if err == nil {
		err = d.journal.Append(i.entry(journal.EventInjected, nil, nil))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("injecting %s: %w", p.Experiment.Name, err), i.Revert(ctx))
	}
	return i, nil
}

// RevertAll reverts everything that is in force, newest first. It goes on past errors and returns
// them all. It does not stop when ctx ends: it has a time limit of its own for each injection.
func (d *Driver) RevertAll(ctx context.Context) error {
	d.mu.Lock()
	open := slices.Clone(d.open)
	d.mu.Unlock()
	var errs []error
	for _, i := range slices.Backward(open) {
		errs = append(errs, i.Revert(ctx))
	}
	return errors.Join(errs...)
}

// closed forgets an injection that has been reverted.
func (d *Driver) closed(i *Injection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = slices.DeleteFunc(d.open, func(o *Injection) bool { return o == i })
}

// targets returns the nodes of a plan.
func (d *Driver) targets(p *Plan) []*cluster.Node {
	return slices.DeleteFunc(d.cluster.Nodes(), func(n *cluster.Node) bool { return !slices.Contains(p.Targets, n.Name) })
}

// detail is what the journal keeps of a plan, so that its choice can be made again.
func (i *Injection) detail() map[string]any {
	pids := make(map[string]int)
	for _, n := range i.driver.targets(i.plan) {
		pids[n.Name] = n.Pid()
	}
	network := i.driver.cluster.Network()
	return map[string]any{
		"effect": i.plan.Effect, "file": i.plan.Experiment.File, "matched": i.plan.Matched, "mode": i.plan.Experiment.Selector.Mode, "pids": pids,
		// Not a number: JSON readers round numbers of this size.
		"seed": strconv.FormatUint(i.plan.Seed, 10), "hold_ns": int64(i.plan.Hold), "network": string(network.Kind()),
		// Such as the kernel's retransmission timers, which decide what one lost packet costs.
		"network_facts": network.Facts(),
	}
}
