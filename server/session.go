package server

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/socket"
)

// session is the protocol's state machine for one socket: its channels, and what its client sends.
// Frames come one after the other on the reader's goroutine; timers and the end of the node come
// from others, hence the lock.
//
// Which lane a frame of the session itself takes: answers and what follows a join go urgent, in
// order, because heartbeats and publishers wait for them and because urgent broadcasts must not
// overtake the join reply. What ends a channel goes normal, behind the broadcasts that were queued.
type session struct {
	server  *Server
	socket  *socket.Socket
	version protocol.Version
	claims  *auth.Claims // of the token that opened the socket

	malformed bool // a malformed frame has been logged; belongs to the reader

	mu       sync.Mutex    // guards the following
	channels []*channel    // few, so a slice: smaller than a map, and fast enough at the limit of 100
	slots    chan struct{} // holds one for each publish in flight; nil before the first
	refusals int           // joins whose refusal is still being held back
	counted  bool          // among the users of the node: it has a channel
	tried    bool          // has joined a channel, or tried to
	empty    bool          // has been used and had no channel at the last sweep
	ended    bool          // nothing is joined any more
}

func newSession(s *Server, ws *websocket.Conn, version protocol.Version, claims *auth.Claims) *session {
	return &session{server: s, socket: socket.New(ws, &s.cfg.Socket), version: version, claims: claims}
}

// run lives as long as the connection.
func (c *session) run() {
	why := c.socket.Run(c.message)
	c.mu.Lock()
	for _, ch := range c.channels {
		c.drop(ch)
	}
	c.channels, c.ended = nil, true
	c.uncount()
	c.mu.Unlock()
	c.server.dismiss(c, why)
}

// message handles one WebSocket message. Its bytes belong to the socket.
func (c *session) message(binary bool, message []byte) {
	f, err := c.decode(binary, message)
	if err != nil {
		c.server.metrics.FramesMalformed.Inc()
		if !c.malformed { // one line per socket: the log is not the client's to fill
			c.malformed = true
			c.server.log.Info("dropping a malformed frame", "code", "MalformedWebSocketMessage", "binary", binary, "bytes", len(message), "err", err)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Topic == protocol.TopicPhoenix && f.Event == protocol.EventHeartbeat {
		c.send(protocol.Urgent, "", f.Ref, f.Topic, protocol.EventReply, protocol.ReplyPayload(protocol.StatusOK, nil))
		return
	}
	ch := c.channel(f.Topic)
	switch {
	case f.Event == protocol.EventJoin:
		aside(func() { c.join(&f, ch) })
	case f.Event == protocol.EventLeave:
		c.leave(&f, ch)
	case ch == nil:
		c.send(protocol.Urgent, "", f.Ref, f.Topic, protocol.EventReply, protocol.ReasonPayload(protocol.ErrUnmatchedTopic.Error()))
	default:
		c.push(&f, ch)
	}
}

func (c *session) decode(binary bool, message []byte) (protocol.Frame, error) {
	if !binary {
		return protocol.DecodeText(c.version, message)
	}
	if c.version == protocol.V1 {
		return protocol.Frame{}, errors.New("vsn 1.0.0 has no binary frames")
	}
	return protocol.DecodePush(message)
}

// aside runs f on a goroutine of its own and waits for it. A join parses a good deal, and the reader
// would keep the stack that this takes (4 KiB more) for the life of the socket.
func aside(f func()) {
	done := make(chan struct{})
	go func() { // ends with f
		defer close(done)
		f()
	}()
	<-done
}

// push handles what a member sends on its channel. A join ref that is missing or stale is no
// reason to refuse it: clients push before they have seen the reply to a second join.
func (c *session) push(f *protocol.Frame, ch *channel) {
	switch f.Event {
	case protocol.EventBroadcast:
		c.broadcast(f, ch)
	case protocol.EventReceipt:
		c.confirm(f, ch)
	case protocol.EventAccessToken:
		c.refresh(f, ch)
	case protocol.EventPresence:
		c.present(f, ch)
	default:
		c.server.limits.Events.Add(1)
		c.server.log.Debug("ignoring an unknown event", "event", f.Event, "topic", f.Topic)
	}
}

// channel returns the joined channel of a topic, or nil. mu is held.
func (c *session) channel(topic string) *channel {
	for _, ch := range c.channels {
		if ch.topic == topic {
			return ch
		}
	}
	return nil
}

// leave ends a channel at its client's wish. mu is held.
func (c *session) leave(f *protocol.Frame, ch *channel) {
	if ch == nil {
		c.send(protocol.Normal, f.JoinRef, f.Ref, f.Topic, protocol.EventReply, protocol.ReplyPayload(protocol.StatusOK, nil))
		return
	}
	if f.JoinRef != "" && f.JoinRef != ch.joinRef {
		return // it means an earlier life of the channel
	}
	c.server.unexpect(ch, true)
	c.remove(ch)
	c.send(protocol.Normal, ch.joinRef, f.Ref, f.Topic, protocol.EventReply, protocol.ReplyPayload(protocol.StatusOK, nil))
	c.sendClose(protocol.Normal, ch)
}

// maxRefusals bounds the refusals of one socket that are being held back.
const maxRefusals = 100

// refuse answers a join with an error after a delay, during which everything else goes on. mu is held.
func (c *session) refuse(f *protocol.Frame, reason string) {
	s := c.server
	s.metrics.ChannelJoins.WithLabelValues("refused").Inc()
	s.log.Info("join refused", "topic", f.Topic, "reason", reason)
	if c.refusals >= maxRefusals {
		c.socket.Close(socket.CloseViolation, "too many refused joins", "protocol")
		return
	}
	c.refusals++
	joinRef, ref, topic := f.JoinRef, f.Ref, f.Topic
	delay := s.cfg.JoinErrorBackoff
	if reason == reasonRestarting {
		delay = 0 // nothing is wrong with the client, and it has another region to go to
	}
	// Ends by itself; bounded by maxRefusals per socket; sends nothing once the socket has ended.
	time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refusals--
		c.send(protocol.Urgent, joinRef, ref, topic, protocol.EventReply, protocol.ReasonPayload(reason))
		if reason == reasonJoins {
			c.socket.Close(socket.CloseAway, "too many joins per second", "limit")
		}
	})
}

