package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// Wedding is a group of vendors on one channel. It lives from NewWedding until Leave, or until its context ends.
type Wedding struct {
	cfg          Config
	fleet        *Fleet
	books        *Books // nil: nothing is written
	run          string // makes the ids of this wedding's messages unlike those of any other run
	vendors      []*vendor
	byName       map[string]*vendor
	homes        int64                                       // of all vendors
	bulkPatience time.Duration                               // shorter in tests
	latencies    map[string]*[protocol.Lanes]*journal.Series // by region and lane; nil without books
	schedules    atomic.Int64

	ctx       context.Context // of everything that is under way; its end ends the wedding
	cancel    context.CancelFunc
	leaving   chan struct{}
	leaveOnce sync.Once
	ended     chan struct{}
	endOnce   sync.Once
	working   sync.WaitGroup // publishes, stalls, the sweep of bulk messages

	mu sync.Mutex // guards the following, and the vendors
	// messages holds the open ones, and the settled ones as long as a duplicate may still come.
	messages map[string]*Message
	order    []*Message    // the same, oldest first
	bulk     []*Message    // bulk messages whose line in the history is to be written, oldest first
	sweeping bool          // somebody looks after them
	open     int           // how many are not whole
	calm     chan struct{} // closed when none is open, once somebody waits for that; else nil
	entered  bool
	departed bool // no publish may start any more
}

// vendor is a Vendor at work.
type vendor struct {
	Vendor
	w      *Wedding
	index  int
	full   string // w001/planner-1: its name in the journal
	client *client.Client

	tap *tap // nil: it always reads

	arrived, leaving bool
	due              time.Time // when it was to arrive
	sent             [protocol.Lanes]int
	joined           map[int]string // the region of each joined session
	trouble          string         // where and why a session failed last

	stalledFrom, stalledTo time.Time // the last stall; To is zero as long as it lasts
}

// remember is how long a settled message is kept to recognise its duplicates; a resume replays 5 s.
const remember = 30 * time.Second

// NewWedding makes a wedding; nothing is connected yet. When ctx ends, everything that the wedding has open is closed.
func (f *Fleet) NewWedding(ctx context.Context, cfg Config) (*Wedding, error) {
	cfg.defaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &Wedding{cfg: cfg, fleet: f, run: token(), byName: map[string]*vendor{}, messages: map[string]*Message{},
		bulkPatience: bulkPatience, leaving: make(chan struct{}), ended: make(chan struct{})}
	var stall map[string]bool
	if cfg.Stalled != nil {
		stall = stallers(cfg.Vendors, cfg.Stalled.Share, cfg.Index, cfg.Seed)
	}
	for i, v := range cfg.Vendors {
		x := &vendor{Vendor: v, w: w, index: i, full: cfg.ID + "/" + v.Name, joined: map[int]string{}}
		if stall[v.Name] {
			x.tap = newTap()
		}
		var err error
		if x.client, err = client.New(w.clientConfig(x)); err != nil {
			return nil, fmt.Errorf("vendor %s: %w", v.Name, err)
		}
		w.vendors = append(w.vendors, x)
		w.byName[v.Name] = x
		w.homes += int64(v.Homes)
	}
	f.tally.homes.Add(w.homes)
	w.ctx, w.cancel = context.WithCancel(ctx)
	context.AfterFunc(w.ctx, w.end)
	return w, nil
}

func token() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x", b)
}

