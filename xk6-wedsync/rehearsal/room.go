package rehearsal

import (
	"encoding/json"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// overlap is how much older than the resume point a replay begins, as on the real server.
const overlap = 5000 << 16

// enter puts a member into its room and returns what it has missed.
func (s *Server) enter(m *member, f *protocol.Frame, j *protocol.Join) []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.room(f.Topic)
	m.topic, m.joinRef, m.key, m.receipts = f.Topic, f.JoinRef, j.Config.Presence.Key, j.Config.Wedsync.Receipts
	r.members[m] = true
	resume := j.Config.Wedsync.Resume
	if resume == nil {
		return nil
	}
	var missed []event
	for _, ev := range r.log {
		if ev.meta.HLC+overlap >= resume.HLC {
			missed = append(missed, ev)
		}
	}
	return missed
}

func (s *Server) leave(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[m.topic]; r != nil {
		delete(r.members, m)
	}
}

func (s *Server) room(topic string) *room {
	r := s.rooms[topic]
	if r == nil {
		r = &room{members: map[*member]bool{}, seen: map[string]bool{}}
		s.rooms[topic] = r
	}
	return r
}

// publish returns who must be sent the event and what the publisher is answered, nil for nothing. A repeated id is
// answered and not sent.
func (s *Server) publish(from *member, topic string, ev *event) (to []*member, answer []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mischief.Refuse != nil && s.mischief.Refuse(ev.meta.ID) {
		return nil, protocol.ReasonPayload(protocol.ReasonUnauthorized)
	}
	if s.mischief.Mute == nil || !s.mischief.Mute(ev.meta.ID) {
		held, _ := json.Marshal(map[string]any{"id": ev.meta.ID, "held": s.names()}) // strings always have a form
		answer = protocol.ReplyPayload(protocol.StatusOK, json.RawMessage(held))
	}
	r := s.room(topic)
	if ev.meta.ID != "" {
		if r.seen[ev.meta.ID] {
			return nil, answer
		}
		r.seen[ev.meta.ID] = true
	}
	s.clock = max(s.clock+1, uint64(time.Now().UnixMilli())<<16)
	ev.meta.HLC = s.clock
	r.log = append(r.log, *ev)
	if len(r.log) > maxLog {
		delete(r.seen, r.log[0].meta.ID)
		r.log = r.log[1:]
	}
	for m := range r.members {
		if m == from || s.mischief.Drop != nil && s.mischief.Drop(ev.meta.ID, m.key) {
			continue
		}
		to = append(to, m)
		if s.mischief.Twice != nil && s.mischief.Twice(ev.meta.ID, m.key) {
			to = append(to, m)
		}
	}
	return to, answer
}

func (s *Server) names() []string {
	var names []string
	for _, r := range s.regions {
		names = append(names, r.name)
	}
	return names
}

// confirm passes on that a member has messages.
func (s *Server) confirm(by *member, ids []string) error {
	s.mu.Lock()
	var to []*member
	if r := s.rooms[by.topic]; r != nil {
		for m := range r.members {
			if m.receipts {
				to = append(to, m)
			}
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		payload := protocol.AppendReceipt(nil, &protocol.Receipt{ID: id, By: by.key, Region: by.region.name})
		for _, m := range to {
			_ = m.text(&protocol.Frame{JoinRef: m.joinRef, Topic: by.topic, Event: protocol.EventReceipt, Payload: payload})
		}
	}
	return nil
}
