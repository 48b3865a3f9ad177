package drill

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/chaos/workflow"
	"github.com/wedsync/wedsync/cluster"
)

// errGuard ends the measured part of a drill before its time, in order: what was recorded is kept and judged.
var errGuard = errors.New("a guard has stopped the drill")

// timed reports whether an experiment says by itself when faults happen.
func timed(e *experiment.Experiment) bool { return e.Workflow != nil || e.Schedule != nil }

// courses plays the workflows of a drill to their end, and its schedules for as long as faults are held. It takes that
// long at least.
func (r *run) courses(ctx context.Context, hold time.Duration) error {
	var some bool
	for _, e := range r.experiments {
		some = some || timed(e)
	}
	if !some {
		return r.hold(ctx, hold)
	}
	held := time.After(hold)
	playing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer r.whileLoaded(playing, cancel)()
	while, end := context.WithTimeout(playing, hold)
	defer end()
	hands := &course{run: r, ctx: ctx}
	var all sync.WaitGroup
	var mu sync.Mutex // guards the following
	var failed error
	for _, e := range r.experiments {
		if !timed(e) {
			continue
		}
		all.Go(func() { // owned by this call, which waits for it; ends with playing
			var err error
			if e.Workflow != nil {
				err = workflow.Run(playing, e.Workflow, hands)
			} else {
				err = workflow.Every(while, e.Name, e.Schedule, hands)
			}
			if err != nil {
				cancel(err)
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			}
		})
	}
	all.Wait()
	hands.gone.Wait()
	switch {
	case ctx.Err() != nil:
		return errors.Join(failed, ctx.Err())
	case errors.Is(failed, workflow.ErrAborted):
		return r.guarded(failed)
	case failed != nil:
		return failed
	}
	select { // what is left of the hold
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// guarded notes that a guard has tripped. The verdict will be INCONCLUSIVE.
func (r *run) guarded(why error) error {
	r.progress.note("%v: %v", errGuard, why)
	return errors.Join(errGuard, r.journal.Append(journal.Entry{Event: journal.EventGuard, Err: why.Error()}))
}

// course is what a workflow does to a drill's cluster.
type course struct {
	run  *run
	ctx  context.Context // of the phase: proving that a fault is gone goes on when its step has ended
	gone sync.WaitGroup  // such proofs
}

// Strike injects a fault and proves it.
func (c *course) Strike(ctx context.Context, e *experiment.Experiment) (revert func() error, err error) {
	plan, err := c.run.driver.Plan(e, e.Duration)
	if err != nil {
		return nil, err
	}
	injection, err := c.run.driver.Inject(ctx, plan)
	if err != nil {
		return nil, err
	}
	if err := injection.Prove(ctx); err != nil {
		c.run.progress.note("not proved: %v", err)
	}
	return func() error {
		if err := injection.Revert(c.ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrRevert, err)
		}
		// The next step does not wait for it: it would come too late, by as much as a region takes to come back.
		c.gone.Go(func() { // owned by courses, which waits for it; bounded by the driver's limit
			if err := injection.ProveGone(c.ctx); err != nil {
				c.run.progress.note("not proved to be gone: %v", err)
			}
		})
		return nil
	}, nil
}

// Ask makes a request of a status check.
func (c *course) Ask(ctx context.Context, check *experiment.StatusCheck) error {
	node, path, err := whom(check.URL, c.run.cluster.Nodes())
	if err != nil {
		return err
	}
	status, err := node.Status(ctx, check.Method, path)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", path, node.Name, err)
	}
	if !within(check.Status, status) {
		return fmt.Errorf("%s of %s: status %d, expected %s", path, node.Name, status, check.Status)
	}
	return nil
}

// Note keeps what happened besides faults.
func (c *course) Note(text string) {
	c.run.progress.note("%s", text)
	if err := c.run.journal.Append(journal.Entry{Event: journal.EventNote, Detail: map[string]any{"text": text}}); err != nil {
		c.run.trouble("%v", err)
	}
}

// whom finds the node that a URL means. On a cluster of machines a status check asks a service, such as
// http://wedsync-server-eu-west.wedsync:4000/readyz; here the first label of the host ends with the name of a node, or
// of a region, of which the first node is asked.
func whom(text string, nodes []*cluster.Node) (*cluster.Node, string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, "", fmt.Errorf("the URL of the status check: %w", err)
	}
	label, _, _ := strings.Cut(u.Hostname(), ".")
	for _, name := range []func(*cluster.Node) string{func(n *cluster.Node) string { return n.Name }, func(n *cluster.Node) string { return n.Region }} {
		for _, n := range nodes {
			if label == name(n) || strings.HasSuffix(label, "-"+name(n)) {
				return n, u.RequestURI(), nil
			}
		}
	}
	return nil, "", fmt.Errorf("the status check asks %s, and no node or region of this cluster is called so; the host must end with one, as in http://wedsync-server-%s.wedsync:4000/readyz",
		u.Host, nodes[0].Region)
}

// within reports whether a status is a code, or in a range of codes, as Chaos Mesh writes them.
func within(codes string, status int) bool {
	low, high, isRange := strings.Cut(codes, "-")
	if !isRange {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	return err1 == nil && err2 == nil && from <= status && status <= to
}

// longestWorkflow is by how much the workflows can lengthen a cycle.
func (d *Drill) longestWorkflow() (longest time.Duration) {
	all, err := d.experiments()
	if err != nil {
		return 0 // whoever runs the drill is told
	}
	for _, e := range all {
		if e.Workflow != nil {
			longest = max(longest, e.Workflow.Longest())
		}
	}
	return longest
}
