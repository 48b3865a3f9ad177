package client

import (
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// member is one joined socket.
type member struct {
	p       *peer
	v       protocol.Version
	conn    *websocket.Conn
	joinRef protocol.Ref
	out     chan outgoing
	done    chan struct{}
}

type outgoing struct {
	kind  int
	frame []byte
}

func (m *member) write() {
	for {
		select {
		case o := <-m.out:
			if m.conn.WriteMessage(o.kind, o.frame) != nil {
				return
			}
		case <-m.done:
			return
		}
	}
}

func (m *member) read() {
	p := m.p
	for {
		kind, b, err := m.conn.ReadMessage()
		if err != nil {
			if closed, ok := err.(*websocket.CloseError); ok && closed.Code != websocket.CloseAbnormalClosure {
				p.w.mu.Lock()
				p.closes = append(p.closes, closed.Code)
				p.w.mu.Unlock()
			}
			return
		}
		var f protocol.Frame
		if kind == websocket.BinaryMessage {
			f, err = protocol.DecodePush(b)
		} else {
			f, err = protocol.DecodeText(m.v, b)
		}
		if err != nil {
			p.w.t.Errorf("the client sent %q: %v", b, err)
			return
		}
		p.w.mu.Lock()
		delay := p.delay
		p.w.mu.Unlock()
		if delay > 0 && f.Event != protocol.EventHeartbeat {
			p.running.Go(func() {
				time.Sleep(delay)
				m.handle(f)
			})
			continue
		}
		m.handle(f)
	}
}

func (m *member) handle(f protocol.Frame) {
	p := m.p
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	switch f.Event {
	case protocol.EventHeartbeat:
		p.beats = append(p.beats, time.Now())
		m.reply(f, protocol.ReplyPayload(protocol.StatusOK, nil))
	case protocol.EventJoin:
		m.join(f)
	case protocol.EventLeave:
		p.leaves++
		delete(p.members, m)
		m.reply(f, protocol.ReplyPayload(protocol.StatusOK, nil))
		m.push(protocol.EventClose, m.joinRef, nil)
	case protocol.EventReceipt:
		ids, err := protocol.ParseConfirm(f.Payload)
		if err != nil {
			p.w.t.Errorf("confirmation: %v", err)
		}
		p.confirms = append(p.confirms, ids)
	case protocol.EventBroadcast:
		m.broadcast(f)
	default:
		p.w.t.Errorf("unexpected %s", f.String())
	}
}

func (m *member) join(f protocol.Frame) {
	p := m.p
	j, errs := protocol.ParseJoin(f.Payload)
	if len(errs) > 0 || f.Topic != protocol.WireTopic(testTopic) {
		p.w.t.Errorf("join of %s: %v", f.Topic, errs)
	}
	p.joins = append(p.joins, j)
	if p.onJoin != nil {
		if reply := p.onJoin(m, j); reply != nil {
			if len(reply) > 0 {
				m.reply(f, reply)
			}
			return
		}
	}
	m.joinRef = f.JoinRef
	p.members[m] = true
	m.reply(f, protocol.ReplyPayload(protocol.StatusOK, protocol.JoinResponse(nil)))
	if r := j.Config.Wedsync.Resume; r != nil {
		const overlap = 5000 << 16
		for _, s := range p.w.log {
			if s.meta.HLC+overlap >= r.HLC {
				s.meta.Replayed = true
				m.tell(s)
			}
		}
		m.push(protocol.EventSystem, "", protocol.SystemPayload(protocol.ExtensionWedsync, protocol.StatusOK, protocol.Resumed, testTopic))
	}
}

func (m *member) broadcast(f protocol.Frame) {
	p := m.p
	var meta protocol.Meta
	var event string
	var payload []byte
	if b := f.Broadcast; b != nil {
		meta, _ = protocol.ParseMeta(b.Meta)
		event, payload = b.Event, b.Payload
	} else {
		u, err := protocol.ParseUserBroadcast(f.Payload)
		if err != nil {
			p.w.t.Errorf("broadcast: %v", err)
		}
		meta, event, payload = u.Meta, u.Event, u.Payload
	}
	p.pushes = append(p.pushes, meta)
	if p.onPush != nil {
		if reply := p.onPush(m, meta); reply != nil {
			if len(reply) > 0 {
				m.reply(f, reply)
			}
			return
		}
	}
	p.w.sayLocked(meta, event, payload, m)
	m.reply(f, protocol.ReplyPayload(protocol.StatusOK, map[string]any{"id": meta.ID, "held": []string{p.region, "elsewhere"}}))
}

// tell sends an event as the member's version has it.
func (m *member) tell(s said) {
	if m.v == protocol.V2 {
		frame, err := protocol.AppendBroadcast(nil, protocol.WireTopic(testTopic),
			&protocol.Broadcast{Event: s.event, Encoding: protocol.JSON, Meta: s.meta.Append(nil), Payload: s.payload})
		if err != nil {
			m.p.w.t.Error(err)
		}
		m.send(websocket.BinaryMessage, frame)
		return
	}
	u := protocol.UserBroadcast{Event: s.event, Payload: s.payload, Meta: s.meta, HasMeta: true}
	m.push(protocol.EventBroadcast, "", protocol.AppendUserBroadcast(nil, &u))
}

func (m *member) reply(f protocol.Frame, payload []byte) {
	m.sendText(&protocol.Frame{JoinRef: f.JoinRef, Ref: f.Ref, Topic: f.Topic, Event: protocol.EventReply, Payload: payload})
}

func (m *member) push(event string, ref protocol.Ref, payload []byte) {
	m.sendText(&protocol.Frame{JoinRef: m.joinRef, Ref: ref, Topic: protocol.WireTopic(testTopic), Event: event, Payload: payload})
}

func (m *member) sendText(f *protocol.Frame) {
	m.send(websocket.TextMessage, protocol.AppendText(nil, m.v, f))
}

func (m *member) send(kind int, frame []byte) {
	select {
	case m.out <- outgoing{kind, frame}:
	default:
		m.p.w.t.Errorf("%s: a member does not read", m.p.region)
	}
}
