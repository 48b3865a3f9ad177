package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/socket"
)

// handshakeTimeout bounds the writing of the answer.
const handshakeTimeout = 10 * time.Second

// upgrader keeps nothing for a connection that is not being used: reading needs a small buffer, and
// writing does not go through gorilla (the pool keeps it from allocating for it).
var upgrader = websocket.Upgrader{
	HandshakeTimeout: handshakeTimeout,
	ReadBufferSize:   socket.ReadBuffer,
	WriteBufferPool:  &sync.Pool{},
	CheckOrigin:      func(*http.Request) bool { return true }, // the token decides, as in the original
}

// handshake turns a request into a session. Query parameters: vsn, apikey (the header x-api-key
// wins); others are ignored.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	version, err := protocol.ParseVersion(query.Get("vsn"))
	if err != nil {
		s.metrics.ConnectionsRefused.WithLabelValues("vsn").Inc()
		s.log.Info("handshake refused", "remote", r.RemoteAddr, "err", err)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	token := r.Header.Get("X-Api-Key")
	if token == "" {
		token = query.Get("apikey")
	}
	claims, err := s.verifier.Verify(auth.Clean(token))
	if err != nil {
		s.metrics.ConnectionsRefused.WithLabelValues("token").Inc()
		s.log.Info("handshake refused", "remote", r.RemoteAddr, "err", err)
		s.refuse(w, r, err)
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil { // Upgrade has answered
		s.log.Info("handshake failed", "remote", r.RemoteAddr, "err", err)
		return
	}
	s.admit(ws, version, claims)
}

// refuse answers a bad token after a delay, which slows guessing and storms of broken clients.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	text := err.Error()
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		text = refusal.AtConnect()
	}
	delay := time.NewTimer(s.cfg.ErrorBackoff)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-r.Context().Done():
	case <-s.stopping:
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // the client may have gone
}

// admit starts the session of a connection. It has a goroutine of its own, so that the one of the
// HTTP server ends, and with it everything that it keeps for a request.
func (s *Server) admit(ws *websocket.Conn, version protocol.Version, claims *auth.Claims) {
	c := newSession(s, ws, version, claims)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isStopping() {
		_ = ws.Close() // it has not heard from us yet
		return
	}
	s.sessions[c] = struct{}{}
	s.metrics.ConnectionsAccepted.Inc()
	s.metrics.Connections.Inc()
	// Owner: the server; ends when the connection does, which Close makes sure of.
	s.tasks.Go(c.run)
}

// dismiss forgets a session that has ended.
func (s *Server) dismiss(c *session, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	s.metrics.Connections.Dec()
	s.metrics.ConnectionsClosed.WithLabelValues(why).Inc()
}
