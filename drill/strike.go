package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wedsync/wedsync/chaos/local"
)

// strike injects the faults of a cycle and returns, in the order in which they came into force, when each is proved or
// has failed to be. The experiments come one after the other, and each action after its delay, at the same time: so one
// fault can strike in the middle of another. On an error those in force are the driver's to revert.
func (r *run) strike(ctx context.Context) ([]*local.Injection, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer r.whileLoaded(ctx, cancel)()

	var mu sync.Mutex // guards the following
	var inForce []*local.Injection
	var failed error

	var all sync.WaitGroup
	together := func(do func() error) {
		all.Go(func() { // owned by this call, which waits for it; ends with ctx
			if err := do(); err != nil {
				cancel(err)
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			}
		})
	}
	inject := func(plan *local.Plan, err error) error {
		if err != nil {
			return err
		}
		injection, err := r.driver.Inject(ctx, plan)
		if err != nil {
			return err
		}
		mu.Lock()
		inForce = append(inForce, injection)
		mu.Unlock()
		if err := injection.Prove(ctx); err != nil {
			r.progress.note("not proved: %v", err)
		}
		return context.Cause(ctx)
	}
	hold := time.Duration(r.drill.Phases.Fault)
	together(func() error {
		for _, e := range r.experiments {
			if timed(e) {
				continue // courses
			}
			if err := inject(r.driver.Plan(e, hold)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, a := range r.drill.Actions {
		together(func() error {
			select {
			case <-time.After(time.Duration(a.Delay)):
				return inject(r.driver.PlanAction(r.drill.local(a), hold))
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}
	all.Wait()
	return inForce, failed
}

// whileLoaded cancels a context when the generator ends, until the returned function is called.
func (r *run) whileLoaded(ctx context.Context, cancel context.CancelCauseFunc) func() {
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() { // owned by the caller, who ends it
		defer close(done)
		select {
		case <-r.generator.exited:
			cancel(fmt.Errorf("%w; its last words:\n%s", errGeneratorGone, r.generator.tail()))
		case <-ctx.Done():
		case <-stop:
		}
	}()
	return func() { close(stop); <-done }
}

// names are the faults of the drill, for the screen.
func (r *run) names() (names []string) {
	for _, e := range r.experiments {
		if timed(e) {
			names = append(names, e.Name+" ("+e.Kind+")")
			continue
		}
		names = append(names, e.Name+" ("+e.Action+")")
	}
	for _, a := range r.drill.Actions {
		name := r.drill.local(a).Name()
		if a.Delay > 0 {
			name += fmt.Sprintf(" after %v", time.Duration(a.Delay))
		}
		names = append(names, name)
	}
	return names
}
