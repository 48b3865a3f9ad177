package backbone

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
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
	dialTimeout   = 500 * time.Millisecond // also for each step of the handshake
	reconnectWait = 100 * time.Millisecond
	peerPing      = 250 * time.Millisecond // three unanswered: the link is down, within a second
	stuckAfter    = time.Second            // a write into a socket that takes nothing is given up
	firstResend   = 400 * time.Millisecond // then 800 ms
	maxTries      = 3
	sweepEvery    = 100 * time.Millisecond
	rttEvery      = time.Second
)

// Ack is what became of one copy.
type Ack struct {
	Node, Region string
	Before       bool  // the log had it already
	Err          error // nil: this log holds the event
}

// Why a copy is not known to be held. Repair delivers it later in each case.
var (
	errQueueFull = errors.New("too many copies are under way to this log")
	errNoAnswer  = errors.New("this log did not answer in time")
	errLogFull   = errors.New("the log is full")
	errClosed    = errors.New("the backbone is closed")
)

// link is this node's road to one log for one lane: a connection of its own, a bounded queue and
// one goroutine that alone writes to it. Whatever blocks here (a stuck socket, a peer that never
// says hello) blocks that goroutine, never a publisher and never another link.
type link struct {
	peer Peer
	lane protocol.Lane
	log  *slog.Logger
	m    *linkMetrics

	writes    chan *write // bound: Config.QueueLen, the same as that of pending, so sending never blocks
	casts     chan cast   // bound: Config.QueueLen; full: the cast is dropped
	connected chan struct{}
	inbox     string        // acks come back on inbox.<token>
	up        atomic.Bool   // kept by the connection's handlers: asking the connection may block
	epoch     atomic.Uint64 // counts connects, so that repair notices each of them
	wake      func()        // told of each connect

	mu      sync.Mutex // guards the following
	conn    *nats.Conn // nil until the first attempt to connect is over
	last    uint64     // token given out last
	pending map[uint64]*write
	limit   int
}

// write is one copy on its way to a log. Its fields below done are guarded by link.mu.
type write struct {
	subject string
	data    []byte
	until   time.Time
	done    func(Ack) // called once, from any goroutine; must not block

	token uint64
	tries int
	next  time.Time // when to send again
}

type cast struct {
	subject string
	data    []byte
}

func newLink(peer Peer, lane protocol.Lane, queueLen int, log *slog.Logger, m *metrics) *link {
	return &link{
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
		nats.Timeout(dialTimeout), nats.FlusherTimeout(stuckAfter),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait/5, reconnectWait/5),
		nats.ReconnectBufSize(-1), // fail at once: a replayed stale buffer would be worse than a repair
		nats.IgnoreDiscoveredServers(), nats.SkipHostLookup(),
		nats.SetCustomDialer(dialer{ctx}),
		nats.ConnectHandler(func(*nats.Conn) { l.setUp(true, nil) }),
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
		opts = append(opts, nats.InProcessServer(local), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2))
	} else {
		opts = append(opts, nats.RetryOnFailedConnect(true), nats.PingInterval(peerPing), nats.MaxPingsOutstanding(3))
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
	l.poke()
	return nil
}

