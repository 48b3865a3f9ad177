package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/receipt"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/socket"
	"github.com/wedsync/wedsync/server/urgent"
)

// The reasons for not saying ok. Clients tell by their first word whether the message is certainly not
// published (protocol.Definite).
const (
	reasonNotHeld  = protocol.ReasonNotHeld + ": two regions did not confirm the message in time, it may or may not arrive; send it again with the same id"
	reasonStopping = protocol.ReasonRestarting + ": the node is stopping; send the message again with the same id"
)

// The reasons for not taking a bulk message.
const (
	reasonTooMuchBulk  = "TooMuchBulk: the node has no room for bulk now; send less of it, or later"
	reasonTooLargeBulk = protocol.ReasonPayloadTooLarge + ": a bulk message has at most 262144 bytes; put the data into object storage and broadcast its URL"
)

// textEvents ends a channel that says too much.
const textEvents = "Too many messages per second"

// broadcast handles what a member says to its room. mu is held.
func (c *session) broadcast(f *protocol.Frame, ch *channel) {
	s := c.server
	payload := f.Payload
	if f.Broadcast != nil {
		payload = f.Broadcast.Payload
	}
	rate := s.limits.Events
	defer func() { rate.Add(1) }()
	if most := s.cfg.Limits.PayloadBytes; most > 0 && len(payload) > most {
		s.limits.Reached(limit.Payload)
		s.metrics.MessagesDropped.WithLabelValues("size").Inc()
		if ch.ack {
			c.reply(ch, f.Ref, protocol.ReplyPayload(protocol.StatusError, protocol.ReasonPayloadTooLarge))
		}
		return
	}
	if !c.may(ch, &ch.rights.writeBroadcast, auth.Broadcast) { // in silence, as the original
		s.metrics.MessagesDropped.WithLabelValues("denied").Inc()
		return
	}
	ev, err := event(f, ch)
	if err == nil {
		err = receipt.Reserved(ev.Name, ev.ID)
	}
	if err == nil {
		if err = ev.Validate(); err != nil {
			err = fmt.Errorf(protocol.ReasonMalformed+": %w", err)
		}
	}
	if err != nil {
		s.metrics.MessagesDropped.WithLabelValues("encoding").Inc()
		s.log.Info("dropping a broadcast", "topic", f.Topic, "err", err)
		if ch.ack {
			c.reply(ch, f.Ref, protocol.ReasonPayload(err.Error()))
		}
		return
	}
	if rate = s.limits.EventsOf(ev.Lane); ev.Lane == protocol.Bulk {
		c.offer(ev, ch, f.Ref)
		return
	}
	// Nothing stops an urgent message, and it is the sender alone that pays: the original also shuts down
	// the channels that receive, which would let one sender silence a wedding.
	if ev.Lane == protocol.Normal && s.limits.Events.Exceeded() {
		s.limits.Reached(limit.Events)
		s.metrics.MessagesDropped.WithLabelValues("rate").Inc()
		c.end(ch, textEvents)
		return
	}
	if ev.Lane == protocol.Normal && !ch.ack {
		c.cast(ev, ch)
		return
	}
	c.publish(ev, ch, f.Ref)
}

// event is what a frame says, with bytes of its own: those of the frame are the socket's.
func event(f *protocol.Frame, ch *channel) (*backbone.Event, error) {
	ev := &backbone.Event{Room: ch.room, Path: ch.Path, From: ch.from}
	if b := f.Broadcast; b != nil {
		meta, err := protocol.ParseMeta(b.Meta)
		if err != nil { // it may hold an id that the publisher counts on
			return nil, err
		}
		ev.ID, ev.Name, ev.Lane = meta.ID, b.Event, protocol.LaneOf(b.Event, meta)
		ev.Form = backbone.JSON
		if b.Encoding == protocol.Binary {
			ev.Form = backbone.Binary
		}
		ev.Payload = bytes.Clone(b.Payload)
		return ev, nil
	}
	// The original forwards any text payload, whatever is in it. Metadata that is not ours is the
	// application's business.
	u, err := protocol.ParseUserBroadcast(f.Payload)
	if err == nil && u.HasMeta {
		ev.ID = u.Meta.ID
	}
	ev.Name, ev.Lane, ev.Form = u.Event, protocol.LaneOf(u.Event, u.Meta), backbone.Text
	ev.Payload = bytes.Clone(f.Payload)
	return ev, nil
}

// publication is a broadcast of a member of this node on its way.
type publication struct {
	member *room.Member
	live   chan struct{} // closed when the local members have it; nil if nobody waits for that
	once   sync.Once
}

func (p *publication) isLive() {
	if p.live != nil {
		p.once.Do(func() { close(p.live) })
	}
}

