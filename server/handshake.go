package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/socket"
)

const (
	// handshakeTimeout bounds the writing of the answer.
	handshakeTimeout = 10 * time.Second
	// maxHeader bounds the value of an x- header, which is kept as long as its socket, in bytes.
	maxHeader = 4096
	// maxPatience bounds what a client may ask for; the door has less patience anyway.
	maxPatience = time.Minute
)

// The texts of the limits, which a refused join carries too, behind its code.
const (
	textTooManyUsers = "Too many connected users"
	textTooManyJoins = "Too many joins per second"
)

// upgrader keeps nothing for a connection that is not being used: reading needs a small buffer, and
// writing does not go through gorilla (the pool keeps it from allocating for it). It negotiates
// neither a subprotocol nor compression.
var upgrader = websocket.Upgrader{
	HandshakeTimeout: handshakeTimeout,
	ReadBufferSize:   socket.ReadBuffer,
	WriteBufferPool:  &sync.Pool{},
	CheckOrigin:      func(*http.Request) bool { return true }, // the token decides, as in the original
}

// handshake turns a request into a session. Query parameters: vsn, apikey (the header x-api-key
// wins), and patience, which is ours; others are ignored. Whoever has a good token may have to wait for
// its turn, and only then: the door is not for strangers.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	version, err := protocol.ParseVersion(r.URL.Query().Get("vsn"))
	if err != nil {
		s.refuse(w, r, refusal{status: http.StatusForbidden, label: "vsn", cause: err})
		return
	}
	claims, no := s.recognize(r)
	if no.status == 0 {
		no = s.crowded()
	}
	if no.status != 0 {
		no.delay = s.cfg.ErrorBackoff // it slows down guessing, and storms of broken clients
		s.refuse(w, r, no)
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		_, _ = upgrader.Upgrade(w, r, nil) // answers what is missing
		return
	}
	if err := s.wait(r); err != nil {
		s.refuse(w, r, s.busy(err))
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil { // Upgrade has answered
		s.limits.Admission.Release()
		s.log.Info("handshake failed", "remote", r.RemoteAddr, "err", err)
		return
	}
	s.admit(ws, version, claims)
}

// wait lets a handshake wait for its turn: as long as the node has patience, or as long as the client says
// that it has (patience, in ms), which then hears early that it should ask elsewhere.
func (s *Server) wait(r *http.Request) error {
	ctx := r.Context()
	if ms, err := strconv.Atoi(r.URL.Query().Get("patience")); err == nil && ms > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, min(time.Duration(ms)*time.Millisecond, maxPatience))
		defer cancel()
	}
	return s.limits.Admission.Wait(ctx)
}

// recognize returns the claims of the token in a request, with the headers that policies may see.
func (s *Server) recognize(r *http.Request) (*auth.Claims, refusal) {
	token := r.Header.Get("X-Api-Key")
	if token == "" {
		token = r.URL.Query().Get("apikey")
	}
	claims, err := s.verifier.VerifyWait(r.Context(), auth.Clean(token))
	if err != nil {
		return nil, badToken(err)
	}
	for name, values := range r.Header {
		if !strings.HasPrefix(name, "X-") {
			continue
		}
		for _, v := range values {
			if len(v) > maxHeader {
				return nil, refusal{status: http.StatusRequestHeaderFieldsTooLarge, label: "header",
					text: "The header " + name + " is longer than " + strconv.Itoa(maxHeader) + " bytes"}
			}
		}
		if claims.Header == nil {
			claims.Header = http.Header{}
		}
		claims.Header[name] = values
	}
	return claims, refusal{}
}

// refusal is why and how a handshake is refused. The zero value is none.
type refusal struct {
	status int
	label  string        // of the metric
	text   string        // what the client is told; empty: nothing
	cause  error         // what the log is told; nil: the text
	delay  time.Duration // before the answer
	again  time.Duration // when to come again; 0: not said
}

