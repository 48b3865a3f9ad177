package server

import (
	"slices"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/room"
)

const (
	// resumeOverlap is how far before its last message a resuming member is served again: clocks of
	// regions differ, and a message that was on its way may have an earlier time than one that had
	// arrived. Clients drop what they have.
	resumeOverlap = 5 * time.Second

	// replayAhead is how many frames of a replay may wait in a lane of the write queue: far below its
	// bound, so that a replay never overflows it, whatever the speed of the reader. Socket.Wait minds
	// their bytes in the same way.
	replayAhead = 256

	// historyLimit is the most that config.broadcast.replay gives, and what it gives by default.
	historyLimit = 25
)

// startResume sends a member everything since its last message, and then says that this was all. Live
// broadcasts do not wait for that: an urgent one must not stand behind history, and our clients drop what
// comes twice. mu is held.
func (c *session) startResume(ch *channel, resume *protocol.Resume) {
	overlap := backbone.HLC(resumeOverlap.Milliseconds()) << counterBits
	from := max(backbone.HLC(resume.HLC), overlap) - overlap
	// Owner: the server; ends with the replay, the channel, the socket or the node; one per join.
	c.server.tasks.Go(func() {
		if c.replay(ch, from, c.server.cfg.MaxReplay) && c.replayChanges(ch, from) {
			// From here on what the member has is without a hole, and it may take its newest message as the
			// place to resume from. Behind the replay in both lanes, so that it is told last.
			c.sendSystem(protocol.Normal, ch, protocol.ExtensionWedsync, protocol.StatusOK, protocol.Resumed)
		}
	})
}

// startHistory sends a member the newest few broadcasts since a time, and then who is there. What comes
// live meanwhile does not wait, but nothing comes twice: stock clients do not look at ids
// (room.Member.History). mu is held.
func (c *session) startHistory(ch *channel, replay *protocol.Replay) {
	from, newest := backbone.HLC(*replay.Since)<<counterBits, historyLimit
	if replay.Limit != nil {
		newest = int(min(max(*replay.Limit, 1), historyLimit))
	}
	// Owner: the server; ends with the replay, the channel, the socket or the node; one per join.
	c.server.tasks.Go(func() {
		if c.replay(ch, from, newest) {
			c.server.hub.Caught(&ch.Member)
			c.mu.Lock()
			defer c.mu.Unlock()
			if !ch.left.Load() {
				c.sendPresence(ch)
			}
		}
	})
}

// counterBits is the part of an HLC below its milliseconds.
const counterBits = 16

// replay sends the history and reports whether all of it is on its way.
func (c *session) replay(ch *channel, from backbone.HLC, newest int) bool {
	s := c.server
	err := s.awaitCaughtUp(s.ctx)
	var events []*backbone.Event
	if err == nil {
		events, err = s.lane.Since(s.ctx, ch.room, from, s.cfg.MaxReplay)
	}
	if err != nil {
		c.failReplay(ch, err)
		return false
	}
	events = slices.DeleteFunc(events, func(ev *backbone.Event) bool { return !room.Concerns(ch.Path, ev.Path, ev.Lane) })
	events = missed(events, from)
	for _, ev := range events[max(0, len(events)-newest):] {
		if !c.socket.Wait(s.ctx, ev.Lane, replayAhead) || ch.left.Load() {
			return false
		}
		s.hub.Replay(&ch.Member, ch.joinRef, ev)
	}
	return true
}

// replayChanges sends the changes of the database that a resuming member has missed, and reports whether
// all of them are on their way.
func (c *session) replayChanges(ch *channel, from backbone.HLC) bool {
	s := c.server
	feed := s.changes.Load()
	if ch.changes == nil || feed == nil {
		return true
	}
	events, err := s.lane.Since(s.ctx, changes.Room, from, s.cfg.MaxReplay)
	if err == nil {
		err = feed.Replay(s.ctx, ch.changes, events)
	}
	if err != nil {
		c.failReplay(ch, err)
	}
	return err == nil && !ch.left.Load()
}

// failReplay sends a member away that has a hole in its history: it must not believe that it is up to
// date. It comes back to ask again, here or in another region.
func (c *session) failReplay(ch *channel, err error) {
	c.server.log.Error("reading the log for a replay", "room", ch.room, "err", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ch.left.Load() {
		c.end(ch, "UnableToReplayMessages: Realtime was unable to replay messages")
	}
}
