package client

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// handle acts on one frame. What it does not understand it drops: a client outlives a server that
// is newer, or broken.
func (s *session) handle(kind int, b []byte, at time.Time) {
	var f protocol.Frame
	var err error
	if kind == websocket.BinaryMessage {
		f, err = protocol.DecodeBroadcast(b)
	} else {
		f, err = protocol.DecodeText(s.client.cfg.Version, b)
	}
	if err != nil {
		s.client.cfg.Logger.Debug("frame dropped", "topic", s.client.topic, "region", s.region, "error", err)
		return
	}
	if f.Topic != s.client.topic {
		return // heartbeat replies, and what was meant for others
	}
	switch f.Event {
	case protocol.EventBroadcast:
		err = s.handleBroadcast(&f, at)
	case protocol.EventReply:
		err = s.handleReply(&f, at)
	case protocol.EventReceipt:
		err = s.handleReceipt(&f, at)
	case protocol.EventSystem:
		err = s.handleSystem(&f)
	case protocol.EventClose, protocol.EventError:
		// Version 1 carries the join's ref in ref, version 2 in both. A server may close the life
		// of a channel that a newer join has replaced; ours is never that one. A session that leaves
		// waits for the close frame.
		if (f.JoinRef == joinRef || f.Ref == joinRef) && !s.leaving.Load() {
			s.fail("server closed the channel: " + f.Event)
		}
	}
	if err != nil {
		s.client.cfg.Logger.Debug("frame dropped", "topic", s.client.topic, "region", s.region, "event", f.Event, "error", err)
	}
}

func (s *session) handleBroadcast(f *protocol.Frame, at time.Time) error {
	if b := f.Broadcast; b != nil {
		m, err := protocol.ParseMeta(b.Meta)
		if err != nil {
			return err
		}
		s.deliver(m, Message{Event: b.Event, Payload: b.Payload, Binary: b.Encoding == protocol.Binary, At: at})
		return nil
	}
	u, err := protocol.ParseUserBroadcast(f.Payload)
	if err != nil {
		return err
	}
	s.deliver(u.Meta, Message{Event: u.Event, Payload: u.Payload, At: at})
	return nil
}

// deliver shows a message if it is new.
func (s *session) deliver(m protocol.Meta, msg Message) {
	c := s.client
	msg.ID, msg.From, msg.Replayed, msg.Lane = m.ID, m.From, m.Replayed, protocol.LaneOf(msg.Event, m)
	msg.Region, msg.Session = s.region, s.no

	// One at a time, so that what the homes bring is shown in the order in which it came first: the
	// messages of a publisher stay in order if each home has them in order.
	c.showMu.Lock()
	fresh, own := true, false
	c.mu.Lock()
	s.advance(m, msg.At)
	if m.ID != "" {
		before, known := c.memory.brought(m.ID, s.no, msg.At)
		fresh, own, msg.SameSession = !known, before.own, before.by(s.no)
	}
	c.mu.Unlock()
	switch {
	case own:
	case fresh:
		msg.Payload = bytes.Clone(msg.Payload)
		c.cfg.OnMessage(msg)
	default:
		msg.Payload = nil
		c.cfg.OnDuplicate(msg)
	}
	c.showMu.Unlock()

	// Of what is replayed once more the first confirmation may have been lost with its session.
	if (fresh || msg.Replayed) && !own && c.cfg.Confirm && msg.Lane == protocol.Urgent && msg.ID != "" && msg.Event != protocol.EscalationEvent {
		s.confirm(msg.ID)
	}
}

// confirm tells the server that the message was shown, on the session that brought it unless that
// one has said goodbye.
func (s *session) confirm(id string) {
	if s.leaving.Load() {
		s.client.mu.Lock()
		if other := s.home.joined; other != nil {
			s = other
		}
		s.client.mu.Unlock()
	}
	// An error ends the session through its reader.
	_ = s.push(protocol.EventReceipt, s.nextRef(), protocol.AppendConfirm(nil, id))
}

// maxAhead is how far ahead of the local clock a message's time may be to count. A broken clock
// must not make the next resume skip what everybody else sends.
const maxAhead = time.Minute

