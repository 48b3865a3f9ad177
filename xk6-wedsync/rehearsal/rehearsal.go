// Package rehearsal is a stage without an audience: a stand-in for the servers, in one process, for smoke tests of
// scripts and for the tests of the load generator itself.
//
// It speaks enough of the protocol for package client (join, leave, heartbeat, broadcast with ok, resume, receipts) in
// any number of pretended regions. It has no network between the regions, no storage and no authentication, so its
// latencies say nothing about a real server. Its [Mischief] makes the faults that the generator must notice.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
)

// Server is the stand-in. Its regions share one memory.
type Server struct {
	regions []*region
	serving sync.WaitGroup

	mu    sync.Mutex // guards the following
	rooms map[string]*room
	clock uint64
	// mischief is what goes wrong on purpose.
	mischief Mischief
}

// Mischief are faults. Nil functions do nothing; they are called with the server locked and must not wait.
type Mischief struct {
	Drop   func(id, key string) bool // this recipient does not get this message
	Twice  func(id, key string) bool // it gets it twice on the same socket
	Refuse func(id string) bool      // the publish is answered with an error
	Mute   func(id string) bool      // the publish is not answered at all
}

type region struct {
	name     string
	listener net.Listener
	http     *http.Server
	server   *Server

	mu    sync.Mutex // guards the following
	conns map[*member]bool
	dead  bool
}

type room struct {
	members map[*member]bool
	log     []event
	seen    map[string]bool
}

type event struct {
	name    string
	meta    protocol.Meta
	payload []byte
}

// maxLog bounds what a room remembers for a resume.
const maxLog = 4096

// Start opens the regions on loopback ports of their own.
func Start(names ...string) (*Server, error) {
	s := &Server{rooms: map[string]*room{}}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("opening the rehearsal's region %s: %w", name, err)
		}
		r := &region{name: name, listener: l, server: s, conns: map[*member]bool{}}
		r.http = &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: 5 * time.Second}
		s.regions = append(s.regions, r)
	}
	for _, r := range s.regions { // none of them serves before all are there
		s.serving.Go(func() { _ = r.http.Serve(r.listener) }) // owner: s; ends at Close; returns only that it was closed
	}
	return s, nil
}

// URLs returns where each region is reached, by name.
func (s *Server) URLs() map[string]string {
	urls := map[string]string{}
	for _, r := range s.regions {
		urls[r.name] = "ws://" + r.listener.Addr().String() + "/socket"
	}
	return urls
}

// Make sets what goes wrong from now on.
func (s *Server) Make(m Mischief) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mischief = m
}

// Sockets returns how many are open.
func (s *Server) Sockets() int {
	n := 0
	for _, r := range s.regions {
		r.mu.Lock()
		n += len(r.conns)
		r.mu.Unlock()
	}
	return n
}

// Kill closes a region's port and cuts its sockets, without a word.
func (s *Server) Kill(name string) {
	for _, r := range s.regions {
		if r.name == name {
			r.kill()
		}
	}
}

func (r *region) kill() {
	_ = r.http.Close() // the listener; hijacked sockets are ours to cut
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
	for m := range r.conns {
		_ = m.conn.Close()
	}
}

// Close ends everything and returns when nothing runs any more.
func (s *Server) Close() {
	for _, r := range s.regions {
		r.kill()
	}
	s.serving.Wait()
}

// serve is one socket.
func (r *region) serve(w http.ResponseWriter, req *http.Request) {
	version, err := protocol.ParseVersion(req.URL.Query().Get("vsn"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, req, nil)
	if err != nil {
		return // the upgrader has answered
	}
	m := &member{region: r, conn: conn, version: version}
	r.mu.Lock()
	if r.dead {
		r.mu.Unlock()
		_ = conn.Close()
		return
	}
	r.conns[m] = true
	r.server.serving.Add(1) // http.Server.Close does not wait for a hijacked socket
	r.mu.Unlock()
	defer r.server.serving.Done()
	defer func() {
		_ = conn.Close()
		r.server.leave(m)
		r.mu.Lock()
		delete(r.conns, m)
		r.mu.Unlock()
	}()
	for {
		kind, b, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := m.handle(kind, b); err != nil {
			return
		}
	}
}

// WaitEmpty returns when no socket is open.
func (s *Server) WaitEmpty(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Sockets() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d sockets are still open", s.Sockets()), ctx.Err())
		}
	}
	return nil
}
