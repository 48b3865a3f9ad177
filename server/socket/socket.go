// Package socket is one WebSocket of the server: it reads frames and hands them on, and it writes
// frames from a queue with three lanes.
//
//	Run          reads until the connection ends      one goroutine, for the socket's whole life
//	Send, Offer  queue a frame, never block           any goroutine
//	writers      empty the queues of all sockets      one per processor, only while there is something
//
// An idle socket therefore costs one parked goroutine and a read buffer of a few hundred bytes.
//
//	lane     is written               when it is full
//	urgent   before anything else     the socket is closed with 1013
//	normal   when no urgent waits     the socket is closed with 1013
//	bulk     when nothing else waits  its oldest frames are shed, and once it is empty the peer is told how many
//
// So urgent and normal frames are never dropped one by one: a peer that reads so slowly that one of these
// lanes overflows is told to resume, and finds everything that it missed in the log, which is better than a
// gap that nobody knows of. If it does not read at all, it cannot be told: it finds the connection broken,
// CloseGrace after the overflow or WriteTimeout after the last byte that it took, and resumes just the same.
// Until then it costs its lanes, 13 MiB at most, and nobody else waits for it.
//
// How long an urgent frame waits on a slow link: behind what the kernel has not sent yet (32 KiB, see
// limitUnsent) and the rest of the write that is under way (16 KiB, or one frame that is larger). The
// frames of two messages cannot be mixed on a WebSocket, so nothing can be done about a large one once it
// has been begun:
//
//	link            48 KiB    a bulk message of 256 KiB (MaxBulk)    a normal one of 3 MB
//	100 Mbit/s        4 ms     24 ms                                 0.24 s
//	 10 Mbit/s       39 ms    236 ms                                 2.4 s
//	  1 Mbit/s      393 ms      2.4 s                                 24 s
//
// Who must have urgent messages within 200 ms over 10 Mbit/s keeps others below about 190 KB, and photos out
// of the channel: object storage has them, and their URLs are small.
//
// Reading and the handshake are gorilla's. Frames are written by this package straight to the
// connection, because a fan-out writes the same finished bytes to everybody (Frame), and because
// several waiting frames leave in one system call. What the kernel takes at once is not mixed with the close
// frames that gorilla writes by itself (a frame over the limit, a violation of the protocol); in what it does
// not take at once, such a frame may land in the middle of ours, and that peer does not see why it was closed.
package socket

import (
	"net"
	"sync"
	"syscall"
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
	raw  syscall.RawConn // of conn; nil if that has none

	heard time.Duration // since epoch: when the read deadline was last moved; belongs to the reader

	mu     sync.Mutex // guards the following
	queue  queue
	listed [protocol.Lanes]bool // with the writers
	busy   bool                 // a writer is at it
	state  state
	why    string        // label of the reason, once state is not open
	last   Frame         // close frame to write after the queue, or none
	taken  chan struct{} // closed when the writer takes a batch or the socket ends; nil if nobody waits
	silent chan struct{} // closed when no writer is left; nil if nobody waits
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
	if c, ok := s.conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil { // else it is closed already
			s.raw = raw
			limitUnsent(raw)
		}
	}
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

// epoch is where the times of sockets count from; a time.Time is three times as large.
var epoch = time.Now()

// Send queues a frame. It reports false if the socket is ending and the frame will not be written;
// a full lane ends the socket. On the bulk lane it is Offer.
func (s *Socket) Send(lane protocol.Lane, f Frame) bool {
	if lane == protocol.Bulk {
		return s.Offer(f, nil)
	}
	s.mu.Lock()
	if s.state != open {
		s.mu.Unlock()
		return false
	}
	if !s.queue.push(lane, f, s.cfg.limit(lane)) {
		s.discard()
		s.mu.Unlock()
		s.cfg.Metrics.SlowConsumers.Inc()
		s.Close(CloseTryLater, "you read too slowly: reconnect and resume from the last id", "overflow")
		return false
	}
	if l := &s.queue.lanes[protocol.Urgent]; lane == protocol.Urgent && l.len() == 1 {
		l.since = time.Since(epoch)
	}
	s.wake(lane)
	s.mu.Unlock()
	return true
}

// Offer queues a bulk frame, which is written when nothing else waits, and which later ones may push
// out. The peer is told how many frames of from it has missed, once the lane is empty; from may be nil.
// It reports false if the socket is ending.
func (s *Socket) Offer(f Frame, from Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return false
	}
	if n := s.queue.offer(f, from, s.cfg.limit(protocol.Bulk)); n > 0 {
		s.cfg.Metrics.Shed.Add(float64(n))
	}
	s.wake(protocol.Bulk)
	return true
}

// discard drops what is queued. mu is held.
func (s *Socket) discard() {
	if n := s.queue.clear(); n > 0 {
		s.cfg.Metrics.Shed.Add(float64(n))
	}
}

// wake gets the socket a writer, for something in a lane. mu is held.
func (s *Socket) wake(lane protocol.Lane) {
	if s.busy || s.listed[protocol.Urgent] || s.listed[lane] {
		return
	}
	s.listed[lane] = true
	s.cfg.writers.list(s, lane)
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
	s.wake(protocol.Urgent)
}

// Drop ends the connection at once, without a word to the peer. why is the label of the reason.
func (s *Socket) Drop(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return
	}
	s.state, s.why = closing, why
	s.discard()
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
