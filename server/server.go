// Package server is one node of the reference server: it speaks the Supabase Realtime protocol to
// its clients and shares what they publish with the nodes of the other regions.
//
//	client == wire ==> socket -> session -> urgent.Lane -> backbone ... other nodes
//	client <= wire ==  socket <- room.Hub <- urgent.Lane <- backbone ...
//
// The packages below this one do one thing each: socket reads and writes frames, room fans an event
// out, presence knows who is where, auth judges tokens, limit counts, api answers plain HTTP, changes
// follows a database, urgent and backbone hold and carry events. This package is what ties them
// together: the handshake, and the session, which is the protocol's state machine for the channels of
// one socket.
//
// Rules that hold everywhere here: a session's channels change on its reader's goroutine, under its
// lock; nothing that a client does may block its reader for long, because heartbeats come through
// it; nothing is sent for a topic before its join is answered.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/presence"
	"github.com/wedsync/wedsync/server/receipt"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/telemetry"
	"github.com/wedsync/wedsync/server/urgent"
)

// Server is one node.
type Server struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *telemetry.Metrics
	hub      *room.Hub
	limits   *limit.Node

	// Set by Start, constant afterwards.
	verifier  *auth.Verifier
	policy    auth.Policy
	listeners []net.Listener // the one of Config.Listen first
	http      *http.Server
	backbone  *backbone.Backbone
	lane      *urgent.Lane
	receipts  *receipt.Ledger
	presence  *presence.Tracker
	changes   atomic.Pointer[changes.Feed] // nil without a database, and until it is followed
	ctx       context.Context              // of everything that waits; cancelled when the time for an orderly end is over
	cancel    context.CancelFunc

	current  atomic.Bool   // has once known all that happened before it started, see behind
	stopping chan struct{} // closed by Close
	stopOnce sync.Once
	gone     chan struct{}  // holds a signal when the last socket has ended
	tasks    sync.WaitGroup // sessions, their publishes and replays, the HTTP server
	keepers  sync.WaitGroup // what the tasks need until their end: presence, the sweep

	mu       sync.Mutex // guards the following
	sessions map[*session]struct{}
	turned   int   // sessions that have begun or ended, ever
	failed   error // why the HTTP server ended by itself
}

// New returns a node that is not running yet, or says what is wrong with its configuration.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration:\n%w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Logger.With("node", cfg.Node), registry: prometheus.NewRegistry(),
		stopping: make(chan struct{}), gone: make(chan struct{}, 1), sessions: map[*session]struct{}{}}
	var err error
	if s.metrics, err = telemetry.New(s.registry, cfg.Node, cfg.Region); err != nil {
		return nil, err
	}
	if s.limits, err = limit.NewNode(cfg.Limits, s.registry); err != nil {
		return nil, err
	}
	s.cfg.Socket.Logger, s.cfg.Socket.Metrics = s.log, s.metrics
	if err := s.cfg.Socket.Validate(); err != nil {
		return nil, err
	}
	if s.cfg.ClusterSecret == "" { // development without peers: nobody else may connect
		s.cfg.ClusterSecret = rand.Text()
	}
	if err := s.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wedsync_draining",
		Help: "1 while the node sends its clients elsewhere because it is stopping."}, s.draining)); err != nil {
		return nil, fmt.Errorf("registering a metric of the drain: %w", err)
	}
	s.hub = room.NewHub(s.metrics, cfg.Flaw)
	s.warn()
	return s, nil
}

// open says whether any token is taken.
func (s *Server) open() bool { return s.cfg.Dev && s.cfg.JWTSecret == "" && s.cfg.JWKS == "" }

// warn says aloud what must never be true in production.
func (s *Server) warn() {
	if s.open() {
		s.log.Warn("DEVELOPMENT MODE WITHOUT A SECRET: every client is let in and trusted, with any token or none. " +
			"Set --jwt-secret before anybody else can reach this node.")
	}
	if s.cfg.Flaw.Kind != room.NoFlaw {
		s.log.Warn("THIS NODE BREAKS ITS PROMISES ON PURPOSE, to test the checker. Never use it for anything else.", "flaw", s.cfg.Flaw.String())
		s.metrics.Flaw.WithLabelValues(s.cfg.Flaw.String()).Set(1)
	}
}

