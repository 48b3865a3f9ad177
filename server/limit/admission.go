package limit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	// bursts is the part of a second whose handshakes may come at once.
	bursts = 10
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
	ConnectsPerSecond int           // handshakes that pass at most, after a burst of a tenth; fewer under strain; 0: no limit
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
//
// The rate follows what the node can bear (see pace), because those who are in already must not notice.
type Admission struct {
	cfg     AdmissionConfig
	most    int64         // handshakes that may wait
	head    chan struct{} // holds the one that is first in line; senders queue in order
	places  chan struct{} // holds the sockets that are open; nil: no limit
	pace    *pace         // nil: no limit
	ticks   *rate.Limiter // at the rate of pace
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
		a.pace = newPace(n)
		// A burst of the handshakes of a whole second would hold up a small node for as long.
		a.ticks = rate.NewLimiter(rate.Limit(n), max(1, n/bursts))
		// Whoever comes when the line is longer than this would wait in vain.
		a.most = min(a.most, max(1, int64(float64(n)*cfg.Patience.Seconds())))
	}
	return a
}

// Wait returns when a handshake may go on; Release must follow when its socket has ended. It returns an
// error that is ErrBusy, ErrClosed or the one of ctx. If ctx has a deadline by which its turn will not have
// come, it hears so at once and can ask elsewhere.
func (a *Admission) Wait(ctx context.Context) error {
	if a.closed.Err() != nil {
		return ErrClosed
	}
	begin := time.Now()
	before := a.waiting.Add(1) - 1
	by, limited := ctx.Deadline()
	if before >= a.most || limited && a.turn(before) > time.Until(by) {
		a.waiting.Add(-1)
		a.cfg.Reached(Waiting)
		return fmt.Errorf("%w: %d already do", ErrBusy, before)
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
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("waiting to be let in: %w", ctx.Err())
	}
	a.cfg.Reached(Waiting)
	return fmt.Errorf("%w: its turn did not come within %s", ErrBusy, time.Since(begin))
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
	tick := a.ticks.Reserve()
	delay := tick.Delay()
	if delay == 0 {
		return nil
	}
	blocked(Connects)
	begin := time.Now()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		now := time.Now()
		a.ticks.SetLimitAt(now, rate.Limit(a.pace.fire(now.Sub(begin)-delay, now)))
		return nil
	case <-ctx.Done():
		tick.Cancel()
		a.Release()
		return ctx.Err()
	}
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

// Rate is how many handshakes a second may pass now; 0: no limit.
func (a *Admission) Rate() float64 {
	if a.pace == nil {
		return 0
	}
	return a.pace.at(time.Now())
}

// turn is how long a line of so many lasts at the present rate.
func (a *Admission) turn(line int64) time.Duration {
	rate := a.Rate()
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(line) / rate * float64(time.Second))
}

// RetryAfter is when a handshake that was turned away should come again: when those who wait now have been
// let in, or have given up. It is spread over as much time again, because the others who are turned away
// now would all come back at the same moment.
func (a *Admission) RetryAfter() time.Duration {
	after := min(time.Second+a.turn(a.waiting.Load()), a.cfg.Patience)
	return after + rand.N(after)
}

// Close turns everybody away who waits or comes: the node is stopping.
func (a *Admission) Close() { a.close() }
