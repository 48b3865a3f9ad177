package server

import (
	"context"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/socket"
)

const (
	extensionChanges = "postgres_changes"
	textNoDatabase   = "No database is configured on this server: subscriptions to Postgres changes receive nothing"
)

// startChanges follows the database, if there is one.
func (s *Server) startChanges(ctx context.Context) error {
	if s.cfg.Database == "" {
		return nil
	}
	feed, err := changes.Start(ctx, changes.Config{
		URL: s.cfg.Database, Slot: s.cfg.Slot, Publication: s.cfg.Publication,
		Publish: s.submit, Known: s.known, CaughtUp: func() bool { ok, _ := s.backbone.CaughtUp(); return ok },
		Broadcast: func(_ context.Context, m changes.Message) (func(context.Context) error, error) {
			name, path := s.cfg.Hierarchies.Place(m.Private, m.Topic)
			return s.submit(ctx, &backbone.Event{
				ID: m.ID, Room: name, Path: path, Name: m.Event, Form: m.Form, Payload: m.Payload,
				Lane: protocol.LaneOf(m.Event, protocol.Meta{}),
			})
		},
		Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	s.changes.Store(feed)
	return nil
}

// known remembers a change that the own log has, and lets it be published once more all the same: the node
// that read it before may have died before other regions had it, and they are to have it in its place.
func (s *Server) known(ctx context.Context, id string) (bool, error) {
	ev, err := s.backbone.Find(ctx, protocol.Normal, changes.Room, id)
	if ev != nil {
		s.lane.Recall(ev)
	}
	return false, err
}

// submit publishes an event of the database: the members here have it when submit returns, two regions
// when wait does.
func (s *Server) submit(_ context.Context, ev *backbone.Event) (wait func(context.Context) error, err error) {
	held, err := s.lane.Submit(ev)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := held(ctx)
		return err
	}, nil
}

// subscribe begins what a join asked of the database. mu is held.
func (c *session) subscribe(ch *channel, config *protocol.JoinConfig) {
	feed := c.server.changes.Load()
	if config.Broadcast.ReplicationReady {
		c.awaitReplication(ch, feed)
	}
	if len(config.PostgresChanges) == 0 || ch.changes != nil {
		return
	}
	status := func(status, message string) {
		c.sendSystem(protocol.Urgent, ch, extensionChanges, status, message)
	}
	if feed == nil {
		status(protocol.StatusError, textNoDatabase)
		return
	}
	if err := c.subscribeTo(feed, ch, config, status); err != nil {
		status(protocol.StatusError, err.Error())
	}
}

// subscribeTo makes the channel's subscription; status is told what becomes of it.
func (c *session) subscribeTo(feed *changes.Feed, ch *channel, config *protocol.JoinConfig, status func(status, message string)) error {
	entries, err := changes.ParseEntries(config.PostgresChanges)
	if err != nil {
		return err
	}
	ch.changes = feed.Subscribe(changes.Subscriber{
		Entries: entries, Claims: ch.claims, Status: status, Resumes: config.Wedsync.Resume != nil,
		Deliver: func(payload []byte, _ *backbone.Event) { c.sendChange(ch, payload) },
		Lost:    func() { c.crash(ch) },
	})
	return nil
}

// joinSubscribed holds the answer to a join back until its subscription exists. Meanwhile the channel does
// not: a change that comes before the answer is not for it. mu is held.
func (c *session) joinSubscribed(f *protocol.Frame, ch *channel, j *protocol.Join, feed *changes.Feed) {
	join, wait := *f, j.Config.PostgresChangesWait
	join.Payload = nil // it is the socket's
	answered := false  // mu guards it
	// Ends by itself, within maxChangesWait.
	timeout := time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !answered {
			answered = true
			ch.changes.Close()
			c.refuse(&join, fmt.Sprintf("%s: Timed out after %dms waiting for the postgres_changes subscription", codeSubscribeTimeout, wait.Milliseconds()))
		}
	})
	err := c.subscribeTo(feed, ch, &j.Config, func(status, message string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case answered:
			c.sendSystem(protocol.Urgent, ch, extensionChanges, status, message)
		case c.ended:
			answered = true
			ch.changes.Close()
		case status == protocol.StatusOK:
			answered = true
			timeout.Stop()
			c.admit(&join, ch, j, c.channel(join.Topic))
			c.sendSystem(protocol.Urgent, ch, extensionChanges, status, message)
		case message == changes.TextUnreachable: // the time-out decides
		default:
			answered = true
			timeout.Stop()
			ch.changes.Close()
			c.refuse(&join, codeConfiguration+": "+message)
		}
	})
	if err != nil {
		answered = true
		timeout.Stop()
		c.refuse(&join, codeConfiguration+": "+err.Error())
	}
}

// The codes of refusals that only joins meet which wait for their subscription.
const (
	codeSubscribeTimeout = "PostgresChangesSubscribeTimeout"
	codeConfiguration    = "RealtimeDisabledForConfiguration"
)

// How long a channel that asked for it waits for the database to be followed, and how often it looks.
const (
	replicationPatience = time.Minute
	replicationPoll     = 500 * time.Millisecond
)

// awaitReplication tells a channel when the database is followed, or ends it. mu is held.
func (c *session) awaitReplication(ch *channel, feed *changes.Feed) {
	s := c.server
	if feed == nil {
		c.sendSystem(protocol.Urgent, ch, "system", protocol.StatusError, textNoDatabase)
		return
	}
	// Owner: the server; ends with the answer, the channel, the node or the patience; one per join.
	s.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, replicationPatience)
		defer cancel()
		poll := time.NewTicker(replicationPoll)
		defer poll.Stop()
		for {
			active, err := feed.Replicating(ctx)
			if err != nil {
				s.log.Debug("a channel waits for the replication connection", "topic", ch.topic, "err", err)
			}
			if active || ctx.Err() != nil {
				c.answerReplication(ch, active)
				return
			}
			select {
			case <-poll.C:
			case <-ctx.Done():
			case <-s.stopping:
				return
			}
			if ch.left.Load() {
				return
			}
		}
	})
}

func (c *session) answerReplication(ch *channel, active bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ch.left.Load():
	case active:
		c.sendSystem(protocol.Urgent, ch, "system", protocol.StatusOK, "Replication connection established")
	default:
		c.end(ch, "Replication connection was not established in time")
	}
}

// sendChange passes a change on. Over the limit, changes are skipped in silence, as the original does.
func (c *session) sendChange(ch *channel, payload []byte) {
	s := c.server
	if !s.limits.Changes.Take(1) {
		s.limits.Reached(limit.Changes)
		return
	}
	if ch.left.Load() {
		return
	}
	f := protocol.Frame{Topic: ch.topic, Event: protocol.EventPostgresChanges, Payload: payload}
	c.socket.Send(protocol.Normal, socket.Text(protocol.AppendText(socket.Begin(len(payload)+len(ch.topic)+64), c.version, &f)))
}

// crash ends a channel that has a gap, so that its client joins again.
func (c *session) crash(ch *channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch.left.Load() {
		return
	}
	c.remove(ch)
	c.send(protocol.Normal, ch.joinRef, ch.joinRef, ch.topic, protocol.EventError, protocol.CrashPayload)
}
