// Package room is one topic on one node: who has joined it, and the fan-out of an event to them.
//
// A public and a private channel of the same name are different rooms, so a room's name says which
// it is ("public:wed:42", "private:wed:42"). A Hub holds the rooms of a node; a room exists while
// it has members.
//
// Fan-out is the hot path. An event is encoded at most once per wire version, whatever the number
// of members, and the finished frame is shared by all their queues: a member more costs a few words
// in a queue and a system call, no copy and no encoding.
package room

import (
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/socket"
)

// Sink is where a member's frames go; a *socket.Socket. Send must not block.
type Sink interface {
	Send(lane protocol.Lane, f socket.Frame) bool
}

// Member is one joined channel of one socket.
type Member struct {
	Sink     Sink
	Version  protocol.Version
	Key      string // presence key: the name under which others know the member
	Self     bool   // wants its own broadcasts back
	Receipts bool   // wants to know who has which urgent message

	room  *Room
	index int // in room.members
}

// Name returns the name of a room.
func Name(private bool, sub string) string {
	if private {
		return "private:" + sub
	}
	return "public:" + sub
}

// Room is one topic. Its zero value is not usable; a Hub makes it.
type Room struct {
	name  string
	topic string // on the wire

	mu      sync.RWMutex // guards the following
	members []*Member
}

func (r *Room) add(m *Member, first func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first()
	m.room, m.index = r, len(r.members)
	r.members = append(r.members, m)
}

// remove reports how many members are left.
func (r *Room) remove(m *Member) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.members) - 1
	r.members[m.index] = r.members[last]
	r.members[m.index].index = m.index
	r.members[last] = nil
	r.members = r.members[:last]
	return last
}

// swap puts m in the place of old.
func (r *Room) swap(old, m *Member, first func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first()
	m.room, m.index = r, old.index
	r.members[m.index] = m
}

// deliver queues an event for every member but a sender that does not want it back. It allocates
// one frame per wire version in use.
func (r *Room) deliver(ev *backbone.Event, sender *Member, flaw Flaw) (delivered, flawed int) {
	var encoded [len(versions)]encoding
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		if m == sender && !m.Self {
			continue
		}
		e := &encoded[m.Version-1]
		if !e.tried {
			e.tried = true
			e.frame, e.ok = Live(r.topic, m.Version, ev)
		}
		switch {
		case !e.ok:
		case ev.Lane == protocol.Urgent && flaw.hits(ev.ID, m.Key):
			flawed++
			flaw.send(m.Sink, ev.Lane, e.frame)
		case m.Sink.Send(ev.Lane, e.frame):
			delivered++
		}
	}
	return delivered, flawed
}

// receipt tells the members that asked for receipts who has a message.
func (r *Room) receipt(rc *protocol.Receipt) {
	var encoded [len(versions)]encoding
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		if !m.Receipts {
			continue
		}
		e := &encoded[m.Version-1]
		if !e.tried {
			e.tried = true
			f := protocol.Frame{Topic: r.topic, Event: protocol.EventReceipt, Payload: protocol.AppendReceipt(nil, rc)}
			e.frame = socket.Text(protocol.AppendText(socket.Begin(len(f.Topic)+len(f.Payload)+64), m.Version, &f))
		}
		m.Sink.Send(protocol.Normal, e.frame)
	}
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
