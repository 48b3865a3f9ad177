// Package socket is one WebSocket of the server: it reads frames and hands them on, and it writes
// frames from a queue with two lanes.
//
//	Run      reads until the connection ends            one goroutine, for the socket's whole life
//	Send     queues a frame, never blocks               any goroutine
//	write    empties the queue                          one goroutine, only while there is something
//
// An idle socket therefore costs one parked goroutine and a read buffer of a few hundred bytes. The
// urgent lane is written before anything else and never dropped; either lane is bounded, and a peer
// that reads so slowly that one overflows is disconnected: it is told to resume, and finds
// everything that it missed in the log, which is better than a gap that nobody knows of.
//
// Reading and the handshake are gorilla's. Frames are written by this package straight to the
// connection, because a fan-out writes the same finished bytes to everybody (Frame), and because
// several waiting frames leave in one system call. Every write is one call of net.Conn.Write with
// whole frames, and those exclude each other, so the close frames that gorilla writes by itself (a
// frame over the limit, a violation of the protocol) cannot land in the middle of ours.
package socket

import (
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
)

// Close codes of RFC 6455 and its registry.
const (
	CloseNormal    = 1000
	CloseAway      = 1001 // the server does not want to go on
	CloseTooBig    = 1009
	CloseRestart   = 1012 // the service restarts: come back, here or elsewhere
	CloseTryLater  = 1013 // the peer reads too slowly
	CloseViolation = 1008
)

// Socket is one connection. Its methods may be called from any goroutine, except Run.
type Socket struct {
	cfg  *Config
	ws   *websocket.Conn
	conn net.Conn

	heard time.Time // when the read deadline was last moved; belongs to the reader

	mu      sync.Mutex // guards the following
	queue   queue
	writing bool      // a writer goroutine exists
	armed   time.Time // when the write deadline was last moved
	state   state
	why     string        // label of the reason, once state is not open
	last    Frame         // close frame to write after the queue, or none
	taken   chan struct{} // closed when the writer takes a batch or the socket ends; nil if nobody waits
	silent  chan struct{} // closed when no writer is left; nil if nobody waits
}

type state uint8

const (
	open    state = iota // frames are accepted
	closing              // no more frames are accepted; what is queued is written, then last
	closed               // nothing is written any more
)

// New takes over a connection whose handshake is done. cfg has its defaults filled in and is shared.
func New(ws *websocket.Conn, cfg *Config) *Socket {
	s := &Socket{cfg: cfg, ws: ws, conn: ws.NetConn()}
	limitUnsent(s.conn)
	ws.SetReadLimit(cfg.FrameLimit)
	ws.SetPingHandler(func(data string) error {
		s.extend()
		s.Send(protocol.Urgent, control(opPong, []byte(data)))
		return nil
	})
	ws.SetPongHandler(func(string) error {
		s.extend()
		return nil
	})
	ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = CloseNormal
		}
		s.Close(code, "", "client")
		return nil
	})
	return s
}

// epoch is where the stamps of queued frames count from.
var epoch = time.Now()

// Send queues a frame. It reports false if the socket is ending and the frame will not be written;
// a full lane ends the socket.
func (s *Socket) Send(lane protocol.Lane, f Frame) bool {
	most := limit{s.cfg.NormalFrames, s.cfg.NormalBytes}
	if lane == protocol.Urgent {
		most = limit{s.cfg.UrgentFrames, s.cfg.UrgentBytes}
	}
	s.mu.Lock()
	if s.state != open {
		s.mu.Unlock()
		return false
	}
	if !s.queue.push(lane, f, most) {
		s.queue.clear()
		s.mu.Unlock()
		s.cfg.Metrics.SlowConsumers.Inc()
		s.Close(CloseTryLater, "you read too slowly: reconnect and resume from the last id", "overflow")
		return false
	}
	if l := &s.queue.lanes[protocol.Urgent]; lane == protocol.Urgent && l.len() == 1 {
		l.since = time.Since(epoch)
	}
	s.wake()
	s.mu.Unlock()
	return true
}

// wake starts the writer if there is none. mu is held.
func (s *Socket) wake() {
	if s.writing {
		return
	}
	s.writing = true
	// Owner: the socket; ends when the queue is empty or a write fails, each write being bounded by
	// a deadline; at most one exists.
	go s.write()
}

// Close ends the connection: what is queued is written, then a close frame with code and text, and
// the peer has CloseGrace to answer. why is the label of the reason. Only the first call counts.
func (s *Socket) Close(code int, text, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return
	}
	s.state, s.why = closing, why
	s.last = control(opClose, websocket.FormatCloseMessage(code, text))
	s.hurry()
	s.wake()
}

// Drop ends the connection at once, without a word to the peer. why is the label of the reason.
func (s *Socket) Drop(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return
	}
	s.state, s.why = closing, why
	s.queue.clear()
	s.announce(&s.taken)
	_ = s.conn.Close() // the reader and a writer that is under way find out
}

// hurry bounds everything that the connection still waits for. mu is held.
func (s *Socket) hurry() {
	by := time.Now().Add(s.cfg.CloseGrace)
	// A deadline can only be refused by a connection that is closed, and then nothing waits.
	_ = s.conn.SetDeadline(by)
	s.announce(&s.taken)
}

// announce closes a channel that somebody waits for. mu is held.
func (s *Socket) announce(waiters *chan struct{}) {
	if *waiters != nil {
		close(*waiters)
		*waiters = nil
	}
}
