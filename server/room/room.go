// Package room is one topic, or one tree of topics, on one node: who has joined it, and the fan-out of an event to them.
//
// A public and a private channel of the same name are different rooms, so a room's name says which
// it is ("public:wed:42", "private:wed:42"). A Hub holds the rooms of a node; a room exists while
// it has members.
//
// Hierarchical topics (see Tree) are places in one room: whoever has joined the top of a wedding is
// sent what is published below it, and what is urgent goes to everybody in the room.
//
// Fan-out is the hot path. An event is encoded at most once per place and wire version, whatever the
// number of members, and the finished frame is shared by all their queues: a member more costs a few words
// in a queue and a system call, no copy and no encoding.
package room

import (
	"slices"
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/socket"
)

// Sink is where a member's frames go; a *socket.Socket. Its methods must not block.
type Sink interface {
	Send(lane protocol.Lane, f socket.Frame) bool
	Offer(f socket.Frame, from socket.Source) bool // on the bulk lane
}

// Member is one joined channel of one socket. What a fan-out looks at stands first, in one cache line.
type Member struct {
	Sink     Sink
	told     *told // nil without History
	Version  protocol.Version
	Self     bool // wants its own broadcasts back
	Second   bool // is not sent bulk: another session of the member is
	Deaf     bool // may not have broadcasts: its rights are for presence alone
	Presence bool // may see who is there
	Receipts bool // wants to know who has which urgent message
	History  bool // is sent history after its join, and nothing twice
	Missed   bool // wants to know how much bulk did not reach it

	Key  string // presence key: the name under which others know the member
	Path string // of its topic in the room, see Tree

	room  *Room
	place *place
	index int // in place.members
}

// Room is one topic, or one tree of them. Its zero value is not usable; a Hub makes it.
type Room struct {
	name string

	mu     sync.RWMutex // guards the following
	places []*place     // none of them empty
}

func (r *Room) add(m *Member, first func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first()
	r.place(m.Path).add(m)
	m.room = r
	m.begin()
}

// place finds or makes the place of a path. mu is held.
func (r *Room) place(path string) *place {
	for _, p := range r.places {
		if p.path == path {
			return p
		}
	}
	p := &place{path: path, topic: protocol.WireTopic(SubTopic(r.name, path))}
	r.places = append(r.places, p)
	return p
}

// remove reports whether members are left.
func (r *Room) remove(m *Member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(m)
	return len(r.places) > 0
}

// leave takes a member out of its place. mu is held.
func (r *Room) leave(m *Member) {
	if m.place.remove(m); len(m.place.members) == 0 {
		r.places = slices.DeleteFunc(r.places, func(p *place) bool { return p == m.place })
	}
}

// swap puts m in the room and old out of it.
func (r *Room) swap(old, m *Member, first func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first()
	r.place(m.Path).add(m)
	m.room = r
	m.begin()
	r.leave(old)
}

// change lets f change what a member is sent.
func (r *Room) change(m *Member, f func(*Member)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(m)
}

// deliver queues an event for every member whom it concerns, but not for a sender that does not want it
// back. It allocates one frame per place and wire version in use.
func (r *Room) deliver(ev *backbone.Event, sender *Member, flaw Flaw) (delivered, flawed int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range r.places {
		if !Concerns(p.path, ev.Path, ev.Lane) {
			continue
		}
		var encoded [len(versions)]encoding
		for _, m := range p.members {
			if m == sender && !m.Self || m.Deaf || m.Second && ev.Lane == protocol.Bulk {
				continue
			}
			e := &encoded[m.Version-1]
			if !e.tried {
				e.tried = true
				e.frame, e.ok = Live(p.topic, p.path, m.Version, ev)
			}
			switch {
			case !e.ok || m.told != nil && m.told.again(ev.ID, false):
			case ev.Lane == protocol.Urgent && flaw.hits(ev.ID, m.Key):
				flawed++
				flaw.send(m.Sink, ev.Lane, e.frame)
			case m.send(ev.Lane, e.frame):
				delivered++
			}
		}
	}
	return delivered, flawed
}

func (m *Member) send(lane protocol.Lane, f socket.Frame) bool {
	if lane == protocol.Bulk {
		return m.Sink.Offer(f, m)
	}
	return m.Sink.Send(lane, f)
}

// Shed is the word to a member that so many bulk messages did not reach it, if it wants to know.
func (m *Member) Shed(frames int64) (socket.Frame, bool) {
	if !m.Missed {
		return socket.Frame{}, false
	}
	f := protocol.Frame{Topic: m.place.topic, Event: protocol.EventSystem,
		Payload: protocol.ShedPayload(SubTopic(m.room.name, m.Path), frames)}
	return textFrame(m.Version, &f), true
}

// receipt tells the members that asked for receipts who has a message.
func (r *Room) receipt(rc *protocol.Receipt) {
	r.tell(protocol.EventReceipt,
		func(string) []byte { return protocol.AppendReceipt(nil, rc) },
		func(m *Member) bool { return m.Receipts })
}

// presence tells the members that may know it who came and went.
func (r *Room) presence(payload func(path string) []byte) (told int) {
	return r.tell(protocol.EventPresenceDiff, payload, func(m *Member) bool { return m.Presence })
}

// tell sends a text message of the server on the normal lane. A place without a payload is passed over.
func (r *Room) tell(event string, payload func(path string) []byte, wants func(*Member) bool) (told int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range r.places {
		f := protocol.Frame{Topic: p.topic, Event: event}
		var encoded [len(versions)]encoding
		for _, m := range p.members {
			if !wants(m) {
				continue
			}
			if f.Payload == nil {
				if f.Payload = payload(p.path); f.Payload == nil {
					break
				}
			}
			e := &encoded[m.Version-1]
			if !e.tried {
				e.tried = true
				e.frame = textFrame(m.Version, &f)
			}
			if m.Sink.Send(protocol.Normal, e.frame) {
				told++
			}
		}
	}
	return told
}

func textFrame(v protocol.Version, f *protocol.Frame) socket.Frame {
	return socket.Text(protocol.AppendText(socket.Begin(len(f.Topic)+len(f.Payload)+64), v, f))
}

// encoding is the finished frame of an event in one wire version.
type encoding struct {
	tried, ok bool
	frame     socket.Frame
}

// versions are the wire versions, in the order of their numbers from 1.
var versions = [...]protocol.Version{protocol.V1, protocol.V2}

// age is how long ago the event was accepted, by the wall clocks of two nodes.
func age(ev *backbone.Event, now time.Time) time.Duration {
	const counterBits = 16
	return max(0, now.Sub(time.UnixMilli(int64(ev.HLC>>counterBits))))
}
