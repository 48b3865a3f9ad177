package local

import (
	"context"
	"errors"
)

// work is an operation that takes its time, such as a drain: it begins with the injection and is waited for by the
// proof, so that another fault can strike in the middle of it.
type work struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has ended
	err    error         // valid once done is closed
}

var errReverted = errors.New("it is being reverted")

// begin starts an operation. It ends by itself, with ctx, or with stop.
func begin(ctx context.Context, do func(context.Context) error) *work {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &work{cancel: cancel, done: make(chan struct{})}
	go func() { // owned by the fault, whose revert stops it and waits for it; bounded by ctx
		defer close(w.done)
		defer cancel(nil)
		w.err = do(ctx)
	}()
	return w
}

// wait returns how the operation ended, or an error when ctx ends before it does.
func (w *work) wait(ctx context.Context) error {
	if w == nil {
		return errors.New("it has not begun")
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the operation wherever it stands, and returns when it has ended.
func (w *work) stop() {
	if w == nil {
		return
	}
	w.cancel(errReverted)
	<-w.done
}
