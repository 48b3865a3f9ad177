package server

import (
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

const (
	// resumeOverlap is how far before its last message a resuming member is served again: clocks of
	// regions differ, and a message that was on its way may have an earlier time than one that had
	// arrived. Clients drop what they have.
	resumeOverlap = 5 * time.Second

	// replayAhead is how many frames of a replay may wait in a lane of the write queue: far below its
	// bound, so that a replay never overflows it, whatever the speed of the reader.
	replayAhead = 256

	// historyLimit is the most that config.broadcast.replay gives, and what it gives by default.
	historyLimit = 25
)

// startReplay sends a member what it missed: everything since its last message for
// config.wedsync.resume, the newest few since a time for config.broadcast.replay. Live broadcasts do
// not wait for that: an urgent one must not stand behind history, and clients drop what comes twice.
// mu is held.
func (c *session) startReplay(ch *channel, config *protocol.JoinConfig) {
	var from backbone.HLC
	newest := c.server.cfg.MaxReplay
	switch resume, replay := config.Wedsync.Resume, config.Broadcast.Replay; {
	case resume != nil:
		overlap := backbone.HLC(resumeOverlap.Milliseconds()) << counterBits
		from = max(backbone.HLC(resume.HLC), overlap) - overlap
	case replay != nil:
		from = backbone.HLC(*replay.Since) << counterBits
		newest = historyLimit
		if replay.Limit != nil {
			newest = int(min(max(*replay.Limit, 1), historyLimit))
		}
	default:
		return
	}
	// Owner: the server; ends with the replay, the channel, the socket or the node; one per join.
	c.server.tasks.Go(func() { c.replay(ch, from, newest) })
}

// counterBits is the part of an HLC below its milliseconds.
const counterBits = 16

func (c *session) replay(ch *channel, from backbone.HLC, newest int) {
	s := c.server
	events, err := s.lane.Since(s.ctx, ch.room, from, s.cfg.MaxReplay)
	if err != nil {
		s.log.Error("reading the log for a replay", "room", ch.room, "err", err)
		c.sendSystem(protocol.Urgent, ch, "system", protocol.StatusError, "UnableToReplayMessages: Realtime was unable to replay messages")
		return
	}
	for _, ev := range events[max(0, len(events)-newest):] {
		if !c.socket.Wait(s.ctx, ev.Lane, replayAhead) || ch.left.Load() {
			return
		}
		s.hub.Replay(&ch.Member, ch.joinRef, ev)
	}
}
