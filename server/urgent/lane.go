// Package urgent makes two promises about an event of a room: everyone who is connected gets it at
// once, and once the publisher has its ok, the loss of a whole region cannot lose it.
//
// The two are kept apart, so that neither waits for the other:
//
//	Publish ─┬─ at once: local members, then a copy to every log, where it is live for the members there
//	         └─ ok when logs of two regions have acknowledged their copy (the hold)
//
// No order of nodes is involved: any two regions will do, so a region that has just died delays
// nothing. If two regions do not answer within the deadline the outcome is unknown (ErrNotHeld),
// and the client publishes the same id again, here or elsewhere: the second time the event is held,
// not delivered again.
//
// An event reaches a node several times: by its own log, by the logs of other regions, by repair.
// The first copy wins (see seen.go). Recent events stay in memory per room (see ring.go), older
// ones are read from the stored log; Since hides which.
package urgent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

// heldRegions is how many regions must hold an event before its publisher is told ok.
const heldRegions = 2

// ErrNotHeld says that two regions had not acknowledged the event within the deadline. It may or
// may not survive: publish the same id again.
var ErrNotHeld = errors.New("not held by two regions in time; the outcome is unknown: publish the same id again")

var errBulk = errors.New("event refused: no log holds the bulk lane; cast it")

var errClosed = errors.New("the lane is closed")

// Config of a Lane. Zero values get the default named in the comment.
type Config struct {
	Backbone *backbone.Backbone
	// Deliver gives an event to the local members: once per event, from several goroutines, those
	// of one room one after another, but bulk beside the others: what is large must not hold up what
	// is urgent. It must not block, and must not call Publish or Cast.
	Deliver   func(*backbone.Event)
	OnReceipt func(Receipt) // nil: receipts are ignored; must not block
	Deadline  time.Duration // of a hold, 2s
	// ReplayedAfter is the age from which an event is marked as replayed when it comes, 3s.
	ReplayedAfter time.Duration
	// AckEarly is a flaw, for showing that the checker finds it: ok is given at once, in the name
	// of two regions, and the event is written to the logs a second later.
	AckEarly   bool
	Registerer prometheus.Registerer // nil: the one of the backbone
}

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Backbone == nil {
		errs = append(errs, errors.New("backbone is missing"))
	}
	if c.Deliver == nil {
		errs = append(errs, errors.New("deliver function is missing"))
	}
	if c.Deadline < 0 || c.ReplayedAfter < 0 {
		errs = append(errs, fmt.Errorf("deadline %v and replayed-after %v may not be negative", c.Deadline, c.ReplayedAfter))
	}
	return errors.Join(errs...)
}

// shards is how many rooms can be served at once; a power of two.
const shards = 64

// Lane publishes and delivers the events of one node, of both lanes of the protocol.
type Lane struct {
	cfg    Config
	b      *backbone.Backbone
	m      *metrics
	need   func() int // regions that make a hold now
	shards [shards]shard

	mu      sync.Mutex // guards the following
	closed  bool
	delayed sync.WaitGroup // writes that AckEarly holds back
	stop    chan struct{}
}

// Held says which regions hold an event.
type Held struct{ Regions []string }

// New attaches a lane to the backbone. It recalls the last minutes of the own log first, so that
// what was delivered before a restart is not delivered again.
func New(cfg Config) (*Lane, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("urgent lane configuration: %w", err)
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = 2 * time.Second
	}
	if cfg.ReplayedAfter == 0 {
		cfg.ReplayedAfter = 3 * time.Second
	}
	if cfg.OnReceipt == nil {
		cfg.OnReceipt = func(Receipt) {}
	}
	if cfg.Registerer == nil {
		cfg.Registerer = cfg.Backbone.Registerer()
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	l := &Lane{cfg: cfg, b: cfg.Backbone, m: m, need: func() int { return min(heldRegions, cfg.Backbone.Regions()) }, stop: make(chan struct{})}
	start := l.b.Clock().Now()
	for i := range l.shards {
		l.shards[i].init(start, l.b.Clock())
	}
	l.b.Attach(receiver{l}, l.recall)
	if cfg.AckEarly {
		l.b.Logger().Warn("FLAW ack-early: ok is given before any log holds the event; for testing the checker only")
	}
	return l, nil
}

