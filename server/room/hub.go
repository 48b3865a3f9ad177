package room

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/telemetry"
)

// shards keep joins of different rooms from waiting for each other in a storm.
const shards = 64

// Hub is every room of a node.
type Hub struct {
	metrics *telemetry.Metrics
	flaw    Flaw
	seed    maphash.Seed
	shards  [shards]shard
}

type shard struct {
	mu    sync.RWMutex // guards the following; taken before a room's
	rooms map[string]*Room
}

// NewHub returns an empty hub. flaw is None outside of tests of the checker.
func NewHub(m *telemetry.Metrics, flaw Flaw) *Hub {
	h := &Hub{metrics: m, flaw: flaw, seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].rooms = map[string]*Room{}
	}
	return h
}

func (h *Hub) shard(name string) *shard {
	return &h.shards[maphash.String(h.seed, name)%shards]
}

// Join makes m a member of a room. It calls first, which sends the answer to the join: what is
// delivered after that reaches m, and nothing that was delivered before does. So whoever has the
// answer misses nothing, and nothing comes before the answer. first must not block.
func (h *Hub) Join(name string, m *Member, first func()) {
	s := h.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[name]
	if r == nil {
		r = &Room{name: name}
		s.rooms[name] = r
	}
	r.add(m, first)
	h.metrics.Subscriptions.Inc()
}

// Leave ends a membership. When it returns, nothing more is queued for the member, but what a
// delaying flaw holds back.
func (h *Hub) Leave(m *Member) {
	s := h.shard(m.room.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.room.remove(m) {
		delete(s.rooms, m.room.name)
	}
	h.metrics.Subscriptions.Dec()
}

// Replace ends a membership and begins another of the same socket, as Join does. In the same room it
// happens in one step, so that the socket misses nothing and gets nothing twice.
func (h *Hub) Replace(old *Member, name string, m *Member, first func()) {
	if r := old.room; r.name == name {
		r.swap(old, m, first)
		return
	}
	h.Join(name, m, first)
	h.Leave(old)
}

func (h *Hub) room(name string) *Room {
	s := h.shard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rooms[name]
}

// Change lets f change what a member is sent: its exported fields, of which Path, Version, Sink and Missed
// must stay.
func (h *Hub) Change(m *Member, f func(*Member)) { m.room.change(m, f) }

// Deliver queues an event for the members of its room on this node whom it concerns, and returns how
// many. sender is the member that published it here, or nil.
func (h *Hub) Deliver(ev *backbone.Event, sender *Member) (delivered int) {
	flawed := 0
	if r := h.room(ev.Room); r != nil {
		delivered, flawed = r.deliver(ev, sender, h.flaw)
	}
	h.metrics.FanoutRecipients.Observe(float64(delivered))
	h.metrics.Delivered[ev.Lane].Add(float64(delivered))
	if flawed > 0 {
		h.metrics.MessagesDropped.WithLabelValues("flaw").Add(float64(flawed))
	}
	if delivered > 0 && !ev.Replayed {
		h.metrics.DeliveryLatency[ev.Lane].Observe(age(ev, time.Now()).Seconds())
	}
	return delivered
}

// Presence tells the members of a room on this node who came and went, and returns how many were told.
// payload gives the presence_diff as it is seen at a path, or nil.
func (h *Hub) Presence(name string, payload func(path string) []byte) (told int) {
	if r := h.room(name); r != nil {
		return r.presence(payload)
	}
	return 0
}

// Replay queues a stored event for one member if it concerns it, misbehaving like Deliver if the node
// shall.
func (h *Hub) Replay(m *Member, joinRef protocol.Ref, ev *backbone.Event) {
	if !Concerns(m.Path, ev.Path, ev.Lane) {
		return
	}
	stored := *ev
	stored.Replayed = true
	f, ok := Replayed(m.place.topic, m.Path, joinRef, m.Version, &stored)
	switch {
	case !ok || m.told != nil && m.told.again(ev.ID, true):
	case ev.Lane == protocol.Urgent && h.flaw.hits(ev.ID, m.Key):
		h.metrics.MessagesDropped.WithLabelValues("flaw").Inc()
		h.flaw.send(m.Sink, ev.Lane, f)
	case m.Sink.Send(ev.Lane, f):
		h.metrics.MessagesReplayed.Inc()
	}
}

// Caught says that a member with History has been sent all of it.
func (h *Hub) Caught(m *Member) {
	if m.told != nil {
		m.told.catch()
	}
}

// Receipt tells the members of a room on this node, those that asked for it, who has a message.
// All of them and not the publisher alone: it may have moved to this node after it published.
func (h *Hub) Receipt(name string, rc *protocol.Receipt) {
	if r := h.room(name); r != nil {
		r.receipt(rc)
	}
}