// Addr is the address that clients connect to. Call it after Start.
func (s *Server) Addr() string { return s.listeners[0].Addr().String() }

// Ready says why the node should not get new clients, or nil.
func (s *Server) Ready() error {
	if s.isStopping() {
		return errors.New("the node is stopping")
	}
	if err := s.backbone.Ready(); err != nil {
		return err
	}
	if why := s.behind(); why != "" {
		return fmt.Errorf("the log is catching up: %s", why)
	}
	return nil
}

func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// Run serves until ctx ends, then ends everything in order.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-s.ctx.Done(): // serving failed
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownGrace)
	defer cancel()
	return s.Close(grace)
}

// Close ends a started node: no new clients, every socket told to come back elsewhere, publishes
// brought to their end, what the log holds handed over to other regions, then the log closed. When ctx
// ends, what still waits is cut off.
func (s *Server) Close(ctx context.Context) error {
	var err error
	s.stopOnce.Do(func() { err = s.close(ctx) })
	return err
}

func (s *Server) close(ctx context.Context) error {
	s.log.Info("stopping")
	close(s.stopping)
	s.limits.Admission.Close()
	s.mu.Lock()
	err := s.failed
	s.mu.Unlock()
	s.drain(ctx)

	cut := context.AfterFunc(ctx, s.cancel)
	defer cut()
	err = errors.Join(err, s.closeHTTP(ctx))
	s.tasks.Wait() // ends: sockets have their close grace, everything else ends with s.ctx
	if feed := s.changes.Load(); feed != nil {
		err = errors.Join(err, feed.Close(ctx))
	}
	s.handOver(ctx)
	s.cancel()
	s.keepers.Wait()
	return errors.Join(err, s.closeLane(ctx))
}

// handOver waits until other regions hold what this node's logs hold: it may be gone for good. The
// log keeps what they lack, for when it is back.
func (s *Server) handOver(ctx context.Context) {
	ctx, cancel := most(ctx)
	defer cancel()
	if err := s.backbone.Handover(ctx); err != nil {
		s.log.Warn("not everything that this node holds is held elsewhere: start it again with its data before others are lost", "err", err)
	}
}

// most returns a context with two thirds of the time that is left: the rest is for what comes after.
func most(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*2/3)
}

// closeHTTP brings requests to their end. It leaves time for the log: a connection on which nothing has been
// asked yet holds it up for seconds.
func (s *Server) closeHTTP(ctx context.Context) error {
	ctx, cancel := most(ctx)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("HTTP requests are cut off", "err", err)
		if err := s.http.Close(); err != nil {
			return fmt.Errorf("ending HTTP requests: %w", err)
		}
	}
	return nil
}

func (s *Server) closeListeners() error {
	var err error
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

func (s *Server) closeLane(ctx context.Context) error {
	var err error
	if s.lane != nil {
		err = s.lane.Close(ctx)
	}
	if s.backbone != nil {
		err = errors.Join(err, s.backbone.Close(ctx))
	}
	if err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	return nil
}

// deliver is called once for every event that reaches this node.
func (s *Server) deliver(ev *backbone.Event) {
	if ev.Room == changes.Room {
		if feed := s.changes.Load(); feed != nil {
			feed.Deliver(ev)
		}
		return
	}
	var sender *room.Member
	p, local := ev.Sender.(*publication)
	if local {
		sender = p.member
	}
	s.limits.EventsOf(ev.Lane).Add(s.hub.Deliver(ev, sender))
	if local {
		p.isLive()
	}
	s.record(ev)
}

// receipt is called for every receipt of any node.
func (s *Server) receipt(r urgent.Receipt) {
	s.receipts.Receipt(r.Room, r.ID, r.By, r.Region)
	s.hub.Receipt(r.Room, &protocol.Receipt{ID: r.ID, By: r.By, Region: r.Region})
}
