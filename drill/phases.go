package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/chaos/journal"
)

// phases plays warmup, before, and the cycles.
func (r *run) phases(ctx context.Context) error {
	stop := r.follow(ctx)
	defer stop()

	p := r.drill.Phases
	r.progress.enter("warmup", time.Now().Add(time.Duration(p.Warmup)))
	if err := r.steady(ctx, time.Duration(p.Warmup)); err != nil {
		return fmt.Errorf("the vendors did not all arrive within %v: %w\n%s", time.Duration(p.Warmup), err, r.generator.tail())
	}
	if err := r.enter(journal.PhaseBefore, 0, time.Duration(p.Before)); err != nil {
		return err
	}
	if err := r.hold(ctx, time.Duration(p.Before)); err != nil {
		return err
	}
	cycle := r.cycle
	if !r.drill.faulty() {
		cycle = r.calmCycle
	}
	for n := 1; n <= r.drill.Repeat; n++ {
		switch err := cycle(ctx, n); {
		case errors.Is(err, errGuard):
			return nil // what there is so far will be judged
		case err != nil:
			return err
		}
	}
	return nil
}

// calmCycle goes through the phases of a cycle in which nothing is done to the cluster: those that have a length.
func (r *run) calmCycle(ctx context.Context, cycle int) error {
	p := r.drill.Phases
	for _, part := range []struct {
		phase  journal.Phase
		length Duration
	}{{journal.PhaseRecovery, p.Recovery}, {journal.PhaseAfter, p.After}} {
		if part.length == 0 {
			continue
		}
		if err := r.enter(part.phase, cycle, time.Duration(part.length)); err != nil {
			return err
		}
		if err := r.hold(ctx, time.Duration(part.length)); err != nil {
			return err
		}
	}
	return nil
}

// cycle injects, proves, holds, reverts, proves the fault gone, and waits for the steady state.
// What could not be proved stands in the journal and costs the drill its PASS; the drill goes on.
func (r *run) cycle(ctx context.Context, cycle int) error {
	p := r.drill.Phases
	if err := r.enter(journal.PhaseFault, cycle, time.Duration(p.Fault)); err != nil {
		return err
	}
	r.progress.inForce(r.names())
	injections, err := r.strike(ctx)
	if err != nil {
		return err
	}
	r.progress.until(time.Now().Add(time.Duration(p.Fault))) // proving may have taken longer than the hold
	stopped := r.courses(ctx, time.Duration(p.Fault))
	if stopped != nil && !errors.Is(stopped, errGuard) {
		return stopped
	}
	for _, injection := range slices.Backward(injections) {
		if err := injection.Revert(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrRevert, err)
		}
	}
	r.progress.inForce(nil)
	if err := r.enter(journal.PhaseRecovery, cycle, time.Duration(p.Recovery)); err != nil {
		return err
	}
	back := time.Now()
	for _, injection := range injections {
		if err := injection.ProveGone(ctx); err != nil {
			r.progress.note("not proved to be gone: %v", err)
		}
	}
	err = r.steady(ctx, time.Until(back.Add(time.Duration(p.Recovery))))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	entry := journal.Entry{Event: journal.EventSteady, Detail: map[string]any{"after_ms": time.Since(back).Milliseconds()}}
	if err != nil {
		entry.Err = err.Error()
		r.trouble("cycle %d: the steady state did not come back: %v", cycle, err)
		r.progress.note("steady state not back: %v", err)
	}
	if err := r.journal.Append(entry); err != nil {
		return err
	}
	if err := r.enter(journal.PhaseAfter, cycle, time.Duration(p.After)); err != nil {
		return err
	}
	if err := r.hold(ctx, time.Duration(p.After)); err != nil {
		return err
	}
	return stopped
}

// enter begins a phase: in the journal, for the generator's tags, and on the screen.
func (r *run) enter(phase journal.Phase, cycle int, length time.Duration) error {
	if err := r.journal.Phase(phase, cycle); err != nil {
		return err
	}
	name := string(phase)
	if cycle > 0 {
		name = fmt.Sprintf("%s %d/%d", phase, cycle, r.drill.Repeat)
	}
	r.progress.enter(name, time.Now().Add(length))
	return r.control.tell(command{Phase: string(phase)})
}

// errGeneratorGone ends a phase whose load has gone.
var errGeneratorGone = errors.New("the generator ended before the drill did")

// hold lets time pass while the generator runs.
func (r *run) hold(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.generator.exited:
		return fmt.Errorf("%w; its last words:\n%s", errGeneratorGone, r.generator.tail())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow shows the generator's reports until the returned function is called.
func (r *run) follow(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends when stop cancels ctx
		defer close(done)
		var last Status
		for r.control.await(ctx, func(s Status) bool { return s != last }) == nil {
			last = r.control.latest()
			r.progress.show(last)
		}
	}()
	return func() { cancel(); <-done }
}

// steady waits until the steady state has lasted for steadyFor: every node ready and caught up,
// every vendor joined at as many homes as it wants, and nothing late under way.
func (r *run) steady(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not steady within %v", limit))
	defer cancel()
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	go func() { // ends with ctx, at the latest when steady returns
		select {
		case <-r.generator.exited:
			gone(errGeneratorGone)
		case <-ctx.Done():
		}
	}()
	if err := r.cluster.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	var since time.Time
	err := r.control.await(ctx, func(s Status) bool {
		if s.Vendors == 0 || s.Joined < s.Homes {
			since = time.Time{}
			return false
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) >= steadyFor
	})
	if err != nil {
		s := r.control.latest()
		return fmt.Errorf("%d of %d sessions are joined: %w", s.Joined, s.Homes, context.Cause(ctx))
	}
	return nil
}

// drain ends the load and waits until it has gone.
func (r *run) drain(ctx context.Context) error {
	if err := r.enter(journal.PhaseDrain, 0, time.Duration(r.drill.Phases.Drain)); err != nil {
		return err
	}
	// What was sent in the last measured moment is answered before everybody leaves at once.
	if err := r.hold(ctx, time.Second); err != nil {
		return err
	}
	if err := r.control.tell(command{Stop: true}); err != nil {
		return err
	}
	limit := time.NewTimer(time.Duration(r.drill.Phases.Drain) + 15*time.Second)
	defer limit.Stop()
	select {
	case <-r.generator.exited:
		return nil
	case <-limit.C:
		return fmt.Errorf("the generator did not end within %v of being told to", time.Duration(r.drill.Phases.Drain)+15*time.Second)
	case <-ctx.Done():
		return ctx.Err()
	}
}