// subscribe hands the messages of a subject to a function, in a goroutine that the connection owns.
func (l *link) subscribe(conn *nats.Conn, subject string, each func(*nats.Msg)) error {
	sub, err := conn.Subscribe(subject, each)
	if err != nil {
		return fmt.Errorf("subscribing to %s at the log of %s: %w", subject, l.peer.Node, err)
	}
	// Bound: what a subscriber may lag behind before messages are dropped, seen as slow, and
	// delivered from the stored log instead.
	if err := sub.SetPendingLimits(1<<16, 64<<20); err != nil {
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

func (l *link) setUp(up bool, err error) {
	was := l.up.Swap(up)
	if up {
		l.m.up.Set(1)
		l.epoch.Add(1)
		l.poke()
		l.wake()
	} else {
		l.m.up.Set(0)
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

// put queues a copy. It never blocks; done tells what became of it.
func (l *link) put(w *write) {
	l.mu.Lock()
	full := len(l.pending) >= l.limit
	if !full {
		l.last++
		w.token = l.last
		l.pending[w.token] = w
		select {
		case l.writes <- w:
		default: // more were given up than the writer took out of the queue
			delete(l.pending, w.token)
			full = true
		}
	}
	l.mu.Unlock()
	if full {
		l.m.skipped.Inc()
		w.done(l.outcome(errQueueFull))
	}
}

// cast queues a message that nobody acknowledges. It never blocks.
func (l *link) cast(subject string, data []byte) {
	if !l.up.Load() {
		return
	}
	select {
	case l.casts <- cast{subject, data}:
	default:
		l.m.dropped.Inc()
	}
}

func (l *link) outcome(err error) Ack { return Ack{Node: l.peer.Node, Region: l.peer.Region, Err: err} }

// run is the link's writer; it returns when ctx ends, and gives up what is pending. Copies to be
// stored go before casts.
func (l *link) run(ctx context.Context) {
	defer l.giveUp(func(*write) bool { return true }, errClosed)
	sweep := time.NewTimer(sweepEvery)
	sweep.Stop() // runs only while something is pending: an idle link costs nothing
	sweeping := false
	var rtt <-chan time.Time
	if l.lane == protocol.Urgent {
		ticker := time.NewTicker(rttEvery)
		defer ticker.Stop()
		rtt = ticker.C
	}
	for {
		var w *write
		select {
		case w = <-l.writes:
		default:
			select {
			case <-ctx.Done():
				return
			case w = <-l.writes:
			case c := <-l.casts:
				if conn := l.get(); conn != nil {
					// An error means that the link is down; a cast is not kept for later.
					_ = conn.Publish(c.subject, c.data)
				}
			case <-l.connected:
				l.resend(time.Time{})
			case <-rtt:
				l.measure()
			case now := <-sweep.C:
				l.giveUp(func(w *write) bool { return now.After(w.until) }, errNoAnswer)
				sweeping = l.resend(now)
				if sweeping {
					sweep.Reset(sweepEvery)
				}
			}
		}
		if w != nil {
			l.send(w, time.Now(), true)
			if !sweeping {
				sweeping = true
				sweep.Reset(sweepEvery)
			}
		}
	}
}

// send writes a copy into the connection if it is up; a copy that could not be sent stays pending.
// A first send does nothing if a reconnect has sent the copy while it was still in the queue.
func (l *link) send(w *write, now time.Time, first bool) {
	l.mu.Lock()
	conn := l.conn
	_, waiting := l.pending[w.token]
	if conn == nil || !waiting || !l.up.Load() || w.tries >= maxTries || first && w.tries > 0 {
		l.mu.Unlock()
		return
	}
	w.tries++
	w.next = now.Add(firstResend << (w.tries - 1))
	again := w.tries > 1
	l.mu.Unlock()
	if again {
		l.m.resent.Inc()
	}
	reply := l.inbox + "." + strconv.FormatUint(w.token, 36)
	if err := conn.PublishRequest(w.subject, reply, w.data); errors.Is(err, nats.ErrMaxPayload) {
		l.finish(w.token, l.outcome(fmt.Errorf("the log of %s does not take %d bytes: %w", l.peer.Node, len(w.data), err)))
	}
}

// resend sends what is due; the zero time stands for a new connection, on which everything is due.
// It reports whether anything is pending.
func (l *link) resend(now time.Time) bool {
	var due []*write
	l.mu.Lock()
	for _, w := range l.pending {
		if now.IsZero() {
			w.tries = min(w.tries, maxTries-1)
			due = append(due, w)
		} else if w.tries < maxTries && now.After(w.next) {
			due = append(due, w)
		}
	}
	left := len(l.pending) > 0
	l.mu.Unlock()
	// Copies must reach the log in the order in which they were published.
	slices.SortFunc(due, func(a, b *write) int { return cmp.Compare(a.token, b.token) })
	for _, w := range due {
		l.send(w, time.Now(), false)
	}
	return left
}

func (l *link) giveUp(which func(*write) bool, err error) {
	var gone []*write
	l.mu.Lock()
	for token, w := range l.pending {
		if which(w) {
			delete(l.pending, token)
			gone = append(gone, w)
		}
	}
	l.mu.Unlock()
	for _, w := range gone {
		w.done(l.outcome(err))
	}
}

// finish ends a pending copy; a second answer for the same token finds nothing.
func (l *link) finish(token uint64, a Ack) {
	l.mu.Lock()
	w := l.pending[token]
	delete(l.pending, token)
	l.mu.Unlock()
	if w != nil {
		w.done(a)
	}
}

// onAck reads the log's answer to a copy.
func (l *link) onAck(msg *nats.Msg) {
	name := strings.TrimPrefix(msg.Subject, l.inbox+".")
	if name == rttToken {
		l.measured(msg.Data)
		return
	}
	token, err := strconv.ParseUint(name, 36, 64)
	if err != nil {
		l.log.Warn("answer of a log not understood", "subject", msg.Subject)
		return
	}
	switch verdict, err := readAck(msg.Data); verdict {
	case ackStored:
		l.finish(token, l.outcome(nil))
	case ackHadIt:
		a := l.outcome(nil)
		a.Before = true
		l.finish(token, a)
	case ackRefused:
		l.finish(token, l.outcome(fmt.Errorf("the log of %s refused: %w", l.peer.Node, err)))
	case ackNotOpen: // sent again when it is due
	}
}

// verdict of a log on one copy.
type verdict int

const (
	ackRefused verdict = iota
	ackStored
	ackHadIt   // refused because the id is there: as good as stored
	ackNotOpen // the node has started, its log has not
)

// readAck reads the answer of a log to a copy.
func readAck(data []byte) (verdict, error) {
	if len(data) == 0 {
		return ackNotOpen, nil // the server's way to say that nobody listens on the subject
	}
	var answer struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return ackRefused, fmt.Errorf("reading its answer: %w", err)
	}
	switch {
	case answer.Error == nil && answer.Seq > 0:
		return ackStored, nil
	case answer.Error == nil:
		return ackRefused, errors.New("its answer has no sequence number")
	case answer.Error.Description == refusalHeld:
		return ackHadIt, nil
	case answer.Error.Description == refusalFull:
		return ackRefused, errLogFull
	}
	return ackRefused, errors.New(answer.Error.Description)
}

// dialer gives up when the backbone closes, which the connection by itself would not.
type dialer struct{ ctx context.Context }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
}
