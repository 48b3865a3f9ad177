package rehearsal

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
)

// member is one socket, and its place in the one room that it may join.
type member struct {
	region  *region
	conn    *websocket.Conn
	version protocol.Version

	writing sync.Mutex // guards writes to conn

	// The following belong to the reader, and are read by others under Server.mu once the member is in its room.
	topic    string
	joinRef  protocol.Ref
	key      string
	receipts bool
}

// handle does what one frame asks for.
func (m *member) handle(kind int, b []byte) error {
	if kind == websocket.BinaryMessage {
		f, err := protocol.DecodePush(b)
		if err != nil {
			return err
		}
		meta, err := protocol.ParseMeta(f.Broadcast.Meta)
		if err != nil {
			return err
		}
		return m.broadcast(&f, event{name: f.Broadcast.Event, meta: meta, payload: append([]byte(nil), f.Broadcast.Payload...)})
	}
	f, err := protocol.DecodeText(m.version, b)
	if err != nil {
		return err
	}
	switch f.Event {
	case protocol.EventJoin:
		return m.join(&f)
	case protocol.EventBroadcast:
		u, err := protocol.ParseUserBroadcast(f.Payload)
		if err != nil {
			return err
		}
		return m.broadcast(&f, event{name: u.Event, meta: u.Meta, payload: append([]byte(nil), u.Payload...)})
	case protocol.EventReceipt:
		ids, err := protocol.ParseConfirm(f.Payload)
		if err != nil {
			return err
		}
		return m.region.server.confirm(m, ids)
	case protocol.EventLeave:
		m.region.server.leave(m)
		if err := m.reply(&f, nil); err != nil {
			return err
		}
		return m.text(&protocol.Frame{JoinRef: f.JoinRef, Ref: f.JoinRef, Topic: f.Topic, Event: protocol.EventClose})
	default: // heartbeats, tokens
		return m.reply(&f, nil)
	}
}

// join enters the room before it answers, or a message sent right after the answer would miss the newcomer; and it
// keeps the socket for itself meanwhile, or that message would overtake the answer.
func (m *member) join(f *protocol.Frame) error {
	join, errs := protocol.ParseJoin(f.Payload)
	if len(errs) > 0 {
		return errs[0]
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	missed := m.region.server.enter(m, f, &join)
	answer := protocol.Frame{JoinRef: f.JoinRef, Ref: f.Ref, Topic: f.Topic, Event: protocol.EventReply,
		Payload: protocol.ReplyPayload(protocol.StatusOK, protocol.JoinResponse(nil))}
	if err := m.writeLocked(websocket.TextMessage, protocol.AppendText(nil, m.version, &answer)); err != nil {
		return err
	}
	for _, ev := range missed {
		ev.meta.Replayed = true
		kind, b, err := m.encode(f.Topic, ev)
		if err != nil {
			return err
		}
		if err := m.writeLocked(kind, b); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) broadcast(f *protocol.Frame, ev event) error {
	to, answer := m.region.server.publish(m, f.Topic, &ev)
	for _, r := range to {
		_ = r.deliver(f.Topic, ev) // a broken recipient's reader sees to it
	}
	if answer == nil {
		return nil
	}
	return m.text(&protocol.Frame{JoinRef: f.JoinRef, Ref: f.Ref, Topic: f.Topic, Event: protocol.EventReply, Payload: answer})
}

func (m *member) deliver(topic string, ev event) error {
	kind, b, err := m.encode(topic, ev)
	if err != nil {
		return err
	}
	return m.write(kind, b)
}

// encode gives an event the shape that the member's version has for it.
func (m *member) encode(topic string, ev event) (kind int, b []byte, err error) {
	if m.version == protocol.V1 {
		u := protocol.UserBroadcast{Event: ev.name, Payload: ev.payload, Meta: ev.meta, HasMeta: true}
		f := protocol.Frame{Topic: topic, Event: protocol.EventBroadcast, Payload: protocol.AppendUserBroadcast(nil, &u)}
		return websocket.TextMessage, protocol.AppendText(nil, m.version, &f), nil
	}
	b, err = protocol.AppendBroadcast(nil, topic, &protocol.Broadcast{
		Event: ev.name, Encoding: protocol.JSON, Meta: ev.meta.Append(nil), Payload: ev.payload})
	return websocket.BinaryMessage, b, err
}

func (m *member) reply(f *protocol.Frame, response any) error {
	return m.text(&protocol.Frame{JoinRef: f.JoinRef, Ref: f.Ref, Topic: f.Topic, Event: protocol.EventReply,
		Payload: protocol.ReplyPayload(protocol.StatusOK, response)})
}

func (m *member) text(f *protocol.Frame) error {
	return m.write(websocket.TextMessage, protocol.AppendText(nil, m.version, f))
}

func (m *member) write(kind int, b []byte) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.writeLocked(kind, b)
}

// writeLocked is called with writing held.
func (m *member) writeLocked(kind int, b []byte) error {
	if err := m.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	return m.conn.WriteMessage(kind, b)
}
