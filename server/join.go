package server

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/room"
)

// The reasons for refusing a join, with the codes that clients match on.
const (
	reasonPrivateOnly = "PrivateOnly: This project only allows private channels"
	reasonUsers       = "ConnectionRateLimitReached: Too many connected users"
	reasonJoins       = "ClientJoinRateLimitReached: Too many joins per second"
	reasonChannels    = "ChannelRateLimitReached: Too many channels"
	reasonRead        = protocol.ReasonUnauthorized + ": You do not have permissions to read from this Channel topic: "
	reasonTopic       = "UnknownErrorOnChannel: The topic is too long"
	reasonReplayRoom  = "UnableToReplayMessages: Replay is not allowed for public channels"
	reasonReplayParam = "UnableToReplayMessages: Replay params are not valid"

	reasonRestarting = "RealtimeRestarting: Realtime is restarting, please standby"
)

// join handles phx_join. old is the channel that the topic has already, or nil: its life ends, but
// not its place in the room, so that nothing is missed in between. mu is held.
func (c *session) join(f *protocol.Frame, old *channel) {
	c.tried = true
	sub, err := protocol.SubTopic(f.Topic)
	if errors.Is(err, protocol.ErrUnmatchedTopic) {
		c.send(protocol.Urgent, "", f.Ref, f.Topic, protocol.EventReply, protocol.ReasonPayload(err.Error()))
		return
	}
	j, wrong := protocol.ParseJoin(f.Payload)
	if len(wrong) > 0 { // the rest of it counts
		c.server.log.Info("a join has wrong fields", "code", "InvalidJoinPayload", "topic", f.Topic, "err", errors.Join(wrong...))
	}
	ch, reason := (*channel)(nil), ""
	if err != nil {
		reason = err.Error()
	} else {
		ch, reason = c.judge(f, sub, &j, old)
	}
	if reason != "" {
		if old != nil {
			c.remove(old)
			c.sendClose(protocol.Normal, old)
		}
		c.refuse(f, reason)
		return
	}
	if feed := c.server.changes.Load(); feed != nil && j.Config.PostgresChangesWait > 0 && len(j.Config.PostgresChanges) > 0 {
		c.joinSubscribed(f, ch, &j, feed)
		return
	}
	c.admit(f, ch, &j, old)
}

// judge returns the channel that a join makes, or the reason why it makes none. The order of the checks
// is the protocol's. mu is held.
func (c *session) judge(f *protocol.Frame, sub string, j *protocol.Join, old *channel) (*channel, string) {
	s, config := c.server, &j.Config
	if s.isStopping() {
		return nil, reasonRestarting
	}
	if s.cfg.PrivateOnly && !config.Private {
		return nil, reasonPrivateOnly
	}
	if !c.counted && s.limits.Users.Full() {
		s.limits.Reached(limit.UserCount)
		return nil, reasonUsers
	}
	if !s.limits.Joins.Take(1) {
		s.limits.Reached(limit.Joins)
		return nil, reasonJoins
	}
	if most := s.cfg.Limits.ChannelsPerSocket; old == nil && most > 0 && len(c.channels) >= most {
		s.limits.Reached(limit.Channels)
		return nil, reasonChannels
	}
	if len(room.Name(true, sub)) > backbone.MaxRoom {
		return nil, reasonTopic
	}
	claims, err := c.bearer(j.AccessToken)
	if err != nil {
		return nil, joinReason(err)
	}
	rights := s.readRights(config.Private, claims, sub)
	if !rights.suffices(config.Presence.Enabled) {
		return nil, reasonRead + sub
	}
	if resume := config.Wedsync.Resume; resume != nil {
		if why := s.unfit(resume.Returning); why != "" {
			s.log.Debug("a member that resumes is sent elsewhere", "why", why)
			return nil, reasonRestarting
		}
	}
	if replay := config.Broadcast.Replay; replay != nil {
		if !config.Private || !rights.readBroadcast {
			return nil, reasonReplayRoom
		}
		if replay.Since == nil || *replay.Since < 0 {
			return nil, reasonReplayParam
		}
	}
	if !c.counted { // only who joins is counted
		if !s.limits.Users.Enter() {
			s.limits.Reached(limit.UserCount)
			return nil, reasonUsers
		}
		c.counted = true
	}
	return c.newChannel(f, sub, j, claims, rights), ""
}

func (c *session) newChannel(f *protocol.Frame, sub string, j *protocol.Join, claims *auth.Claims, rights rights) *channel {
	config := &j.Config
	name, path := c.server.cfg.Hierarchies.Place(config.Private, sub)
	ch := &channel{
		Member: room.Member{
			Sink: c.socket, Version: c.version, Path: path, Key: config.Presence.Key,
			Self: config.Broadcast.Self, Receipts: config.Wedsync.Receipts,
			Deaf: !rights.readBroadcast, Presence: rights.readPresence,
			History: config.Broadcast.Replay != nil && config.Wedsync.Resume == nil,
			Second:  config.Wedsync.Second,
			Missed:  config.Wedsync != protocol.Extension{},
		},
		topic: f.Topic, sub: sub, room: name, joinRef: f.JoinRef,
		private: config.Private, ack: config.Broadcast.Ack, from: config.Presence.Key,
		move: config.Wedsync.Move, homes: config.Wedsync.Homes, confirms: confirming(config, rights),
		claims: claims, rights: rights, presence: presenceOf{wanted: config.Presence.Enabled},
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
	ch.left.Store(true) // until it is admitted
	return ch
}

// unfit says why the node cannot take a member that resumes, or nothing. A node that has been away does not
// know yet what it has missed, so it cannot serve it. A member that has a session elsewhere is also not
// taken while the log of a peer is being read, nor while no other region can be reached: here it would hear
// late, or only what is said here.
func (s *Server) unfit(returning bool) string {
	if why := s.behind(); why != "" {
		return why
	}
	if returning {
		if ok, why := s.backbone.CaughtUp(); !ok {
			return why
		}
		if err := s.backbone.Ready(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// admit takes the channel in. The order is the protocol's: the reply, the end of the old life, then
// what follows a join. mu is held.
func (c *session) admit(f *protocol.Frame, ch *channel, j *protocol.Join, old *channel) {
	ch.left.Store(false)
	c.server.expect(ch)
	c.empty = false
	answer := func() {
		c.send(protocol.Urgent, f.JoinRef, f.Ref, f.Topic, protocol.EventReply, okWith(protocol.JoinResponse(j.Config.PostgresChanges)))
	}
	if old == nil {
		c.server.hub.Join(ch.room, &ch.Member, answer)
		c.channels = append(c.channels, ch)
	} else {
		c.finish(old)
		c.server.hub.Replace(&old.Member, ch.room, &ch.Member, answer)
		c.sendClose(protocol.Urgent, old) // follows the answer in its lane
		c.channels[slices.Index(c.channels, old)] = ch
	}
	c.watchExpiry(ch)
	c.server.metrics.ChannelJoins.WithLabelValues("ok").Inc()
	c.follow(ch, &j.Config)
}

// follow sends what a client expects after the reply to its join. mu is held.
func (c *session) follow(ch *channel, config *protocol.JoinConfig) {
	c.subscribe(ch, config)
	if config.Broadcast.Replay != nil && config.Wedsync.Resume == nil {
		c.startHistory(ch, config.Broadcast.Replay)
		return
	}
	if config.Wedsync.Resume != nil {
		c.startResume(ch, config.Wedsync.Resume)
	}
	c.sendPresence(ch)
}
