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
package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
	links   []*link // own first, then the peers; urgent before normal
	own     map[protocol.Lane]*ownLog
	repairs []*repair
	cursors *cursors
	regions int

	receiver atomic.Pointer[Receiver]
	gossip   atomic.Pointer[func(data []byte)]
	stop     context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Once
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
	self := Peer{Node: cfg.Node, Region: cfg.Region, URL: srv.url()}
	regions := map[string]bool{}
	for _, p := range append([]Peer{self}, cfg.Peers...) {
		regions[p.Region] = true
		for _, lane := range lanes {
			b.links = append(b.links, newLink(p, lane, cfg.QueueLen, cfg.Logger, m))
		}
	}
	b.regions = len(regions)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	for _, l := range b.links[:len(lanes)] {
		if err := b.openOwn(ctx, life, l); err != nil {
			return nil, errors.Join(err, b.Close(ctx))
		}
	}
	for _, l := range b.links[len(lanes):] {
		b.openPeer(life, l)
	}
	b.goRun(func() { b.saveCursors(life) })
	return b, nil
}

// goRun starts a goroutine that Close waits for; f must end when the life context does.
func (b *Backbone) goRun(f func()) { b.running.Go(f) }

// openOwn connects to the own log in process, opens the stream of the lane and follows it.
func (b *Backbone) openOwn(ctx, life context.Context, l *link) error {
	key, err := laneKey(b.cfg.Secret, l.lane)
	if err != nil {
		return err
	}
	if err := l.connect(life, key, b.server.srv, b.cfg.Node); err != nil {
		return err
	}
	o := &ownLog{
		cfg: &b.cfg, lane: l.lane, link: l, known: newKnown(), cursors: b.cursors, receiver: b.attached,
		log: b.cfg.Logger, m: b.m, kicked: make(chan struct{}, 1),
	}
	if err := o.open(ctx); err != nil {
		return err
	}
	b.own[l.lane] = o
	conn := l.get()
	if err := errors.Join(
		l.subscribe(conn, eventPrefix(b.cfg.Node, l.lane)+">", b.onLive),
		l.subscribe(conn, castSubject, b.onCast),
		l.subscribe(conn, announceSubject, b.onAnnounce),
		l.subscribe(conn, gossipSubject, b.onGossip),
	); err != nil {
		return err
	}
	b.goRun(func() { l.run(life) })
	b.goRun(func() { o.run(life) })
	return nil
}

// openPeer makes the link to a peer and its repair; both live until Close, whatever the peer does.
func (b *Backbone) openPeer(life context.Context, l *link) {
	r := &repair{
		cfg: &b.cfg, peer: l, own: b.own[l.lane], cursors: b.cursors, reached: b.reached,
		log:    b.cfg.Logger.With("peer", l.peer.Node, "lane", l.lane.String()),
		kicked: make(chan struct{}, 1), started: time.Now(),
	}
	l.wake = r.kick
	b.repairs = append(b.repairs, r)
	b.goRun(func() {
		if b.connectPeer(life, l) {
			l.run(life)
		}
	})
	b.goRun(func() { r.run(life) })
}

// connectPeer reports whether the link is to be served. Only urgent events are taken from the logs
// of others: a normal event that the own log has missed can wait for repair.
func (b *Backbone) connectPeer(life context.Context, l *link) bool {
	key, err := laneKey(b.cfg.Secret, l.lane)
	if err == nil {
		err = l.connect(life, key, nil, b.cfg.Node)
	}
	if err == nil && l.lane == protocol.Urgent {
		err = l.subscribe(l.get(), eventPrefix(l.peer.Node, l.lane)+">", b.onLive)
	}
	if err != nil {
		b.cfg.Logger.Error("peer cannot be used; check its address", "peer", l.peer.Node, "url", l.peer.URL, "err", err)
	}
	return err == nil
}

// Close stops everything and waits for it. What was acknowledged is on disk; copies under way are
// given up.
func (b *Backbone) Close(ctx context.Context) error {
	var err error
	b.closing.Do(func() {
		b.receiver.Store(nil)
		b.stop()
		done := make(chan struct{})
		go func() { // ends when the waits do: each is bounded by the time-outs of its socket
			defer close(done)
			for _, l := range b.links {
				if conn := l.get(); conn != nil {
					conn.Close()
				}
			}
			b.running.Wait()
			for _, l := range b.links { // made while we were closing
				if conn := l.get(); conn != nil {
					conn.Close()
				}
			}
			b.server.close()
		}()
		select {
		case <-done:
		case <-ctx.Done():
			err = fmt.Errorf("closing the backbone: %w", ctx.Err())
		}
		err = errors.Join(err, b.cursors.save())
	})
	return err
}

// Write sends the event to every log. It never blocks. Each log's outcome is told to done once, from
// any goroutine, at the latest soon after until. As long as wanted says so, copies without an answer
// are sent again; after that they are left to repair. Neither function may block. Copies leave in
// the order of the calls.
func (b *Backbone) Write(ev *Event, until time.Time, done func(Ack), wanted func() bool) {
	data := AppendEvent(make([]byte, 0, encodedSize(ev)), ev)
	for _, l := range b.links {
		if l.lane == ev.Lane {
			l.put(&write{subject: eventSubject(l.peer.Node, ev), data: data, until: until, done: done, wanted: wanted})
		}
	}
}

// Cast sends the event to every other node, live only. It never blocks, and nobody acknowledges.
func (b *Backbone) Cast(ev *Event) {
	data := AppendEvent(make([]byte, 0, encodedSize(ev)), ev)
	b.toPeers(ev.Lane, castSubject, data)
}

// Announce sends a small message to every other node, on the urgent lane, live only. It never
// blocks.
func (b *Backbone) Announce(data []byte) { b.toPeers(protocol.Urgent, announceSubject, data) }

// Gossip sends a message to a node, or to every other one if node is empty, on the normal lane, live
// only. It never blocks. What one node sends another arrives in order; it may be lost.
func (b *Backbone) Gossip(node string, data []byte) {
	for _, l := range b.links[len(lanes):] {
		if l.lane == protocol.Normal && (node == "" || node == l.peer.Node) {
			l.cast(gossipSubject, data)
		}
	}
}

func (b *Backbone) toPeers(lane protocol.Lane, subject string, data []byte) {
	for _, l := range b.links[len(lanes):] {
		if l.lane == lane {
			l.cast(subject, data)
		}
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

// Regions is the number of regions that have a log, the own included.
func (b *Backbone) Regions() int { return b.regions }

// OtherRegion names a region other than the own, or the own if there is none.
func (b *Backbone) OtherRegion() string {
	for _, p := range b.cfg.Peers {
		if p.Region != b.cfg.Region {
			return p.Region
		}
	}
	return b.cfg.Region
}

// Clock is the node's hybrid logical clock.
func (b *Backbone) Clock() *Clock { return b.clock }

// Logger and Registerer are the ones of the configuration, for what stands on the backbone.
func (b *Backbone) Logger() *slog.Logger              { return b.cfg.Logger }
func (b *Backbone) Registerer() prometheus.Registerer { return b.cfg.Registerer }
