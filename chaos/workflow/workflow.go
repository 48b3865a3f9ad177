// Package workflow plays the workflows and schedules of Chaos Mesh on this machine.
//
// It knows when things happen; whoever calls it knows how they are done (Hands). The meaning of the steps is that of
// Chaos Mesh: children of a Serial come one after the other and those of a Parallel all at once, a fault is in force until the
// deadline of its template, and the deadline of a Serial or Parallel cuts off what is still under way below it: faults
// are reverted, the step has ended, and what follows it goes on.
//
// A status check asks a URL. A synchronous one ends when it has succeeded often enough; a continuous one goes on until its
// deadline. If either fails too often and aborts the workflow, or cannot succeed in time, Run returns ErrAborted.
//
// Whatever ends a workflow, no fault is left in force when Run returns.
package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
)

// The errors that a deadline does not hide.
var (
	ErrAborted = errors.New("the workflow was aborted by its status check")
	ErrRevert  = errors.New("a fault could not be taken back")
)

// Hands do what a workflow says. Their methods may be called by several goroutines.
type Hands interface {
	// Strike puts a fault into force, and returns how to take it back. Taking it back does not end with ctx.
	Strike(ctx context.Context, e *experiment.Experiment) (revert func() error, err error)
	// Ask makes one request of a status check, and says what is wrong with the answer.
	Ask(ctx context.Context, c *experiment.StatusCheck) error
	// Note tells whoever reads about the run what happened besides faults.
	Note(text string)
}

// Run plays a step with all that is below it. An error of the hands ends everything.
func Run(ctx context.Context, s *experiment.Step, h Hands) error {
	return (&player{h}).step(ctx, s)
}

// Every plays a schedule until ctx ends, which is no error.
func Every(ctx context.Context, name string, s *experiment.Schedule, h Hands) error {
	return (&player{h}).schedule(ctx, name, s)
}

type player struct{ hands Hands }

// errDeadline is the cause of a context whose step has had its time.
var errDeadline = errors.New("the deadline of the step has passed")

func (p *player) step(ctx context.Context, s *experiment.Step) error {
	if s.Kind == experiment.Strike {
		return p.strike(ctx, s.Fault, s.Deadline)
	}
	within := ctx
	if s.Deadline > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, s.Deadline, errDeadline)
		defer cancel()
	}
	err := p.part(within, s)
	if err == nil || ctx.Err() != nil || !errors.Is(context.Cause(within), errDeadline) || stays(err) {
		return err
	}
	if len(s.Children) > 0 {
		p.hands.Note(fmt.Sprintf("the deadline of %s (%v) has ended what was under way", s.Name, s.Deadline))
	}
	return nil
}

// stays reports whether an error counts although its step was to end anyway.
func stays(err error) bool { return errors.Is(err, ErrAborted) || errors.Is(err, ErrRevert) }

func (p *player) part(ctx context.Context, s *experiment.Step) error {
	switch s.Kind {
	case experiment.Serial:
		for _, c := range s.Children {
			if err := p.step(ctx, c); err != nil {
				return err
			}
		}
		return nil
	case experiment.Parallel:
		return p.parallel(ctx, s.Children)
	case experiment.Suspend:
		<-ctx.Done()
		return context.Cause(ctx)
	case experiment.CheckStatus:
		return p.check(ctx, s)
	case experiment.Repeat:
		return p.schedule(ctx, s.Name, s.Schedule)
	}
	return fmt.Errorf("step %s: a %s cannot be played on this machine; use the steps Serial, Parallel, Suspend, StatusCheck, Schedule and faults", s.Name, s.Kind)
}

// parallel plays all steps at once. One that fails ends the others.
func (p *player) parallel(ctx context.Context, steps []*experiment.Step) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	errs := make([]error, len(steps))
	for i, s := range steps {
		all.Go(func() { // owned by this call, which waits for it; ends with ctx
			if errs[i] = p.step(ctx, s); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	all.Wait()
	failed := context.Cause(ctx) // the first error, or the end of the parent
	for _, err := range errs {
		if stays(err) && !errors.Is(failed, err) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// strike holds a fault for a time; 0 is an instant.
func (p *player) strike(ctx context.Context, e *experiment.Experiment, hold time.Duration) error {
	if hold == 0 && !e.OneShot() {
		return fmt.Errorf("fault %s has no deadline, so it would never end; give its template one", e.Name)
	}
	over := time.NewTimer(hold) // it runs while the effect is proved: the deadline is the whole life of a fault
	defer over.Stop()
	revert, err := p.hands.Strike(ctx, e)
	if err != nil {
		return err
	}
	select {
	case <-over.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if rerr := revert(); rerr != nil {
		return fmt.Errorf("%w: %w", ErrRevert, rerr)
	}
	return err
}

// check plays a status check.
func (p *player) check(ctx context.Context, s *experiment.Step) error {
	failed := func(why error) error {
		p.hands.Note(fmt.Sprintf("status check %s has failed: %v", s.Name, why))
		if s.Check.Abort {
			return fmt.Errorf("%w: %s: %w", ErrAborted, s.Name, why)
		}
		return nil
	}
	var last error
	ticks := time.NewTicker(s.Check.Every)
	defer ticks.Stop()
	for bad, good := 0, 0; ; {
		one, cancel := context.WithTimeout(ctx, s.Check.Timeout)
		err := p.hands.Ask(one, s.Check)
		cancel()
		switch {
		case ctx.Err() != nil:
		case err == nil:
			bad, good, last = 0, good+1, nil
			if good >= s.Check.Successes && !s.Check.Continuous {
				return nil
			}
		default:
			bad, good, last = bad+1, 0, err
			if bad >= s.Check.Failures {
				return failed(err)
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errDeadline) && !s.Check.Continuous && last != nil {
				return failed(fmt.Errorf("not well until its deadline: %w", last))
			}
			return context.Cause(ctx)
		}
	}
}

// schedule lets a fault happen at its times until ctx ends.
func (p *player) schedule(ctx context.Context, name string, s *experiment.Schedule) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var under sync.WaitGroup
	var mu sync.Mutex // guards the following
	var failed error
	busy := 0
	wait := time.NewTimer(time.Until(s.Next(time.Now())))
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			under.Wait()
			if failed != nil {
				return failed
			}
			if errors.Is(context.Cause(ctx), errDeadline) {
				return context.Cause(ctx)
			}
			return nil
		}
		wait.Reset(time.Until(s.Next(time.Now())))
		mu.Lock()
		skip := busy > 0 && !s.Overlap
		if !skip {
			busy++
		}
		mu.Unlock()
		if skip {
			p.hands.Note(fmt.Sprintf("schedule %s: the last one is still under way, this time is left out", name))
			continue
		}
		under.Go(func() { // owned by this call, which waits for it; ends with ctx; one at a time unless they may overlap
			err := p.once(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			busy--
			if err != nil && (ctx.Err() == nil || stays(err)) {
				failed = errors.Join(failed, err)
				cancel(err)
			}
		})
	}
}

func (p *player) once(ctx context.Context, s *experiment.Schedule) error {
	if s.Workflow != nil {
		return p.step(ctx, s.Workflow)
	}
	return p.strike(ctx, s.Fault, s.Fault.Duration)
}