// badToken is the refusal of a token. What is no fault of the token is one of the node.
func badToken(err error) refusal {
	var no *auth.Refusal
	if errors.As(err, &no) {
		return refusal{status: no.Status(), label: "token", text: no.AtConnect(), cause: err}
	}
	return refusal{status: http.StatusInternalServerError, label: "error", text: "Error connecting to Realtime", cause: err}
}

// crowded refuses handshakes while their joins would be refused anyway.
func (s *Server) crowded() refusal {
	switch {
	case s.limits.Users.Full():
		s.limits.Reached(limit.UserCount)
		return refusal{status: http.StatusTooManyRequests, label: "users", text: textTooManyUsers, again: s.limits.Admission.RetryAfter()}
	case s.limits.Joins.Exceeded():
		s.limits.Reached(limit.Joins)
		return refusal{status: http.StatusTooManyRequests, label: "joins", text: textTooManyJoins, again: s.limits.Admission.RetryAfter()}
	}
	return refusal{}
}

// busy is the refusal of a handshake that was not let in.
func (s *Server) busy(err error) refusal {
	again := s.limits.Admission.RetryAfter()
	switch {
	case errors.Is(err, limit.ErrClosed):
		return refusal{status: http.StatusServiceUnavailable, label: "restart", text: "Realtime is restarting, please standby", again: time.Second}
	case errors.Is(err, limit.ErrBusy):
		return refusal{status: http.StatusServiceUnavailable, label: "busy", cause: err, again: again,
			text: "Too many connections are waiting: try again in " + seconds(again) + " seconds"}
	}
	return refusal{status: http.StatusServiceUnavailable, label: "gone", cause: err} // nobody hears it
}

// seconds is a duration as Retry-After has it: whole seconds, not too few.
func seconds(d time.Duration) string { return strconv.Itoa(int((d + time.Second - 1) / time.Second)) }

// refuse answers a handshake that is not taken.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	s.metrics.ConnectionsRefused.WithLabelValues(no.label).Inc()
	if no.cause == nil {
		no.cause = errors.New(no.text)
	}
	s.log.Info("handshake refused", "remote", r.RemoteAddr, "status", no.status, "err", no.cause)
	if no.delay > 0 {
		delay := time.NewTimer(no.delay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-r.Context().Done():
		case <-s.stopping:
		}
	}
	if no.again > 0 {
		w.Header().Set("Retry-After", seconds(no.again))
	}
	if no.text == "" {
		w.WriteHeader(no.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(map[string]string{"error": no.text}) // the client may have gone
}

// admit starts the session of a connection. It has a goroutine of its own, so that the one of the
// HTTP server ends, and with it everything that it keeps for a request.
func (s *Server) admit(ws *websocket.Conn, version protocol.Version, claims *auth.Claims) {
	c := newSession(s, ws, version, claims)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isStopping() {
		s.limits.Admission.Release()
		_ = ws.Close() // it has not heard from us yet
		return
	}
	s.sessions[c] = struct{}{}
	s.turned++
	s.metrics.ConnectionsAccepted.Inc()
	s.metrics.Connections.Inc()
	// Owner: the server; ends when the connection does, which Close makes sure of.
	s.tasks.Go(c.run)
}

// limitOf names the limit that closes a socket for a reason; other reasons are none.
var limitOf = map[string]limit.Name{"too_big": limit.Frame, "idle": limit.Idle, whyEmpty: limit.NoChannel}

// dismiss forgets a session that has ended.
func (s *Server) dismiss(c *session, why string) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.turned++
	if len(s.sessions) == 0 {
		select {
		case s.gone <- struct{}{}:
		default: // nobody has looked since the last time
		}
	}
	s.mu.Unlock()
	s.limits.Admission.Release()
	s.metrics.Connections.Dec()
	s.metrics.ConnectionsClosed.WithLabelValues(why).Inc()
	if name, ok := limitOf[why]; ok {
		s.limits.Reached(name)
	}
}
