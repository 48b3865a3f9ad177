package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/server/account"
	"github.com/wedsync/wedsync/server/api"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/presence"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/urgent"
)

// Start opens the node's ports and begins to serve. If it succeeds, Close must follow.
func (s *Server) Start(ctx context.Context) error {
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	mux, err := s.prepare(ctx)
	if err != nil {
		s.cancel()
		s.limits.Admission.Close()
		s.keepers.Wait()
		return errors.Join(err, s.closeListeners(), s.closeLane(ctx))
	}
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second, // a client that never finishes its request is not kept
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), // mostly a handler that panicked
	}
	for _, l := range s.listeners {
		// Owner: the server; ends when Close shuts http down.
		s.tasks.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.mu.Lock()
				s.failed = fmt.Errorf("serving %s: %w", l.Addr(), err)
				s.mu.Unlock()
				s.cancel()
			}
		})
	}
	s.log.Info("serving", "region", s.cfg.Region, "address", s.Addr(), "log", s.backbone.LogURL(), "peers", len(s.cfg.Peers))
	return nil
}

// prepare starts everything that the handlers need.
func (s *Server) prepare(ctx context.Context) (*http.ServeMux, error) {
	for _, address := range append([]string{s.cfg.Listen}, s.cfg.Also...) {
		l, err := listen(ctx, address)
		if err != nil {
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	if err := s.startAuth(); err != nil {
		return nil, err
	}
	if err := s.startLane(); err != nil {
		return nil, err
	}
	s.runReceipts()
	if err := s.startPresence(); err != nil {
		return nil, err
	}
	if err := s.startScaling(); err != nil {
		return nil, err
	}
	if err := s.startChanges(s.ctx); err != nil {
		return nil, err
	}
	// Owner: the server; ends with s.ctx.
	s.keepers.Go(func() { s.sweep(s.ctx) })
	// Owner: the server; ends with s.ctx.
	s.keepers.Go(func() { s.tidy(s.ctx) })
	return s.routes()
}

// startAuth reads keys and policy; both follow what they were read from until s.ctx ends.
func (s *Server) startAuth() (err error) {
	s.verifier, err = auth.New(s.ctx, auth.Config{Secret: s.cfg.JWTSecret, JWKS: s.cfg.JWKS, Open: s.open(), Logger: s.log})
	if err != nil {
		return err
	}
	switch {
	case s.cfg.Policy != nil:
		s.policy = s.cfg.Policy
	case s.cfg.PolicyFile != "":
		s.policy, err = auth.Watch(s.ctx, s.cfg.PolicyFile, s.log, s.judgeAll)
	default:
		s.policy = auth.DefaultPolicy()
	}
	return err
}

// judgeAll holds every channel against a policy that has changed.
func (s *Server) judgeAll() {
	for _, c := range s.all() {
		c.mu.Lock()
		for _, ch := range slices.Clone(c.channels) {
			c.judgeAgain(ch, ch.claims)
		}
		c.mu.Unlock()
	}
}

// all returns the sessions of this moment.
func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.sessions))
}

func (s *Server) startLane() error {
	peers, file, err := s.firstPeers()
	if err != nil {
		return err
	}
	s.backbone, err = backbone.Start(s.ctx, backbone.Config{
		Node: s.cfg.Node, Region: s.cfg.Region, Listen: s.cfg.LogListen, Peers: peers, Dir: s.cfg.Dir,
		Secret: s.cfg.ClusterSecret, SyncAlways: !s.cfg.SyncInterval, MaxAge: s.cfg.LogMaxAge, MaxBytes: s.cfg.LogMaxBytes, Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return fmt.Errorf("starting the log: %w", err)
	}
	s.followPeers(file)
	if err := s.newReceipts(); err != nil {
		return err
	}
	s.lane, err = urgent.New(urgent.Config{
		Backbone: s.backbone, Deliver: s.deliver, OnReceipt: s.receipt,
		Deadline: s.cfg.HoldDeadline, AckEarly: s.cfg.Flaw.Kind == room.AckEarly,
	})
	if err != nil {
		return fmt.Errorf("starting the urgent lane: %w", err)
	}
	return nil
}

// topicPresence is where the nodes tell each other who is connected to them.
const topicPresence = "presence"

func (s *Server) startPresence() (err error) {
	s.presence, err = presence.New(presence.Config{
		Node: s.cfg.Node, Peers: peerNames(s.backbone.Peers()), Deliver: s.tellPresence,
		Gossip: func(node string, data []byte) { s.backbone.Gossip(topicPresence, node, data) },
		Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return fmt.Errorf("starting presence: %w", err)
	}
	s.backbone.OnGossip(topicPresence, s.presence.Receive)
	s.backbone.OnPeers(func(peers []backbone.Peer) {
		if err := s.presence.SetPeers(peerNames(peers)); err != nil {
			s.log.Error("presence does not know the new peers", "err", err)
		}
	})
	// Owner: the server; ends with s.ctx.
	s.keepers.Go(func() {
		if err := s.presence.Run(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Error("presence has stopped", "err", err)
		}
	})
	return nil
}

func (s *Server) routes() (*http.ServeMux, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /socket/websocket", s.handshake)
	mux.HandleFunc("GET /realtime/v1/websocket", s.handshake)
	mux.HandleFunc("GET /admin/receipts", s.adminReceipts)
	if s.cfg.Accounts {
		accounts, err := account.New(account.Config{Secret: s.cfg.JWTSecret, Logger: s.log})
		if err != nil {
			return nil, err
		}
		accounts.Register(mux)
	}
	return mux, api.Register(mux, api.Config{
		Publisher: s.lane, Verifier: s.verifier, Policy: s.policy, Place: s.cfg.Hierarchies.Place,
		Limits: s.limits, Disconnect: s.Disconnect,
		Health: api.Health{Status: "ok", Node: s.cfg.Node, Region: s.cfg.Region, Flaw: s.cfg.Flaw.String()},
		Ready:  s.Ready, Log: s.backbone.Log, Gatherer: s.registry, Metrics: s.metrics, Logger: s.log,
	})
}

// listen opens the port for clients.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use by another process: stop that one, or choose another with --listen (%w)", address, err)
	case err != nil:
		return nil, fmt.Errorf("listening on %s (set --listen): %w", address, err)
	}
	return l, nil
}
