// Package fleet plays weddings: it connects their vendors, lets them publish, and knows of every message who must
// receive it and who has.
//
// A [Wedding] owns its vendors and their sockets (package client). Publishers and recipients live in one process, on
// one monotonic clock, so the account of a message is exact: expected = delivered + lost, and its latency is the time
// of receipt minus the time at which it should have been sent. A message that goes out late is charged for it.
//
// The [Fleet] is what the weddings of a process share: the journal, the phase of the drill, the running totals, the
// connection to the drill, and the watch over the generator's own delays. It runs while somebody holds it: each wedding
// does, from Arrive to its end.
//
// The package knows nothing of k6; xk6-wedsync puts it behind JavaScript, and Go tests use it as it is.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// Fleet is what all weddings of a process share. The zero value is not usable; see New.
type Fleet struct {
	cfg   FleetConfig
	tally tally
	phase atomic.Pointer[string]
	stop  chan struct{} // closed when the drill says stop

	mu sync.Mutex // guards the following
	// books are where observations go, nil without --out wedsync.
	books   *Books
	holders int
	shift   *shift // while there are holders
	stopped bool
	names   map[string]bool // weddings that are in the books
	photos  map[int][]byte  // by size
}

// shift is the time from the first holder to the last, and what runs meanwhile.
type shift struct {
	running sync.WaitGroup
	end     context.CancelFunc
	over    chan struct{} // closed when nothing runs any more
}

// FleetConfig configures a Fleet.
type FleetConfig struct {
	// Control is the path of the unix socket on which a drill listens; empty: there is no drill.
	Control string
	Logger  *slog.Logger // nil: nothing is logged
}

// Books are the raw files of a run.
type Books struct {
	History *journal.Writer
	Latency *journal.Latency
}

// DefaultPhase is the phase of a run that no drill divides.
const DefaultPhase = "steady"

// New makes a fleet. It starts nothing.
func New(cfg FleetConfig) *Fleet {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{cfg: cfg, stop: make(chan struct{}), names: map[string]bool{}}
	f.setPhase(DefaultPhase)
	return f
}

// Open lets observations be written to b from now on, and holds the fleet until Shut.
func (f *Fleet) Open(b *Books) error {
	f.mu.Lock()
	if f.books != nil {
		f.mu.Unlock()
		return errors.New("opening the journal: there is one already; give --out wedsync=DIR once")
	}
	f.books = b
	f.mu.Unlock()
	err := f.hold()
	if err != nil {
		f.mu.Lock()
		f.books = nil
		f.mu.Unlock()
	}
	return err
}

// Shut waits until every wedding has ended, or until ctx is done, and stops writing. The caller closes the books then.
func (f *Fleet) Shut(ctx context.Context) error {
	over := f.release()
	var err error
	select {
	case <-over:
	case <-ctx.Done():
		err = fmt.Errorf("waiting for the last wedding to end: %w", ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.books = nil
	clear(f.names)
	return err
}

// Phase returns the phase that the drill has announced last.
func (f *Fleet) Phase() string { return *f.phase.Load() }

func (f *Fleet) setPhase(p string) { f.phase.Store(&p) }

// Stopped is closed when the drill wants the schedules to end.
func (f *Fleet) Stopped() <-chan struct{} { return f.stop }

func (f *Fleet) sayStop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.stopped = true
		close(f.stop)
	}
}

// enter puts a wedding into the books, once, and holds the fleet for it. Its name must be new there: the history of two
// weddings under one name could not be told apart.
func (f *Fleet) enter(name string) (*Books, error) {
	f.mu.Lock()
	if f.books != nil {
		if f.names[name] {
			f.mu.Unlock()
			return nil, fmt.Errorf("wedding %q is in the journal already: give every wedding of a run an id of its own", name)
		}
		f.names[name] = true
	}
	books := f.books
	f.mu.Unlock()
	return books, f.hold()
}

// hold starts the watch and the control connection with the first holder.
func (f *Fleet) hold() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holders > 0 {
		f.holders++
		return nil
	}
	var control net.Conn
	if f.cfg.Control != "" {
		var err error
		if control, err = net.DialTimeout("unix", f.cfg.Control, 5*time.Second); err != nil {
			return fmt.Errorf("connecting to the drill (unset WEDSYNC_CONTROL to run without one): %w", err)
		}
	}
	f.holders = 1
	ctx, end := context.WithCancel(context.Background())
	f.shift = &shift{end: end, over: make(chan struct{})}
	// Both goroutines below are owned by the shift, end with the last holder, and have no queue.
	f.shift.running.Go(func() { f.watch(ctx) })
	if control != nil {
		f.shift.running.Go(func() { f.talk(ctx, control) })
	}
	return nil
}

// release undoes a hold; the last one stops what runs and waits for it. It returns a channel that is closed when that
// is done.
func (f *Fleet) release() <-chan struct{} {
	f.mu.Lock()
	f.holders--
	s, last := f.shift, f.holders == 0
	f.mu.Unlock()
	if last {
		s.end()
		s.running.Wait()
		close(s.over)
	}
	return s.over
}
