// Package backbone carries events between the nodes of all regions and keeps them.
//
// Every node embeds a log server that stands alone: there is no cluster of logs, so there is no
// leader, no election and no moment in which one is missing. Instead each publisher holds one
// connection per lane to every log, its own included, and sends each event to all of them at once:
//
//	             ┌─ own link ──> own log      (stored; live to subscribers here)
//	Write(event) ┼─ link ─────> log of eu-2   (stored; live there)     every link: own connection, own
//	             └─ link ─────> log of us-1   (stored; live there)     queue, own goroutine, own ack
//
// The copy that a log stores is also its live copy: one message does both. Urgent events are
// subscribed to at every log and the first copy wins, so a cut between two regions is bridged by a
// third. Whoever publishes counts the acks; package urgent calls an event held when logs of two
// regions have it.
//
// A log holds one event per subject and the subject contains the id, so a second copy is refused by
// the log itself, for as long as the log reaches back. That makes every retry and every repair
// harmless, and the answer "there already" means: held.
//
// What a log has missed, because its node was dead, cut off or slow, repair brings: each node reads
// the logs of all others from a cursor on disk, and copies into its own what is not there. An event
// that was held anywhere is held everywhere in the end.
//
// Order is by hybrid logical clock (see HLC), not by the sequence numbers of the logs, which
// differ.
//
// # Peers come and go
//
// Who the peers are is one immutable value, the roster: publishing loads a pointer. SetPeers makes
// another one, starts the links of those who are new and ends those of who is gone; nobody else's
// link is touched. A node that goes for good asks for Handover first: it returns when others hold all
// that this node's logs hold.
//
// # Lanes
//
// Urgent and normal have a log each. Bulk has none: it is live only, and what a link cannot send at
// once is bounded by bytes and dropped there, the newest first, and counted. Each lane is an account
// of its own at every log server, with connections of its own, so that their queues have nothing in
// common: on a wire on which bulk waits for a second urgent events pass it (TestBulkFloodWaitsAlone).
//
// What the lanes still share at one log server (nats-server 2.15), and why that is bearable:
//
//   - Reading: every connection has its own reader, which hands a message to the subscribers of its
//     account or to the queue of a stream, and never writes to a socket. A stream has its own writer
//     to the disk. So a lane waits neither for another's socket nor behind its messages.
//   - Slow subscribers: a queue to a connection (MaxPending) that is three quarters full loses
//     messages (NoFastProducerStall), its sender is never stalled; a socket that takes nothing for
//     WriteDeadline is closed. Both count for that connection alone. The only subscriber of casts is the
//     node itself, in process; a live urgent copy that is lost so comes from the log.
//   - The disk: the two logs share it, so a flood of stored normal events makes the disk writes of
//     urgent ones slower. Bulk writes nothing.
//   - Requests about a log (its state, trimming) wait in one queue for all lanes. Nothing that an
//     event waits for is among them; batches of a log are read outside of it, by the reader of the
//     connection that asked.
//   - The processors, the memory and the wire. Bulk messages of 64 KiB at full speed between two nodes
//     take all of two cores; the median of urgent holds is then 2 ms, on a quiet machine 0.2, and 8 to
//     17 behind the same flood on their own connection.
package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
)

// saveEvery is how often the repair cursors are written. What a kill loses is read again.
const saveEvery = time.Second

// Backbone is one node's part of it.
type Backbone struct {
	cfg     Config
	clock   *Clock
	m       *metrics
	server  *logServer
	self    [protocol.Lanes]*link // to the own log server
	own     map[protocol.Lane]*ownLog
	cursors *cursors
	roster  atomic.Pointer[roster]

	receiver atomic.Pointer[Receiver]
	life     context.Context // of everything that runs; ends with Close
	stop     context.CancelCauseFunc
	running  sync.WaitGroup // what belongs to no neighbour

	setting sync.Mutex // guards the following; held while the peers change
	closed  bool
	told    []func([]Peer)
}

