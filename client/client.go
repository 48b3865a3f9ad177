// Package client speaks the Supabase Realtime protocol for one channel, and survives the loss of
// the region that it speaks to.
//
// A client has one home or two. A home is a socket that is kept joined in some region: when the
// socket ends, for whatever reason, the home moves to another one at once. With two homes, always
// in different regions, every message arrives twice and is shown once, so that a region may go
// silent without a gap. With one home the gap lasts from the failure to the next join, and the new
// join resumes from the newest message that the client has seen, so that nothing is lost either. A
// server that is being drained says so beforehand: then the home moves without a gap, and leaves the old
// session when the new one has caught up.
//
//	Config.Endpoints   eu-west-1, eu-west-2, us-east-1, ap-southeast-1      (most preferred first)
//	home 1             ── session 1 (eu-west) ──✗ session 3 (ap-southeast) ────┬─ session 4 (eu-west) ──
//	home 2             ── session 2 (us-east) ───────────────────────────────────────────────────────
//	                                            ↑ fail-over: resume by HLC     ↑ return: joined before session 3 is left
//
// Silence is noticed by heartbeats: a session on which no frame has come for HeartbeatInterval
// sends one, and ends if nothing has come within SilenceLimit. A session is one goroutine (it
// dials, joins and reads), one timer and a read buffer of 1 KiB.
//
// Messages are told apart by the id in their metadata. A server that gives none (a stock one) is
// served as well, but then a client with two homes cannot see that it was told twice.
package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// Client is one supplier's connection to one channel.
type Client struct {
	cfg    Config
	topic  string // on the wire
	dialer websocket.Dialer
	epoch  time.Time // monotonic zero of the sessions' signs of life

	ctx     context.Context // ends with Close; every goroutine of the client ends with it
	cancel  context.CancelFunc
	running sync.WaitGroup // every goroutine of the client

	everJoined atomic.Bool   // from the first accepted join on
	progress   chan struct{} // holds one token when a home has joined or was refused

	showMu sync.Mutex // held while a message is shown; taken before mu

	// mu guards the following. No callback runs and nothing is written to a socket under it.
	mu        sync.Mutex
	connected bool
	closed    bool
	refusal   error // what a server definitely refused before the client ever joined
	homes     []*home
	standings []standing // per endpoint
	sessions  map[*session]struct{}
	lastNo    int // number of the last session
	memory    memory
	told      memory // of receipts
	position  position
	pending   map[string]*publication
}

// position is where in the room's history the client stands: what a join resumes from.
type position struct {
	hlc   uint64
	id    string
	known bool // a join was accepted; hlc is at least the time at which it was sent
}

// New returns a client that does nothing until Connect.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring a client: %w", err)
	}
	c := &Client{
		cfg:       cfg,
		topic:     protocol.WireTopic(cfg.Topic),
		epoch:     time.Now(),
		progress:  make(chan struct{}, 1),
		standings: make([]standing, len(cfg.Endpoints)),
		sessions:  make(map[*session]struct{}, cfg.Homes),
	}
	c.dialer = newDialer(&c.cfg)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for slot := range cfg.Homes {
		c.homes = append(c.homes, &home{client: c, slot: slot, at: nowhere, moving: nowhere})
	}
	return c, nil
}

// Connect opens every home and returns when all of them have joined. It fails when ctx ends, and at
// once when a server definitely refuses the first join (ErrRefused: the token, the topic); either
// way the caller must still Close. Once connected, the client stays so until Close: fail-over and
// retries go on in the background and are shown by OnState.
func (c *Client) Connect(ctx context.Context) error {
	c.mu.Lock()
	if c.connected || c.closed {
		c.mu.Unlock()
		return errors.New("connecting: the client was connected before; make a new one")
	}
	c.connected = true
	for _, h := range c.homes {
		h.searching = true
		at, _ := h.reserve()
		c.spawnLocked(func() { h.search(at, 0) })
	}
	c.mu.Unlock()

	for {
		joined, refusal := c.joinedHomes()
		if joined == len(c.homes) {
			return nil
		}
		if refusal != nil {
			return fmt.Errorf("connecting to %s: %w", c.topic, refusal)
		}
		select {
		case <-c.progress:
		case <-ctx.Done():
			return fmt.Errorf("connecting to %s: %d of %d homes joined: %w", c.topic, joined, len(c.homes), ctx.Err())
		case <-c.ctx.Done():
			return fmt.Errorf("connecting to %s: %w", c.topic, ErrClosed)
		}
	}
}

func (c *Client) joinedHomes() (joined int, refusal error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.homes {
		if h.joined != nil {
			joined++
		}
	}
	return joined, c.refusal
}

// noteProgress lets Connect look again.
func (c *Client) noteProgress() {
	select {
	case c.progress <- struct{}{}:
	default:
	}
}

// Close leaves the channel on every home, closes the sockets and returns when nothing of the client
// runs any more. A server has LeaveTimeout to answer; the end of ctx cuts that short. Publishes
// under way return.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	var leaving []*session
	for s := range c.sessions {
		leaving = append(leaving, s)
	}
	for _, h := range c.homes {
		h.stopReturning()
	}
	c.mu.Unlock()
	c.cancel() // ends dials and waits

	// The context's end cuts what still waits for a server.
	stop := context.AfterFunc(ctx, func() {
		for _, s := range leaving {
			s.fail("closed")
		}
	})
	defer stop()
	if first {
		var all sync.WaitGroup
		for _, s := range leaving {
			all.Go(func() { s.leave("closed") }) // ends within the write deadline; waited for here
		}
		all.Wait()
	}
	c.running.Wait()
	return nil
}

// spawn runs f in a goroutine that Close waits for. f must end soon after c.ctx does.
func (c *Client) spawn(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spawnLocked(f)
}

func (c *Client) spawnLocked(f func()) {
	if !c.closed {
		c.running.Go(f)
	}
}