// cast sends a broadcast that no region is to hold, and reports whether it left the node. mu is held.
func (c *session) cast(ev *backbone.Event, ch *channel) bool {
	ev.Sender = &publication{member: &ch.Member}
	outcome := "ok"
	err := c.server.lane.Cast(c.server.ctx, ev)
	if err != nil {
		outcome = "unknown"
		c.server.log.Warn("a broadcast did not reach every node", "room", ev.Room, "err", err)
	}
	c.server.metrics.MessagesPublished.WithLabelValues(ev.Lane.String(), outcome).Inc()
	return err == nil
}

// offer sends a bulk broadcast, and says ok once this node has taken it: no region holds bulk. More of it
// than the limit on events allows is turned away, and the channel goes on. mu is held.
func (c *session) offer(ev *backbone.Event, ch *channel, ref protocol.Ref) {
	s := c.server
	refuse := func(name limit.Name, dropped, reason string) {
		s.limits.Reached(name)
		s.metrics.MessagesDropped.WithLabelValues(dropped).Inc()
		if ch.ack {
			c.reply(ch, ref, protocol.ReasonPayload(reason))
		}
	}
	switch {
	case len(ev.Payload) > socket.MaxBulk:
		refuse(limit.Payload, "size", reasonTooLargeBulk)
		return
	case !s.limits.RoomForBulk(1):
		refuse(limit.Events, "rate", reasonTooMuchBulk)
		return
	case ev.ID == "": // recipients with two homes get it twice, and know it by this
		ev.ID = uuid.NewString()
	}
	sent := c.cast(ev, ch)
	switch {
	case !ch.ack:
	case sent:
		c.reply(ch, ref, okWith(heldResponse(ev.ID, nil)))
	default:
		c.reply(ch, ref, protocol.ReasonPayload(reasonStopping))
	}
}

// orderPatience bounds how long a member's next frame waits for its broadcast to be live. That takes
// microseconds, but never happens for an id that is published again.
const orderPatience = 50 * time.Millisecond

// publish sends a broadcast that two regions are to hold, and answers once they do. It returns when
// the local members have it, so that one member's broadcasts keep their order. mu is held.
func (c *session) publish(ev *backbone.Event, ch *channel, ref protocol.Ref) {
	if c.slots == nil {
		c.slots = make(chan struct{}, c.server.cfg.MaxInFlight)
	}
	c.slots <- struct{}{} // a member that publishes faster than regions can hold waits here
	p := &publication{member: &ch.Member, live: make(chan struct{})}
	ev.Sender = p
	// Owner: the server; ends within the lane's deadline, also if the socket has gone meanwhile;
	// bounded by MaxInFlight per socket.
	c.server.tasks.Go(func() {
		held, err := c.server.lane.Publish(c.server.ctx, ev)
		p.isLive()
		c.answer(ev, ch, ref, held, err)
		<-c.slots
	})
	patience := time.NewTimer(orderPatience)
	defer patience.Stop()
	select {
	case <-p.live:
	case <-patience.C:
	}
}

// answer tells the publisher what became of its broadcast, if it asked.
func (c *session) answer(ev *backbone.Event, ch *channel, ref protocol.Ref, held urgent.Held, err error) {
	s := c.server
	if err == nil {
		s.metrics.MessagesPublished.WithLabelValues(ev.Lane.String(), "ok").Inc()
		if ch.ack {
			c.reply(ch, ref, okWith(heldResponse(ev.ID, held.Regions)))
		}
		return
	}
	s.metrics.MessagesPublished.WithLabelValues(ev.Lane.String(), "unknown").Inc()
	s.log.Warn("a broadcast is not held by two regions", "id", ev.ID, "room", ev.Room, "err", err)
	if !ch.ack {
		return
	}
	reason := reasonStopping
	if errors.Is(err, urgent.ErrNotHeld) {
		reason = reasonNotHeld
	}
	c.reply(ch, ref, protocol.ReasonPayload(reason))
}

// heldResponse is {"id":…,"held":[regions]}.
func heldResponse(id string, regions []string) json.RawMessage {
	if regions == nil {
		regions = []string{}
	}
	b, err := json.Marshal(struct {
		ID   string   `json:"id"`
		Held []string `json:"held"`
	}{id, regions})
	if err != nil { // strings have a JSON form
		return nil
	}
	return b
}

// confirm handles receipt: the member has these messages. There is no reply. mu is held.
func (c *session) confirm(f *protocol.Frame, ch *channel) {
	ids, err := protocol.ParseConfirm(f.Payload)
	if err != nil {
		c.server.metrics.FramesMalformed.Inc()
		c.server.log.Debug("ignoring a receipt", "err", err)
		return
	}
	for _, id := range ids {
		c.server.lane.Confirm(c.server.ctx, urgent.Receipt{ID: id, Room: ch.room, By: ch.Key, Region: c.server.cfg.Region})
	}
}
