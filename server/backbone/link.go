package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/wedsync/wedsync/protocol"
)

// Times of a link. The first resend is later than the slowest round trip that still can meet the
// 200 ms promise, and they are spaced out: a fixed short time-out on a slow link turns into a storm.
const (
	dialTimeout   = time.Second      // also for each step of the handshake, which take a few round trips
	localTimeout  = 10 * time.Second // in process nothing but a lack of CPU can delay a handshake
	reconnectWait = 100 * time.Millisecond
	peerPing      = 250 * time.Millisecond
	firstResend   = 400 * time.Millisecond // then 800 ms
	maxTries      = 3
	resendMax     = 128 // copies that nobody waits for, sent again on a new connection
	sweepEvery    = 100 * time.Millisecond
	rttEvery      = time.Second
)

// pace is what differs between the links of the lanes.
type pace struct {
	pings      int           // unanswered ones after which the link is down: an answer waits behind what the lane carries
	stuckAfter time.Duration // a write that the socket does not take in this time is given up
	casts      int64         // bytes of casts that wait for the wire; beyond them the newest is dropped
	lag        int           // bytes that have come and a subscriber here has not taken; beyond them likewise
	socket     int           // bytes that the kernel takes ahead of the wire; 0: as many as it likes
}

// The largest message takes a second on a wire of 4 MiB/s, which must not look like a broken link where
// such messages are the rule. And what bulk puts on a wire that it shares with urgent events is little:
// half a MiB is 40 ms of 100 Mbit/s, and 3.6 MB/s to a region that is 140 ms away.
var paces = [protocol.Lanes]pace{
	protocol.Urgent: {pings: 3, stuckAfter: time.Second, casts: 64 << 20, lag: 64 << 20},
	protocol.Normal: {pings: 8, stuckAfter: time.Second, casts: 64 << 20, lag: 64 << 20},
	protocol.Bulk:   {pings: 40, stuckAfter: 10 * time.Second, casts: 4 << 20, lag: 16 << 20, socket: 512 << 10},
}

// link is this node's road to one log for one lane: a connection of its own, a bounded queue and
// one goroutine that alone writes to it. Whatever blocks here (a stuck socket, a peer that never
// says hello) blocks that goroutine, never a publisher and never another link.
type link struct {
	peer Peer
	lane protocol.Lane
	log  *slog.Logger
	m    *linkMetrics

	writes    chan *write  // bound: Config.QueueLen, the same as that of pending, so sending never blocks
	casts     chan cast    // bound: Config.QueueLen; full: the cast is dropped
	waiting   atomic.Int64 // bytes of casts that the wire has not taken; bound: pace.casts and one message
	connected chan struct{}
	inbox     string        // acks come back on inbox.<token>
	up        atomic.Bool   // kept by the connection's handlers: asking the connection may block
	epoch     atomic.Uint64 // counts connects, so that repair notices each of them
	turned    atomic.Int64  // when up changed last, nanoseconds after base
	wake      func()        // told of each connect

	mu      sync.Mutex         // guards the following
	conn    *nats.Conn         // nil until the first attempt to connect is over
	session context.CancelFunc // ended when the connection breaks; see during
	last    uint64             // token given out last
	pending map[uint64]*write
	bytes   int // of pending
	limit   int
	ended   error // why nothing is sent any more; nil: it is
}

func newLink(peer Peer, lane protocol.Lane, queueLen int, log *slog.Logger, m *metrics) *link {
	l := &link{
		peer: peer, lane: lane, limit: queueLen,
		log:       log.With("peer", peer.Node, "lane", lane.String()),
		m:         m.link(peer.Node, lane),
		writes:    make(chan *write, queueLen),
		casts:     make(chan cast, queueLen),
		connected: make(chan struct{}, 1),
		inbox:     nats.NewInbox(),
		pending:   make(map[uint64]*write),
		wake:      func() {},
	}
	l.turned.Store(int64(time.Since(base)))
	return l
}

