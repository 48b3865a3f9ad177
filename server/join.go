package server

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/room"
)

// The reasons for refusing a join, with the codes that clients match on.
const (
	reasonChannels    = "ChannelRateLimitReached: Too many channels"
	reasonRead        = protocol.ReasonUnauthorized + ": You do not have permissions to read from this Channel topic: "
	reasonTopic       = "UnknownErrorOnChannel: The topic is too long"
	reasonReplayRoom  = "UnableToReplayMessages: Replay is not allowed for public channels"
	reasonReplayParam = "UnableToReplayMessages: Replay params are not valid"

	reasonRestarting = "RealtimeRestarting: Realtime is restarting, please standby"

	textNoDatabase = "No database is configured on this server: subscriptions to Postgres changes receive nothing"
)

// join handles phx_join. old is the channel that the topic has already, or nil: its life ends, but
// not its place in the room, so that nothing is missed in between. mu is held.
func (c *session) join(f *protocol.Frame, old *channel) {
	sub, err := protocol.SubTopic(f.Topic)
	if errors.Is(err, protocol.ErrUnmatchedTopic) {
		c.send(protocol.Urgent, "", f.Ref, f.Topic, protocol.EventReply, protocol.ReasonPayload(err.Error()))
		return
	}
	j, wrong := protocol.ParseJoin(f.Payload)
	if len(wrong) > 0 { // the rest of it counts
		c.server.log.Info("a join has wrong fields", "code", "InvalidJoinPayload", "topic", f.Topic, "err", errors.Join(wrong...))
	}
	var claims *auth.Claims
	reason := ""
	if err != nil {
		reason = err.Error()
	} else {
		claims, reason = c.judge(sub, &j, old)
	}
	if reason != "" {
		if old != nil {
			c.remove(old)
			c.sendClose(protocol.Normal, old)
		}
		c.refuse(f, reason)
		return
	}
	c.admit(f, sub, &j, claims, old)
}

// judge returns under whose claims a join happens, or the reason why it does not. mu is held.
func (c *session) judge(sub string, j *protocol.Join, old *channel) (*auth.Claims, string) {
	s := c.server
	if old == nil && len(c.channels) >= s.cfg.MaxChannels {
		return nil, reasonChannels
	}
	if len(room.Name(true, sub)) > backbone.MaxRoom {
		return nil, reasonTopic
	}
	claims, err := c.bearer(j.AccessToken)
	if err != nil {
		return nil, joinReason(err)
	}
	if j.Config.Private && !s.cfg.Policy(claims, sub, auth.Broadcast, auth.Read) {
		return nil, reasonRead + sub
	}
	if resume := j.Config.Wedsync.Resume; resume != nil {
		if why := s.unfit(resume.Returning); why != "" {
			s.log.Debug("a member that resumes is sent elsewhere", "why", why)
			return nil, reasonRestarting
		}
	}
	if replay := j.Config.Broadcast.Replay; replay != nil {
		if !j.Config.Private {
			return nil, reasonReplayRoom
		}
		if replay.Since == nil || *replay.Since < 0 {
			return nil, reasonReplayParam
		}
	}
	return claims, ""
}

// unfit says why the node cannot take a member that resumes, or nothing. A node that has been away does not
// know yet what it has missed, so it cannot serve it. A member that has a session elsewhere is also not
// taken while no other region can be reached: here it would hear only what is said here.
func (s *Server) unfit(returning bool) string {
	if ok, why := s.backbone.CaughtUp(); !ok {
		return why
	}
	if returning {
		if err := s.backbone.Ready(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// admit makes the channel. The order is the protocol's: the reply, the end of the old life, then
// what follows a join. mu is held.
func (c *session) admit(f *protocol.Frame, sub string, j *protocol.Join, claims *auth.Claims, old *channel) {
	config := &j.Config
	ch := &channel{
		Member: room.Member{
			Sink: c.socket, Version: c.version, Key: config.Presence.Key,
			Self: config.Broadcast.Self, Receipts: config.Wedsync.Receipts,
		},
		topic: f.Topic, sub: sub, room: room.Name(config.Private, sub), joinRef: f.JoinRef,
		private: config.Private, ack: config.Broadcast.Ack, from: config.Presence.Key,
		claims: claims,
	}
	if ch.Key == "" {
		ch.Key = uuid.NewString()
	}
	if len(ch.from) > backbone.MaxName {
		ch.from = "" // a name of that length tells nobody anything
	}
	if j.AccessToken != "" {
		ch.token = hashToken(j.AccessToken)
	}
	if ch.joinRef == "" {
		ch.joinRef = f.Ref // a version 1 client may leave join_ref out
	}
	answer := func() {
		c.send(protocol.Urgent, f.JoinRef, f.Ref, f.Topic, protocol.EventReply, okWith(protocol.JoinResponse(config.PostgresChanges)))
	}
	if old == nil {
		c.server.hub.Join(ch.room, &ch.Member, answer)
		c.channels = append(c.channels, ch)
	} else {
		old.stopExpiry()
		old.left.Store(true)
		c.server.hub.Replace(&old.Member, ch.room, &ch.Member, answer)
		c.sendClose(protocol.Urgent, old) // follows the answer in its lane
		c.channels[slices.Index(c.channels, old)] = ch
	}
	c.watchExpiry(ch)
	c.server.metrics.ChannelJoins.WithLabelValues("ok").Inc()
	c.follow(ch, config)
}

// follow sends what a client expects after the reply to its join. mu is held.
func (c *session) follow(ch *channel, config *protocol.JoinConfig) {
	c.startReplay(ch, config)
	if len(config.PostgresChanges) > 0 {
		c.sendSystem(protocol.Urgent, ch, "postgres_changes", protocol.StatusError, textNoDatabase)
	}
	if config.Broadcast.ReplicationReady {
		c.sendSystem(protocol.Urgent, ch, "system", protocol.StatusError, textNoDatabase)
	}
	if config.Presence.Enabled { // empty, but clients wait for it
		c.send(protocol.Urgent, ch.joinRef, "", ch.topic, protocol.EventPresenceState, nil)
	}
}