// Close stops delivering. Publications still waiting get their error when their context or deadline
// ends.
func (l *Lane) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
	}
	l.mu.Unlock()
	l.b.Detach()
	done := make(chan struct{})
	go func() { // ends with the delayed writes, which stop has told to hurry
		l.delayed.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the urgent lane: %w", ctx.Err())
	}
}

// Publish delivers the event to the members here before it returns, sends it to every log, and
// returns when logs of two regions hold it. It fills in HLC, Origin and, if empty, ID; the event
// belongs to the lane then. An id that was published before, here or on another node, is held again
// and not delivered again.
func (l *Lane) Publish(ctx context.Context, ev *backbone.Event) (Held, error) {
	wait, err := l.Submit(ev)
	if err != nil {
		return Held{}, err
	}
	return wait(ctx)
}

// Submit is Publish in two steps, for a publisher whose events must keep their order and that does
// not want to wait for each: the members here have the event when Submit returns, and wait returns
// when two regions hold it. wait must be called once.
func (l *Lane) Submit(ev *backbone.Event) (wait func(context.Context) (Held, error), err error) {
	if ev.ID == "" {
		ev.ID = uuid.NewString()
	}
	if err := ev.Validate(); err != nil {
		return nil, fmt.Errorf("event refused: %w", err)
	}
	if ev.Lane == protocol.Bulk {
		return nil, errBulk
	}
	if err := l.isOpen(); err != nil {
		return nil, err
	}
	start, lane := time.Now(), ev.Lane
	h := l.shard(ev.Room).publish(l, ev, start)
	return func(ctx context.Context) (Held, error) {
		held, err := h.wait(ctx, l.cfg.Deadline-time.Since(start))
		l.m.held(lane, time.Since(start), err)
		return held, err
	}, nil
}

// Cast delivers the event to the members here before it returns, and sends it to the other nodes.
// Nothing holds it, and where it does not get through it is not repeated.
func (l *Lane) Cast(ctx context.Context, ev *backbone.Event) error {
	if err := ev.Validate(); err != nil {
		return fmt.Errorf("event refused: %w", err)
	}
	if err := errors.Join(l.isOpen(), ctx.Err()); err != nil {
		return err
	}
	if l.shard(ev.Room).cast(l, ev) {
		l.b.Cast(ev)
	}
	return nil
}

func (l *Lane) isOpen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	return nil
}

// deliver marks what is old and hands the event out.
func (l *Lane) deliver(ev *backbone.Event) {
	if age := time.Since(ev.HLC.Time()); age > l.cfg.ReplayedAfter {
		ev.Replayed = true
	}
	l.m.delivered[ev.Lane].Inc()
	l.handOut(ev)
}

// Recall remembers that the members here have had an event, so that it is not delivered when it is published
// again: for one that the own log has from a time that the lane may have forgotten.
func (l *Lane) Recall(ev *backbone.Event) { l.recall(ev) }

// recall takes what the own log held before this start.
func (l *Lane) recall(ev *backbone.Event) {
	l.observe(ev)
	l.shard(ev.Room).recall(ev)
}

func (l *Lane) observe(ev *backbone.Event) {
	if !l.b.Clock().Observe(ev.HLC) {
		l.m.ahead.Inc()
	}
}

// receiver is the side of the lane that the backbone sees.
type receiver struct{ l *Lane }

func (r receiver) Live(ev *backbone.Event) bool { return r.l.arrive(ev, false) }
func (r receiver) Stored(ev *backbone.Event)    { r.l.arrive(ev, true) }
func (r receiver) Announced(data []byte)        { r.l.announced(data) }
func (r receiver) Cast(ev *backbone.Event) {
	r.l.observe(ev)
	r.l.shard(ev.Room).arriveCast(r.l, ev)
}

func (l *Lane) arrive(ev *backbone.Event, stored bool) bool {
	// The clock first: what is remembered as seen relies on it (see seen).
	l.observe(ev)
	return l.shard(ev.Room).arrive(l, ev, stored)
}