func (w *Wedding) clientConfig(v *vendor) client.Config {
	c := client.Config{
		Endpoints: endpoints(w.cfg.Regions, w.cfg.Index, v.index, w.cfg.Seed), Homes: v.Homes,
		Topic: w.cfg.Topic, Private: w.cfg.Private, Key: v.Name, Token: w.cfg.Token, Version: w.cfg.Version,
		Receipts: v.Type == Planner, Confirm: true, DialTimeout: w.cfg.Handshake, ReturnAfter: client.DefaultReturnAfter,
		NetDial: w.cfg.NetDial, TLS: w.cfg.TLS, Logger: w.cfg.Logger,
		OnMessage: v.onMessage, OnDuplicate: v.onDuplicate, OnState: v.onState, OnReceipt: v.onReceipt,
	}
	if w.cfg.Patience > 0 {
		c.DialTimeout, c.JoinTimeout = w.cfg.Patience, w.cfg.Patience
	}
	if w.cfg.Silence > 0 {
		c.SilenceLimit, c.HeartbeatInterval = w.cfg.Silence, w.cfg.Silence*3/5
	}
	if v.tap != nil {
		c.NetDial, c.SilenceLimit = v.tap.through(w.cfg.NetDial), max(c.SilenceLimit, w.cfg.Stalled.silence())
	}
	return c
}

// ID returns the wedding's name in the run.
func (w *Wedding) ID() string { return w.cfg.ID }

// Vendors returns who works at the wedding.
func (w *Wedding) Vendors() []Vendor { return w.cfg.Vendors }

// enter puts the wedding into the fleet and into the books.
func (w *Wedding) enter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.entered {
		return errors.New("the wedding has arrived already")
	}
	select {
	case <-w.leaving:
		return errors.New("the wedding has left: make a new one")
	default:
	}
	books, err := w.fleet.enter(w.cfg.ID)
	if err != nil {
		return err
	}
	w.entered, w.books = true, books
	if books == nil {
		return nil
	}
	w.latencies = map[string]*[protocol.Lanes]*journal.Series{}
	for _, r := range w.cfg.Regions {
		var s [protocol.Lanes]*journal.Series
		for lane := range protocol.Lane(protocol.Lanes) {
			if s[lane], err = books.Latency.Series(journal.Tag(lane.String(), r.Name)); err != nil {
				return err
			}
		}
		w.latencies[r.Name] = &s
	}
	for _, v := range w.vendors {
		books.History.Vendor(clock.Now(), w.cfg.ID, v.full, v.Type, v.Homes)
	}
	return nil
}

// Leave waits until every message has reached its recipients, for Drain at most, and ends the wedding. What has not
// arrived then is lost. It may be called more than once.
func (w *Wedding) Leave(ctx context.Context) error {
	w.leaveOnce.Do(func() { close(w.leaving) })
	wait := time.NewTimer(w.cfg.Drain)
	defer wait.Stop()
	select {
	case <-w.quiet():
	case <-wait.C:
	case <-w.ended:
	case <-ctx.Done():
	}
	w.end()
	return ctx.Err()
}

// Ended is closed when every socket is closed and nothing more will be observed.
func (w *Wedding) Ended() <-chan struct{} { return w.ended }

// quiet returns a channel that is closed when no message is open.
func (w *Wedding) quiet() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calm == nil {
		w.calm = make(chan struct{})
		if w.open == 0 {
			close(w.calm)
		}
	}
	return w.calm
}

// end closes everything, once, and returns when that is done, whoever does it.
func (w *Wedding) end() {
	w.endOnce.Do(func() {
		w.leaveOnce.Do(func() { close(w.leaving) })
		w.depart()
		w.fleet.tally.homes.Add(-w.homes)
		w.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), goodbye)
		defer cancel()
		var closing sync.WaitGroup
		for _, v := range w.vendors {
			closing.Go(func() { // owner: end, which waits; ends after goodbye at the latest; one per vendor
				if err := v.client.Close(ctx); err != nil {
					w.cfg.Logger.Debug("closing a vendor's sockets", "vendor", v.full, "error", err)
				}
			})
		}
		closing.Wait()
		w.working.Wait()
		w.settleAll()
		w.mu.Lock()
		entered := w.entered
		w.mu.Unlock()
		if entered {
			w.fleet.release()
		}
		close(w.ended)
	})
}

// depart notes that nobody needs to receive anything from now on.
func (w *Wedding) depart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.departed = true
	for _, v := range w.vendors {
		v.leaving = true
		if !v.arrived {
			continue
		}
		w.fleet.tally.vendors.Add(-1)
		if w.books != nil {
			w.books.History.Leaving(clock.Now(), v.full)
		}
	}
}
