package server

import (
	"errors"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/presence"
	"github.com/wedsync/wedsync/server/room"
)

// The texts with which a channel is ended over its presence.
const (
	textPresenceRate  = "Too many presence messages per second"
	textPresenceCalls = "Client presence rate limit exceeded"
	textPresenceSize  = "Track message size exceeded"
)

// presenceOf is a channel's part in the presence of its room.
type presenceOf struct {
	wanted bool          // the client has been sent the state, and is to see changes
	id     uint64        // of its entry; 0 until the first track
	calls  *limit.Window // of track and untrack; nil before the first
}

// present handles a presence push. mu is held.
func (c *session) present(f *protocol.Frame, ch *channel) {
	s := c.server
	push, err := protocol.ParsePresence(f.Payload)
	switch {
	case errors.Is(err, protocol.ErrPresencePayload):
		c.reply(ch, f.Ref, protocol.ReasonPayload(err.Error()))
		return
	case err == nil && push.Event == "":
		c.reply(ch, f.Ref, protocol.ReplyPayload(protocol.StatusOK, nil))
		return
	case err != nil, push.Event != protocol.PresenceTrack && push.Event != protocol.PresenceUntrack,
		len(ch.Key) > presence.MaxKey, !c.may(ch, &ch.rights.writePresence, auth.Presence):
		c.reply(ch, f.Ref, protocol.ReplyPayload(protocol.StatusError, nil))
		return
	}
	if text := c.overPresence(ch, len(push.Payload)); text != "" {
		c.end(ch, text)
		return
	}
	if push.Event == protocol.PresenceUntrack {
		c.untrack(ch)
	} else {
		if ch.presence.id == 0 {
			ch.presence.id = s.presence.NewID()
		}
		s.presence.Track(ch.presence.id, presence.Entry{Room: ch.room, Path: ch.Path, Key: ch.Key, Payload: push.Payload})
		if !ch.presence.wanted && ch.rights.readPresence { // who shows itself may see the others
			ch.presence.wanted = true
			// A state undoes diffs that come between its making and its sending; none does meanwhile.
			s.hub.Change(&ch.Member, func(*room.Member) { c.sendPresence(ch) })
		}
	}
	c.reply(ch, f.Ref, protocol.ReplyPayload(protocol.StatusOK, nil))
}

// overPresence says which limit a track or untrack is over, or nothing. mu is held.
func (c *session) overPresence(ch *channel, size int) string {
	s := c.server
	if most := s.cfg.Limits.PayloadBytes; size > presence.MaxPayload || most > 0 && size > most {
		s.limits.Reached(limit.Payload)
		return textPresenceSize
	}
	if ch.presence.calls == nil {
		calls := limit.NewWindow(s.cfg.Limits.PresenceCalls, s.cfg.Limits.PresenceWindow)
		ch.presence.calls = &calls
	}
	if !ch.presence.calls.Take(time.Now()) {
		s.limits.Reached(limit.PresenceCalls)
		return textPresenceCalls
	}
	if s.limits.Presence.Add(1); s.limits.Presence.Exceeded() {
		s.limits.Reached(limit.Presence)
		return textPresenceRate
	}
	return ""
}

// untrack takes the channel out of the presence of its room. mu is held.
func (c *session) untrack(ch *channel) {
	if ch.presence.id != 0 {
		c.server.presence.Untrack(ch.presence.id)
		ch.presence.id = 0
	}
}

// depart takes a channel that has ended out of the presence of its room, but not at once if its client has been
// sent to another node: it is not to be seen leaving. mu is held.
func (c *session) depart(ch *channel) {
	if ch.presence.id != 0 && c.server.isStopping() {
		c.server.presence.Depart(ch.presence.id)
		ch.presence.id = 0
	}
	c.untrack(ch)
}

// sendPresence sends who is there, if the client wants to know it: clients wait for that, so one that may
// not know it is told of nobody. The channel is in its room already: whatever the state has not, a diff
// brings. mu is held.
func (c *session) sendPresence(ch *channel) {
	if !ch.presence.wanted {
		return
	}
	var state []byte
	if ch.rights.readPresence {
		c.server.limits.Presence.Add(1)
		state = c.server.presence.State(ch.room, ch.Path)
	}
	c.send(protocol.Normal, ch.joinRef, "", ch.topic, protocol.EventPresenceState, state)
}

// tellPresence is called for everything that changes in a room.
func (s *Server) tellPresence(room string, d *presence.Diff) {
	s.limits.Presence.Add(s.hub.Presence(room, d.Payload))
}
