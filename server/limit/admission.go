package limit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Defaults of an Admission.
const (
	// defaultPatience is the longest that a handshake waits. Stock clients set no time for it; those
	// that do hang up, which ends their wait.
	defaultPatience = 30 * time.Second
	// defaultWaiting bounds the memory of a storm: a waiting handshake costs 26 KiB, most of it the HTTP
	// server's, so a line of this length 210 MiB.
	defaultWaiting = 8192
)

// The reasons for not letting a handshake in.
var (
	// ErrBusy means that its turn did not come in time, or that it cannot.
	ErrBusy = errors.New("too many connections are waiting")
	// ErrClosed means that the node is stopping.
	ErrClosed = errors.New("the node takes no more connections")
)

// AdmissionConfig is one door.
type AdmissionConfig struct {
	Connections       int           // open sockets; 0: no limit
	ConnectsPerSecond int           // handshakes that pass, after a burst of as many; 0: no limit
	Waiting           int           // handshakes that may wait at the same time; default 8,192
	Patience          time.Duration // how long each may; default 30 s

	Reached func(Name)          // called for each handshake that has to wait, or is turned away
	Waited  func(time.Duration) // called for each handshake that is let in
}

// Admission is the door of a node: it lets handshakes in at a rate, and only as many as there is
// room for. The others stand in line: first come, first served. It is a line with one place at its
// head; only who stands there takes from the two things that are scarce, so somebody who gives up
// further back has used nothing up.
//
//	Wait ... ---> line (first in, first out) ---> head: a place, then a tick of the rate ---> in
//	Release: the socket has ended, its place is free
type Admission struct {
	cfg     AdmissionConfig
	most    int64         // handshakes that may wait
	head    chan struct{} // holds the one that is first in line; senders queue in order
	places  chan struct{} // holds the sockets that are open; nil: no limit
	pace    *rate.Limiter // nil: no limit
	waiting atomic.Int64

	obstacle atomic.Pointer[Name] // what the one at the head waits for; nil: nothing

	closed context.Context // ends with Close
	close  context.CancelFunc
}

// NewAdmission returns an open door.
func NewAdmission(cfg AdmissionConfig) *Admission {
	if cfg.Waiting == 0 {
		cfg.Waiting = defaultWaiting
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	a := &Admission{cfg: cfg, most: int64(cfg.Waiting), head: make(chan struct{}, 1)}
	a.closed, a.close = context.WithCancel(context.Background())
	if cfg.Connections > 0 {
		a.places = make(chan struct{}, cfg.Connections)
	}
	if n := cfg.ConnectsPerSecond; n > 0 {
		a.pace = rate.NewLimiter(rate.Limit(n), n)
		// Whoever comes when the line is longer than this would wait in vain.
		a.most = min(a.most, max(1, int64(float64(n)*cfg.Patience.Seconds())))
	}
	return a
}

// Wait returns when a handshake may go on; Release must follow when its socket has ended. It returns an
// error that is ErrBusy, ErrClosed or the one of ctx.
func (a *Admission) Wait(ctx context.Context) error {
	if a.closed.Err() != nil {
		return ErrClosed
	}
	begin := time.Now()
	if a.waiting.Add(1) > a.most {
		a.waiting.Add(-1)
		a.cfg.Reached(Waiting)
		return fmt.Errorf("%w: %d already do", ErrBusy, a.most)
	}
	patient, cancel := context.WithTimeout(ctx, a.cfg.Patience)
	stop := context.AfterFunc(a.closed, cancel)
	err := a.pass(patient)
	stop()
	cancel()
	a.waiting.Add(-1)
	switch {
	case err == nil:
		a.cfg.Waited(time.Since(begin))
		return nil
	case a.closed.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return fmt.Errorf("waiting to be let in: %w", ctx.Err())
	}
	a.cfg.Reached(Waiting)
	return fmt.Errorf("%w: its turn did not come within %s", ErrBusy, a.cfg.Patience)
}

// pass stands in line, then takes a place and a tick of the rate. Who has to wait is counted once: for
// what the line waited for when it came, or for what it waited for itself at its head.
func (a *Admission) pass(ctx context.Context) error {
	counted := a.obstacle.Load()
	if counted != nil {
		a.cfg.Reached(*counted)
	}
	if err := put(ctx, a.head); err != nil {
		return err
	}
	defer func() { <-a.head }()
	defer a.obstacle.Store(nil)
	blocked := func(by Name) {
		a.obstacle.Store(&by)
		if counted == nil {
			counted = &by
			a.cfg.Reached(by)
		}
	}
	if a.places != nil {
		if len(a.places) == cap(a.places) {
			blocked(Connections)
		}
		if err := put(ctx, a.places); err != nil {
			return err
		}
	}
	if a.pace == nil {
		return nil
	}
	if a.pace.Tokens() < 1 {
		blocked(Connects)
	}
	if err := a.pace.Wait(ctx); err != nil {
		a.Release()
		return err
	}
	return nil
}

// put waits until queue takes one more.
func put(ctx context.Context, queue chan<- struct{}) error {
	if err := ctx.Err(); err != nil { // select would choose at random
		return err
	}
	select {
	case queue <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release gives the place of a socket that was let in back.
func (a *Admission) Release() {
	if a.places != nil {
		<-a.places
	}
}

// Waiting is how many handshakes stand in line.
func (a *Admission) Waiting() int { return int(a.waiting.Load()) }

// RetryAfter is when a handshake that was turned away should come again: when those who wait now
// have been let in.
func (a *Admission) RetryAfter() time.Duration {
	after := time.Second
	if n := a.cfg.ConnectsPerSecond; n > 0 {
		after += time.Duration(a.waiting.Load()) * time.Second / time.Duration(n)
	}
	return after
}

// Close turns everybody away who waits or comes: the node is stopping.
func (a *Admission) Close() { a.close() }