// connect opens the connection; to a peer it goes on trying in the background if that fails now.
// It may take two dialTimeouts. Subscriptions made on the connection survive reconnects.
func (l *link) connect(ctx context.Context, key nkeys.KeyPair, local nats.InProcessConnProvider, name string) error {
	public, err := key.PublicKey()
	if err != nil {
		return fmt.Errorf("connecting to the log of %s: %w", l.peer.Node, err)
	}
	opts := []nats.Option{
		nats.Name(name), nats.Nkey(public, key.Sign),
		nats.Timeout(dialTimeout), nats.FlusherTimeout(paces[l.lane].stuckAfter),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait/5, reconnectWait/5),
		nats.ReconnectBufSize(-1), // fail at once: a replayed stale buffer would be worse than a repair
		nats.IgnoreDiscoveredServers(), nats.SkipHostLookup(),
		nats.IgnoreAuthErrorAbort(), // another cluster's log at this address today, or an older one without this lane
		nats.SetCustomDialer(dialer{ctx, paces[l.lane].socket}),
		nats.ReconnectHandler(func(*nats.Conn) { l.setUp(true, nil) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.setUp(false, err) }),
		nats.ClosedHandler(func(*nats.Conn) { l.setUp(false, nil) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
				l.m.slow.Inc()
			}
			l.log.Warn("log connection", "err", err)
		}),
	}
	if local != nil {
		opts = append(opts, nats.InProcessServer(local), nats.Timeout(localTimeout), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2))
	} else {
		opts = append(opts, nats.ConnectHandler(func(*nats.Conn) { l.setUp(true, nil) }), nats.RetryOnFailedConnect(true),
			nats.PingInterval(peerPing), nats.MaxPingsOutstanding(paces[l.lane].pings))
	}
	conn, err := nats.Connect(l.peer.URL, opts...)
	if err != nil {
		return fmt.Errorf("connecting to the log of %s at %s: %w", l.peer.Node, l.peer.URL, err)
	}
	if err := l.subscribe(conn, l.inbox+".*", l.onAck); err != nil {
		conn.Close()
		return err
	}
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	if local != nil {
		l.setUp(true, nil) // now, not when the handlers get to it
	}
	l.poke()
	return nil
}

// subscribe hands the messages of a subject to a function, in a goroutine that the connection owns.
func (l *link) subscribe(conn *nats.Conn, subject string, each func(*nats.Msg)) error {
	sub, err := conn.Subscribe(subject, each)
	if err != nil {
		return fmt.Errorf("subscribing to %s at the log of %s: %w", subject, l.peer.Node, err)
	}
	// Bound: what a subscriber may lag behind before messages are dropped and seen as slow. Those of a
	// log are delivered from there instead.
	if err := sub.SetPendingLimits(1<<16, paces[l.lane].lag); err != nil {
		return fmt.Errorf("subscribing to %s at the log of %s: %w", subject, l.peer.Node, err)
	}
	return nil
}

// get returns the connection, or nil while there was none yet.
func (l *link) get() *nats.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// during returns a context that ends when the present connection breaks: an answer that was under
// way then will never come.
func (l *link) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.session = cancel
	l.mu.Unlock()
	if !l.up.Load() {
		cancel()
	}
	return ctx, cancel
}

func (l *link) setUp(up bool, err error) {
	was := l.up.Swap(up)
	if was != up {
		l.turned.Store(int64(time.Since(base)))
	}
	if up {
		l.m.up.Set(1)
		l.epoch.Add(1)
		l.poke()
		l.wake()
	} else {
		l.m.up.Set(0)
		l.mu.Lock()
		end := l.session
		l.mu.Unlock()
		if end != nil {
			end()
		}
	}
	switch {
	case up && !was:
		l.log.Info("log reached")
	case was && !up:
		l.log.Warn("log lost; publishing goes on with the others", "err", err)
	}
}

// poke makes the writer send what is waiting for a connection.
func (l *link) poke() {
	select {
	case l.connected <- struct{}{}:
	default:
	}
}

// reachable says whether the link is up, or has been less than a while ago.
func (l *link) reachable(lately time.Duration) bool {
	return l.up.Load() || time.Since(base)-time.Duration(l.turned.Load()) < lately
}

// close ends the connection, if there is one.
func (l *link) close() {
	if conn := l.get(); conn != nil {
		conn.Close()
	}
}

// dialer makes connections that end with a context, even in the middle of a write that nothing takes.
type dialer struct {
	ctx  context.Context
	sent int // bytes that the kernel keeps; 0: its choice
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok && d.sent > 0 {
		if err := tcp.SetWriteBuffer(d.sent); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return &bounded{conn, context.AfterFunc(d.ctx, func() { _ = conn.Close() })}, nil // closed twice at worst
}

// bounded is a connection that is closed with its context.
type bounded struct {
	net.Conn
	forget func() bool
}

func (c *bounded) Close() error {
	c.forget()
	return c.Conn.Close()
}