// advance moves the position from which the next join would resume to a message that is newer. While
// the past is still being replayed to the session, only the session's own position moves: if it
// ended now, the next one would have to ask for the rest. Called with client.mu.
func (s *session) advance(m protocol.Meta, now time.Time) {
	if m.HLC >= hlcAt(now.Add(maxAhead)) {
		return
	}
	p := &s.client.position
	if s.catchingUp {
		p = &s.reached
	}
	if m.HLC > p.hlc {
		p.hlc, p.id = m.HLC, m.ID
	}
}

// caughtUp is the server's word that everything the session had missed has been sent.
func (s *session) caughtUp() {
	c := s.client
	c.mu.Lock()
	was := s.catchingUp
	if was && s.reached.hlc > c.position.hlc {
		c.position.hlc, c.position.id = s.reached.hlc, s.reached.id
	}
	s.catchingUp = false
	c.mu.Unlock()
	if was && s.joined.Load() {
		s.show(CaughtUp, "")
		s.relieve()
	}
}

// hlcAt is the first hybrid logical time of a millisecond: 48 bits of Unix time, 16 of counter.
func hlcAt(t time.Time) uint64 { return uint64(t.UnixMilli()) << 16 }

func (s *session) handleReply(f *protocol.Frame, at time.Time) error {
	r, err := protocol.ParseReply(f.Payload)
	if err != nil {
		return err
	}
	if f.Ref != joinRef {
		return s.answered(string(f.Ref), r, at)
	}
	if s.joined.Load() {
		return errors.New("a second reply to the join")
	}
	if r.Status != protocol.StatusOK {
		refused := fmt.Errorf("server refused the join: %s", r.Reason())
		if protocol.Definite(r.Reason()) {
			s.client.refuse(refused)
		}
		s.fail(refused.Error())
		return nil
	}
	s.accepted()
	return nil
}

// accepted makes the joined session part of the client.
func (s *session) accepted() {
	c := s.client
	c.mu.Lock()
	if !c.position.known {
		// Whatever was said after the first join was sent is ours to have.
		c.position.known = true
		c.position.hlc = max(c.position.hlc, hlcAt(s.began))
	}
	c.mu.Unlock()
	c.everJoined.Store(true)
	s.joined.Store(true)
	s.show(Joined, "")
	s.mu.Lock()
	if !s.ended {
		s.timer.Reset(c.cfg.HeartbeatInterval)
	}
	s.mu.Unlock()
	switch old := s.home.adopt(s); old {
	case nil:
	case s:
		c.spawn(func() { s.leave(reasonOther) }) // ends within the write deadline
	default:
		s.takeOver(old)
	}
	c.noteProgress()
}

func (s *session) handleReceipt(f *protocol.Frame, at time.Time) error {
	r, err := protocol.ParseReceipt(f.Payload)
	if err != nil {
		return err
	}
	c := s.client
	c.mu.Lock()
	_, known := c.told.brought(r.ID+"\n"+r.By, s.no, at)
	c.mu.Unlock()
	if !known {
		c.cfg.OnReceipt(Receipt{ID: r.ID, By: r.By, Region: r.Region, At: at})
	}
	return nil
}

// handleSystem hears that a resume is complete, that the server is being drained or that it has shed bulk
// messages, and keeps what the server says before it closes the channel as the session's reason.
func (s *session) handleSystem(f *protocol.Frame) error {
	m, err := protocol.ParseSystem(f.Payload)
	switch {
	case err != nil:
		return err
	case m.Extension == protocol.ExtensionWedsync && m.Status == protocol.StatusOK && m.Message == protocol.Resumed:
		s.caughtUp()
	case m.Extension == protocol.ExtensionWedsync && m.Message == protocol.Moving:
		s.sentAway(time.Duration(m.ByMS) * time.Millisecond)
	case m.Extension == protocol.ExtensionWedsync && m.Message == protocol.Shed:
		s.client.cfg.OnShed(m.Count)
	case m.Extension == "system" && m.Status == protocol.StatusError:
		s.setReason("server: " + m.Message)
	}
	return nil
}

// refuse notes a definite no to a client that never joined, for Connect to report.
func (c *Client) refuse(err error) {
	if c.everJoined.Load() {
		return
	}
	c.mu.Lock()
	if c.refusal == nil {
		c.refusal = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c.mu.Unlock()
	c.noteProgress()
}
