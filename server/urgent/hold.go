package urgent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// hold counts the regions that have acknowledged one event. Whoever publishes the id joins the same
// hold, so acknowledgements of an earlier attempt are not lost on a later one.
type hold struct {
	most func() int    // how many regions the cluster can ask for now; see need
	done chan struct{} // closed when need regions hold the event

	mu sync.Mutex // guards the following
	// need is how many regions make the hold. It is what the cluster had when the copies were written
	// last: more may have come since, but nobody has written to them. If regions have gone, it falls.
	need    int
	regions []string  // in the order of their acks; complete when done is closed
	begun   time.Time // when the copies were written last
	lastErr error     // why a log did not take it, for the message
}

func newHold(most func() int) *hold { return &hold{most: most, done: make(chan struct{})} }

// begin reports whether the copies are to be written (again): not after the hold succeeded, nor in
// the first half of an attempt that is under way. In its second half one that joins would wait
// longer than the attempt lasts.
func (h *hold) begin(now time.Time, deadline time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.wanted() || now.Sub(h.begun) < deadline/2 {
		return false
	}
	h.begun, h.need = now, h.most()
	return true
}

// ack takes the word of one log.
func (h *hold) ack(a backbone.Ack) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.wanted():
		return // those who have waited read the regions without the lock
	case a.Err != nil:
		h.lastErr = fmt.Errorf("%s: %w", a.Node, a.Err)
	case !slices.Contains(h.regions, a.Region):
		h.regions = append(h.regions, a.Region)
	}
	h.need = min(h.need, h.most())
	if len(h.regions) >= h.need {
		close(h.done)
	}
}

// wanted reports whether acknowledgements still matter.
func (h *hold) wanted() bool {
	select {
	case <-h.done:
		return false
	default:
		return true
	}
}

// wait returns when the event is held, or the deadline or the context has ended.
func (h *hold) wait(ctx context.Context, deadline time.Duration) (Held, error) {
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	var ended error
	select {
	case <-h.done:
	case <-timer.C:
		ended = ErrNotHeld
	case <-ctx.Done():
		ended = fmt.Errorf("%w (%w)", ErrNotHeld, context.Cause(ctx))
	}
	select {
	case <-h.done: // perhaps in the same moment
		return Held{Regions: h.regions}, nil // not written to any more
	default:
		return Held{}, h.failure(ended)
	}
}

func (h *hold) failure(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err = fmt.Errorf("%w; held by %d of %d regions %v", err, len(h.regions), h.need, h.regions)
	if h.lastErr != nil {
		err = fmt.Errorf("%w; last refusal: %w", err, h.lastErr)
	}
	return err
}
