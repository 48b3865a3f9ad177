package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// writeBuffers are shared by all sockets of the process: one is taken for the time of a write.
var writeBuffers sync.Pool

func newDialer(cfg *Config) websocket.Dialer {
	return websocket.Dialer{
		TLSClientConfig: cfg.TLS,
		ReadBufferSize:  1 << 10,
		WriteBufferSize: 4 << 10,
		WriteBufferPool: &writeBuffers,
	}
}

// dial opens the socket. Server and client agree on the version and the token here. A server at whose door many
// wait is told for how long this client would, so that it can send it on at once (patience, in ms).
func (s *session) dial() error {
	c := s.client
	answer := c.cfg.DialTimeout
	if !c.everJoined.Load() {
		answer = max(answer, refusalPatience)
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.DialTimeout+answer)
	defer cancel()

	d := c.dialer
	stop := func() bool { return true }
	d.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialCtx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
		defer cancel()
		conn, err := c.cfg.NetDial(dialCtx, network, addr)
		if err == nil {
			// The handshake itself heeds deadlines only.
			stop = context.AfterFunc(c.ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	query := url.Values{"vsn": {c.cfg.Version.String()}, "apikey": {c.cfg.Token},
		"patience": {strconv.FormatInt((answer * 3 / 4).Milliseconds(), 10)}}
	address := strings.TrimSuffix(c.cfg.Endpoints[s.at].URL, "/") + "/websocket?" + query.Encode()
	conn, resp, err := d.DialContext(ctx, address, nil)
	if !stop() && err == nil {
		_ = conn.Close()
		err = ErrClosed
	}
	if err != nil {
		return s.dialError(resp, err)
	}
	s.opened(conn)
	return nil
}

func (s *session) dialError(resp *http.Response, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		s.silent.Store(true)
		return errors.New("dialing: no answer in time")
	}
	if resp == nil {
		return fmt.Errorf("dialing: %w", err)
	}
	var answer struct{ Error string }
	body, _ := io.ReadAll(resp.Body) // at most 1 KiB, read already
	_ = json.Unmarshal(body, &answer)
	refused := fmt.Errorf("server refused the socket: %s: %s", resp.Status, answer.Error)
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		s.shutOut(resp.Header.Get("Retry-After"))
	}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		s.client.refuse(refused)
	}
	return refused
}

// shutOut notes how long a server that is busy or restarts wants to be left alone. Servers may say the same to
// everybody, so not everybody may come back at the same moment.
func (s *session) shutOut(retryAfter string) {
	seconds, err := strconv.Atoi(retryAfter)
	if err != nil || seconds <= 0 {
		return
	}
	pause := min(time.Duration(min(seconds, int(maxPause/time.Second)))*time.Second, maxPause)
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standings[s.at].shut = time.Now().Add(pause + jitter(pause/4))
}

// describe words the error that ended a socket.
func describe(err error) string {
	var closed *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return strings.TrimSpace(fmt.Sprintf("server closed the socket: %d %s", closed.Code, closed.Text))
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return "connection lost: " + err.Error()
}