// remove takes a channel out of its room and out of the session. mu is held.
func (c *session) remove(ch *channel) {
	c.drop(ch)
	c.channels = slices.DeleteFunc(c.channels, func(other *channel) bool { return other == ch })
	if len(c.channels) == 0 {
		c.uncount()
	}
}

// drop takes a channel out of its room. mu is held.
func (c *session) drop(ch *channel) {
	c.finish(ch)
	c.server.hub.Leave(&ch.Member)
}

// finish ends what a channel has begun, but for its place in the room. mu is held.
func (c *session) finish(ch *channel) {
	ch.stopExpiry()
	ch.left.Store(true)
	c.depart(ch)
	c.server.unexpect(ch, false)
	if ch.changes != nil {
		ch.changes.Close()
	}
}

// uncount takes the session out of the users of the node. mu is held.
func (c *session) uncount() {
	if c.counted {
		c.counted = false
		c.server.limits.Users.Leave()
	}
}

// reply answers a push of a joined channel. The join ref is the channel's, not the push's.
func (c *session) reply(ch *channel, ref protocol.Ref, payload []byte) {
	c.send(protocol.Urgent, ch.joinRef, ref, ch.topic, protocol.EventReply, payload)
}

// sendClose tells the client that a channel has ended; its ref is the join ref again.
func (c *session) sendClose(lane protocol.Lane, ch *channel) {
	c.send(lane, ch.joinRef, ch.joinRef, ch.topic, protocol.EventClose, nil)
}

// sendSystem says something about a channel.
func (c *session) sendSystem(lane protocol.Lane, ch *channel, extension, status, message string) {
	c.send(lane, ch.joinRef, "", ch.topic, protocol.EventSystem, protocol.SystemPayload(extension, status, message, ch.sub))
}

func (c *session) send(lane protocol.Lane, joinRef, ref protocol.Ref, topic, event string, payload []byte) {
	f := protocol.Frame{JoinRef: joinRef, Ref: ref, Topic: topic, Event: event, Payload: payload}
	size := len(payload) + len(topic) + len(joinRef) + len(ref) + 64
	c.socket.Send(lane, socket.Text(protocol.AppendText(socket.Begin(size), c.version, &f)))
}

// okWith is the payload of a good reply with a response.
func okWith(response json.RawMessage) []byte {
	return protocol.ReplyPayload(protocol.StatusOK, response)
}