// Start returns when the own log serves; peers are connected to in the background. The context
// bounds the start only.
func Start(ctx context.Context, cfg Config) (*Backbone, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("backbone configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	srv, err := startLogServer(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	b := &Backbone{cfg: cfg, clock: NewClock(time.Now), m: m, server: srv, own: map[protocol.Lane]*ownLog{}}
	if err := watchInterests(cfg.Registerer, srv); err != nil {
		srv.close()
		return nil, err
	}
	if b.cursors, err = openCursors(cfg.Dir); err != nil {
		srv.close()
		return nil, err
	}
	b.life, b.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	self := Peer{Node: cfg.Node, Region: cfg.Region, URL: srv.url()}
	for _, lane := range lanes {
		b.self[lane] = newLink(self, lane, cfg.QueueLen, cfg.Logger, m)
	}
	b.roster.Store(b.newRoster(nil))
	for _, lane := range lanes {
		if err := b.openOwn(ctx, b.self[lane]); err != nil {
			return nil, errors.Join(err, b.Close(ctx))
		}
	}
	if err := b.setPeers(cfg.Peers, time.Now()); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	b.goRun(func() { b.saveCursors(b.life) })
	return b, nil
}

// goRun starts a goroutine that Close waits for; f must end when the life context does.
func (b *Backbone) goRun(f func()) { b.running.Go(f) }

// openOwn connects to the own log server in process. If the lane has a log it opens it and follows it.
func (b *Backbone) openOwn(ctx context.Context, l *link) error {
	key, err := laneKey(b.cfg.Secret, l.lane)
	if err != nil {
		return err
	}
	if err := l.connect(b.life, key, b.server.srv, b.cfg.Node); err != nil {
		return err
	}
	conn := l.get()
	if slices.Contains(logged, l.lane) {
		if err := b.openLog(ctx, l, conn); err != nil {
			return err
		}
	}
	if err := errors.Join(
		l.subscribe(conn, castSubject, b.onCast),
		l.subscribe(conn, announceSubject, b.onAnnounce),
	); err != nil {
		return err
	}
	b.goRun(func() { l.run(b.life) })
	return nil
}

func (b *Backbone) openLog(ctx context.Context, l *link, conn *nats.Conn) error {
	o := &ownLog{
		cfg: &b.cfg, lane: l.lane, link: l, known: newKnown(), cursors: b.cursors, receiver: b.attached,
		log: b.cfg.Logger, m: b.m, kicked: make(chan struct{}, 1),
	}
	if err := o.open(ctx); err != nil {
		return err
	}
	b.own[l.lane] = o
	b.goRun(func() { o.run(b.life) })
	return errors.Join(
		l.subscribe(conn, eventPrefix(b.cfg.Node, l.lane)+">", b.onLive),
		l.subscribe(conn, positionSubject, func(msg *nats.Msg) { b.onPosition(l.lane, msg) }),
	)
}

// Close stops everything and waits for it. What was acknowledged is on disk; copies under way are
// given up.
func (b *Backbone) Close(ctx context.Context) error {
	b.setting.Lock()
	again := b.closed
	b.closed = true
	b.setting.Unlock()
	if again {
		return nil
	}
	b.receiver.Store(nil)
	b.stop(errClosed)
	done := make(chan struct{})
	go func() { // ends when the waits do: each is bounded by the time-outs of its socket
		defer close(done)
		b.part(slices.Collect(maps.Values(b.roster.Load().neighbours)), errClosed)
		for _, l := range b.self {
			l.close()
		}
		b.running.Wait()
		b.server.close()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("closing the backbone: %w", ctx.Err())
	}
	return errors.Join(err, b.cursors.save())
}

// Write sends the event to every log. It never blocks. Each log's outcome is told to done once, from
// any goroutine, at the latest soon after until. As long as wanted says so, copies without an answer
// are sent again; after that they are left to repair. Neither function may block. Copies leave in
// the order of the calls. The event is of a lane that has a log: urgent or normal.
func (b *Backbone) Write(ev *Event, until time.Time, done func(Ack), wanted func() bool) {
	data := AppendEvent(make([]byte, 0, encodedSize(ev)), ev)
	for _, l := range b.roster.Load().links[ev.Lane] {
		l.put(&write{subject: eventSubject(l.peer.Node, ev), data: data, until: until, done: done, wanted: wanted})
	}
}

// Cast sends the event to every other node, live only, on the connections of its lane. It never
// blocks, and nobody acknowledges. What a link cannot take is dropped there and counted: of bulk, as
// soon as 4 MiB wait for the wire.
func (b *Backbone) Cast(ev *Event) {
	var data []byte // a flood that is dropped is not encoded first
	for _, l := range b.roster.Load().toPeers(ev.Lane) {
		if !l.takes() {
			continue
		}
		if data == nil {
			data = AppendEvent(make([]byte, 0, encodedSize(ev)), ev)
		}
		l.cast(castSubject, data)
	}
}

// Announce sends a small message to every other node, on the urgent lane, live only. It never
// blocks.
func (b *Backbone) Announce(data []byte) { b.toPeers(protocol.Urgent, announceSubject, data) }

func (b *Backbone) toPeers(lane protocol.Lane, subject string, data []byte) {
	for _, l := range b.roster.Load().toPeers(lane) {
		l.cast(subject, data)
	}
}

func (b *Backbone) saveCursors(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := b.cursors.save(); err != nil {
				b.cfg.Logger.Error("repair will start from an older place after a restart", "err", err)
			}
		}
	}
}

// Node, Region and LogURL identify this node; LogURL is where others reach its log.
func (b *Backbone) Node() string   { return b.cfg.Node }
func (b *Backbone) Region() string { return b.cfg.Region }
func (b *Backbone) LogURL() string { return b.server.url() }

// Clock is the node's hybrid logical clock.
func (b *Backbone) Clock() *Clock { return b.clock }

// Logger and Registerer are the ones of the configuration, for what stands on the backbone.
func (b *Backbone) Logger() *slog.Logger              { return b.cfg.Logger }
func (b *Backbone) Registerer() prometheus.Registerer { return b.cfg.Registerer }
