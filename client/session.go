package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// frames are the buffers into which frames are read; an idle socket holds none.
var frames = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keepFrame = 64 << 10 // larger buffers are not kept

// session is the life of one socket: dialing, opened, joined, left, closed. One goroutine, that of
// its home, goes through it; heartbeats run on its timer, publishers write to it from theirs.
type session struct {
	client   *Client
	home     *home
	at       int // index of the endpoint
	region   string
	no       int
	relieves *session // beside which it is tried; nil: the home has none
	began    time.Time

	heard   atomic.Int64 // sign of life: ns since client.epoch
	refs    atomic.Uint64
	joined  atomic.Bool
	leaving atomic.Bool // the client wants it to end
	silent  atomic.Bool // ended, or never began, for want of any answer
	moving  atomic.Bool // its server has asked it to move

	// Guarded by client.mu.
	released   bool                    // see home.release
	catchingUp bool                    // asked for what it missed, and has not been told that it has it all
	reached    position                // meanwhile: its newest message
	relieving  *session                // to be left when it has caught up
	awaiting   map[string]*publication // by ref

	stateMu sync.Mutex // held while a change is shown: they come in order, Closed last
	phase   Phase

	mu     sync.Mutex // guards the following
	conn   *websocket.Conn
	reason string // why the session ends; the first one stands
	ended  bool
	joinBy time.Time
	timer  *time.Timer

	writeMu sync.Mutex // held by whoever writes data frames
	tickMu  sync.Mutex // held while the timer's function runs; guards the following
	asked   time.Time  // when a heartbeat was due that nothing has answered yet; zero: none
	sent    bool       // it has been sent
}

func (c *Client) newSession(h *home, at int, relieves *session) *session {
	s := &session{client: c, home: h, at: at, region: c.cfg.Endpoints[at].Region, relieves: relieves, began: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastNo++
	s.no = c.lastNo
	c.sessions[s] = struct{}{}
	s.leaving.Store(c.closed)
	return s
}

// live goes through the session's life and returns at its end.
func (s *session) live() {
	if s.leaving.Load() {
		return
	}
	s.show(Dialing, "")
	if err := s.dial(); err != nil {
		s.setReason(err.Error())
	} else {
		s.show(Opened, "")
		s.join()
		s.setReason(s.read())
	}
	s.stop()
	s.show(Closed, s.why())
}

// opened takes the open socket over and starts the timer.
func (s *session) opened(conn *websocket.Conn) {
	conn.SetReadLimit(maxFrame)
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { s.hear(); return answer(data) })
	conn.SetPongHandler(func(string) error { s.hear(); return nil })

	timeout := s.client.cfg.JoinTimeout
	if !s.client.everJoined.Load() {
		timeout = max(timeout, refusalPatience)
	}
	s.hear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	s.joinBy = time.Now().Add(timeout)
	s.timer = time.AfterFunc(timeout, s.tick) // stopped by stop
	if s.leaving.Load() {
		_ = conn.Close()
	}
}

// join sends the join. Its reply is read like any other frame.
func (s *session) join() {
	c := s.client
	cfg := &c.cfg
	j := protocol.Join{AccessToken: cfg.Token, Version: "wedsync-go"}
	j.Config.Private = cfg.Private
	j.Config.Broadcast.Ack = true
	j.Config.Presence.Key = cfg.Key
	j.Config.Wedsync = protocol.Extension{Receipts: cfg.Receipts, Confirms: cfg.Confirm, Move: true, Homes: cfg.Homes, Second: s.home.slot > 0}
	c.mu.Lock()
	if s.catchingUp = c.position.known; s.catchingUp {
		j.Config.Wedsync.Resume = &protocol.Resume{HLC: c.position.hlc, LastID: c.position.id, Returning: s.relieves != nil}
	}
	c.mu.Unlock()
	// An error ends the session through its reader.
	_ = s.push(protocol.EventJoin, s.nextRef(), j.Append(nil))
}

// joinRef is the ref of the join, which is the first that a session sends.
const joinRef protocol.Ref = `"1"`

func (s *session) nextRef() protocol.Ref {
	return protocol.Ref(strconv.Quote(strconv.FormatUint(s.refs.Add(1), 10)))
}

// push sends a text frame on the client's topic.
func (s *session) push(event string, ref protocol.Ref, payload []byte) error {
	f := protocol.Frame{JoinRef: joinRef, Ref: ref, Topic: s.client.topic, Event: event, Payload: payload}
	return s.write(websocket.TextMessage, protocol.AppendTextPush(nil, s.client.cfg.Version, &f))
}

// write sends one frame. It waits at most SilenceLimit; an error ends the session.
func (s *session) write(kind int, frame []byte) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	return s.writeBy(time.Now().Add(s.client.cfg.SilenceLimit), kind, frame)
}

func (s *session) writeBy(deadline time.Time, kind int, frame []byte) error {
	err := s.conn.SetWriteDeadline(deadline)
	if err == nil {
		err = s.conn.WriteMessage(kind, frame)
	}
	if errors.Is(err, websocket.ErrCloseSent) {
		return err // after goodbye; what still arrives is read
	}
	if err != nil {
		s.fail("writing: " + describe(err))
		return fmt.Errorf("writing to %s: %w", s.region, err)
	}
	return nil
}

// read handles frames until there are no more and says why.
func (s *session) read() (reason string) {
	for {
		kind, r, err := s.conn.NextReader()
		if err != nil {
			return describe(err)
		}
		buf := frames.Get().(*bytes.Buffer)
		if _, err := buf.ReadFrom(alive{r, s}); err != nil {
			return describe(err)
		}
		s.handle(kind, buf.Bytes(), time.Now())
		if buf.Cap() <= keepFrame {
			buf.Reset()
			frames.Put(buf)
		}
	}
}

// alive takes every part of a frame as a sign of life: a photo may take long on a slow line.
type alive struct {
	io.Reader
	s *session
}

func (a alive) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.s.hear()
	return n, err
}

// leave says goodbye; the reader ends when the server closes the socket, or after LeaveTimeout.
func (s *session) leave(reason string) {
	if s.leaving.Swap(true) {
		return
	}
	s.setReason(reason)
	s.mu.Lock()
	conn, over := s.conn, s.ended
	s.mu.Unlock()
	if conn == nil || over {
		return // still dialing: opened sees leaving; or over already
	}
	if s.joined.Load() {
		s.show(Left, reason)
		_ = s.push(protocol.EventLeave, s.nextRef(), nil)
	}
	deadline := time.Now().Add(LeaveTimeout)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = conn.WriteControl(websocket.CloseMessage, bye, deadline)
	_ = conn.SetReadDeadline(deadline)
}

// fail ends the session at once; the reader notices and goes through the end.
func (s *session) fail(reason string) {
	s.setReason(reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.NetConn().Close()
	}
}

// stop releases socket and timer. When it returns, nothing of the session runs but publishers that
// are about to see their write fail.
func (s *session) stop() {
	s.mu.Lock()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.mu.Unlock()
	s.tickMu.Lock() // a tick that runs ends now that its write fails
	defer s.tickMu.Unlock()
}

func (s *session) setReason(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.reason = reason
	}
}

func (s *session) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// show reports a change, unless a later one was reported.
func (s *session) show(p Phase, reason string) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if p <= s.phase {
		return
	}
	s.phase = p
	s.client.cfg.Logger.Debug("session", "topic", s.client.topic, "session", s.no, "region", s.region, "phase", p.String(), "reason", reason)
	s.client.cfg.OnState(State{At: time.Now(), Session: s.no, Region: s.region, Phase: p, Reason: reason})
}
