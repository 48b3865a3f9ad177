package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// ReadBuffer is the size of the read buffer for Upgrader. It holds the header of a frame and most
// small frames; larger ones are read past it, straight into a pooled buffer.
const ReadBuffer = 512

// messages are buffers of messages being handled; one that has grown large is left to the collector.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const pooledMessage = 64 << 10

// Run reads messages and hands each to handle, one after the other, until the connection ends; it
// then waits for the writer and closes the connection. A message is valid during the call alone.
// It returns the label of the reason for which the connection ended.
func (s *Socket) Run(handle func(binary bool, message []byte)) (why string) {
	err := s.read(handle)
	return s.end(err)
}

func (s *Socket) read(handle func(binary bool, message []byte)) error {
	for {
		s.extend()
		kind, r, err := s.ws.NextReader()
		if err != nil {
			return err
		}
		message := messages.Get().(*bytes.Buffer)
		_, err = message.ReadFrom(r)
		if err == nil && s.isOpen() {
			handle(kind == websocket.BinaryMessage, message.Bytes())
		}
		if message.Cap() <= pooledMessage {
			message.Reset()
			messages.Put(message)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Socket) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == open
}

// extend moves the read deadline, at most every eighth of the idle timeout: precise enough for it,
// and a busy socket does not pay for it. Only the reader calls it.
func (s *Socket) extend() {
	now := time.Now()
	at := now.Sub(epoch)
	if s.heard > 0 && at-s.heard < s.cfg.IdleTimeout/8 {
		return
	}
	s.heard = at
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open { // afterwards the deadline of Close holds
		// Fails only on a closed connection, where the read fails too.
		_ = s.conn.SetReadDeadline(now.Add(s.cfg.IdleTimeout + s.cfg.IdleTimeout/8))
	}
}

// end closes the connection after err ended the reading.
func (s *Socket) end(err error) string {
	var timeout net.Error
	var closeErr *websocket.CloseError
	gone := false // the peer will not read any more
	switch {
	case errors.Is(err, websocket.ErrReadLimit): // gorilla has written the close frame
		s.cfg.Logger.Warn("closing a socket: its client sent a message over the limit",
			"remote", s.conn.RemoteAddr().String(), "limit_bytes", s.cfg.FrameLimit, "code", CloseTooBig,
			"do", "send large data by another way and broadcast a link to it")
		s.stop("too_big")
	case errors.As(err, &timeout) && timeout.Timeout():
		gone = !s.isOpen() // it had its grace
		s.Close(CloseNormal, "idle", "idle")
	case errors.As(err, &closeErr):
		gone = true
		s.stop("lost") // closed without a close frame, else the close handler came first
	case errors.Is(err, net.ErrClosed), errors.As(err, &timeout):
		gone = true
		s.stop("lost")
	default: // gorilla has written the close frame
		s.cfg.Logger.Warn("closing a socket: its client broke the WebSocket protocol",
			"remote", s.conn.RemoteAddr().String(), "err", err)
		s.stop("protocol")
	}
	s.waitWriter()
	if !gone {
		s.linger()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = closed
	s.discard()
	_ = s.conn.Close() // nothing is left to be lost
	return s.why
}

// stop refuses further frames without writing a close frame.
func (s *Socket) stop(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open {
		s.state, s.why = closing, why
		s.hurry()
	}
}

// waitWriter returns when no writer is left; the deadline that hurry has set bounds it.
func (s *Socket) waitWriter() {
	s.mu.Lock()
	if !s.pending() {
		s.mu.Unlock()
		return
	}
	silent := make(chan struct{})
	s.silent = silent
	s.mu.Unlock()
	<-silent
}

// lingerBytes is the most that linger throws away; it covers a message that was just over the limit.
const lingerBytes = 16 << 20

// linger reads what the peer still sends until it hangs up or the grace is over. Closing a
// connection with unread bytes resets it, and the peer would lose the close frame.
func (s *Socket) linger() {
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails if the peer is gone, which ends the copy below too
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(s.cfg.CloseGrace))
	_, _ = io.CopyN(io.Discard, s.conn, lingerBytes) // ends by hanging up, by the deadline or by the amount
}
