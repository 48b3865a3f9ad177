package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Arrive connects all vendors and returns when every home of each is joined, or with an error that names those that
// could not. Parallel of them connect at a time; or, if within is not zero, they come spread evenly over that time,
// whether those before them have got in or not: a storm does not wait for its own head.
func (w *Wedding) Arrive(ctx context.Context, within time.Duration) error {
	if err := w.enter(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Arrival)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()
	var connecting errgroup.Group
	if within == 0 {
		connecting.SetLimit(w.cfg.Parallel)
	}
	errs := make([]error, len(w.vendors))
	start := time.Now()
	for i, v := range w.vendors {
		var due time.Time // zero: when it is the vendor's turn
		if within > 0 {
			due = start.Add(within * time.Duration(i) / time.Duration(len(w.vendors)))
		}
		connecting.Go(func() error { // owner: Arrive, which waits; ends with ctx; at most Parallel, or one per vendor
			errs[i] = v.arrive(ctx, due)
			return nil
		})
	}
	_ = connecting.Wait() // the errors stand in errs, all of them
	w.beginStalls()
	return w.absent(errs)
}

// arrive connects the vendor at the instant at which it is due; zero: now.
func (v *vendor) arrive(ctx context.Context, due time.Time) error {
	if due.IsZero() {
		due = time.Now()
	}
	wait := time.NewTimer(time.Until(due))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return fmt.Errorf("waiting to arrive: %w", ctx.Err())
	}
	v.w.mu.Lock()
	v.due = due
	v.w.mu.Unlock()
	return v.client.Connect(ctx)
}

// beginStalls lets those stall that are to.
func (w *Wedding) beginStalls() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.departed {
		return
	}
	for _, v := range w.vendors {
		if v.tap != nil {
			w.working.Go(v.nowAndThen) // owner: w, whose end waits for it; ends when the wedding leaves; no queue
		}
	}
}

// absent words who could not arrive, and why one of them could not: the others usually have the same reason.
func (w *Wedding) absent(errs []error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	var why error
	for i, err := range errs {
		if err == nil {
			continue
		}
		names = append(names, w.vendors[i].Name)
		if why == nil {
			why = err
			if trouble := w.vendors[i].trouble; trouble != "" {
				why = fmt.Errorf("%w (the last attempt: %s)", err, trouble)
			}
		}
	}
	if why == nil {
		return nil
	}
	return fmt.Errorf("wedding %s: %d of %d vendors could not arrive (%s): %w",
		w.cfg.ID, len(names), len(errs), strings.Join(names, ", "), why)
}
