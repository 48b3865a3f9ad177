package local

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/wedsync/wedsync/chaos/journal"
)

// Unproved is the error of a probe that could not show what it should. The drill goes on, and its
// verdict is INCONCLUSIVE.
type Unproved struct {
	Experiment string
	Gone       bool // it was to be shown that the effect is gone
	Err        error
}

// Error says what was to be shown, and what was seen.
func (u *Unproved) Error() string {
	if u.Gone {
		return fmt.Sprintf("the end of fault %s is not proved: %v", u.Experiment, u.Err)
	}
	return fmt.Sprintf("fault %s is not proved: %v", u.Experiment, u.Err)
}

// Unwrap returns what was seen.
func (u *Unproved) Unwrap() error { return u.Err }

// fault is one mechanism at work on chosen targets. Its probes return what they saw, for the
// journal, also with an error.
type fault interface {
	before(ctx context.Context) (seen, error)
	inject(ctx context.Context) error
	prove(ctx context.Context) (seen, error)
	revert(ctx context.Context) error // may be called again, and after half an inject
	proveGone(ctx context.Context) (seen, error)
}

// seen is what probes saw, by what they looked at.
type seen = map[string]any

// mechanism returns what a plan asks for, aimed at its targets.
func (i *Injection) mechanism() fault {
	d, targets := i.driver, i.driver.targets(i.plan)
	switch do := i.plan.do; {
	case do.drain:
		return &drained{nodes: targets, network: d.cluster.Network()}
	case do.upgrade != nil:
		return &upgraded{cluster: d.cluster, nodes: targets, program: do.upgrade.program}
	case do.scale != nil:
		return &grown{cluster: d.cluster, region: i.plan.Regions[0], count: do.scale.nodes}
	case do.quota != nil:
		return newLimited(targets, d.cluster.Network(), do.quota.cores, i.number)
	case do.down != nil:
		return &down{nodes: targets, network: d.cluster.Network(), grace: do.down.grace}
	case do.freeze:
		return &freeze{nodes: targets, network: d.cluster.Network()}
	default:
		return &impair{owner: i.number, wanted: do.links, regions: i.plan.Regions, links: d.links, network: d.cluster.Network(), nodes: d.cluster.Nodes()}
	}
}

// Injection is a fault in force.
type Injection struct {
	driver *Driver
	plan   *Plan
	number uint64
	limits limits
	fault  fault
	doubt  error // what the probes before the fault could not show

	mu       sync.Mutex // held while reverting
	reverted bool
}

// Prove shows the effect, or returns Unproved. Any other error is of the journal.
func (i *Injection) Prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, i.limits.prove)
	defer cancel()
	saw, err := i.fault.prove(ctx)
	return i.conclude(journal.EventProved, saw, errors.Join(i.doubt, err))
}

// ProveGone shows that the effect is gone, or returns Unproved. Any other error is of the journal.
func (i *Injection) ProveGone(ctx context.Context) error {
	i.mu.Lock()
	reverted := i.reverted
	i.mu.Unlock()
	if !reverted {
		return &Unproved{i.plan.Experiment.Name, true, errors.New("it has not been reverted")}
	}
	ctx, cancel := context.WithTimeout(ctx, i.limits.gone)
	defer cancel()
	saw, err := i.fault.proveGone(ctx)
	return i.conclude(journal.EventGone, saw, err)
}

// conclude writes down what a proof came to.
func (i *Injection) conclude(proof journal.Event, saw seen, err error) error {
	event := proof
	if err != nil {
		event = journal.EventUnproved
	}
	if jerr := i.driver.journal.Append(i.entry(event, saw, err)); jerr != nil {
		return errors.Join(jerr, err)
	}
	if err != nil {
		return &Unproved{i.plan.Experiment.Name, proof == journal.EventGone, err}
	}
	return nil
}

// Revert takes the fault back. It does so once, however often it is called, until it has worked. It
// does not stop when ctx ends, and it reverts even if the journal can no longer be written.
func (i *Injection) Revert(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.reverted {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.limits.revert)
	defer cancel()
	errs := []error{i.driver.journal.Append(i.entry(journal.EventReverting, nil, nil))}
	if err := i.fault.revert(ctx); err != nil {
		err = fmt.Errorf("reverting %s: %w", i.plan.Experiment.Name, err)
		return errors.Join(append(errs, err, i.driver.journal.Append(i.entry(journal.EventRevertFailed, nil, err)))...)
	}
	i.reverted = true
	i.driver.closed(i)
	return errors.Join(append(errs, i.driver.journal.Append(i.entry(journal.EventReverted, nil, nil)))...)
}

// entry is a journal line about this injection.
func (i *Injection) entry(event journal.Event, detail map[string]any, err error) journal.Entry {
	e := i.plan.Experiment
	entry := journal.Entry{
		Event: event, Injection: i.number, Kind: e.Kind, Name: e.Name, Action: e.Action, SHA256: e.SHA256,
		Targets: i.plan.Targets, Regions: i.plan.Regions, Serving: i.plan.Serving, Detail: detail,
	}
	if err != nil {
		entry.Err = err.Error()
	}
	return entry
}
