package client

import (
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// hear notes a sign of life.
func (s *session) hear() { s.heard.Store(int64(time.Since(s.client.epoch))) }

// tick is the session's timer: it ends a session that is not answered and sends heartbeats.
func (s *session) tick() {
	s.tickMu.Lock()
	defer s.tickMu.Unlock()
	s.mu.Lock()
	over, joinBy := s.ended, s.joinBy
	s.mu.Unlock()
	if over || s.leaving.Load() {
		return // a session that leaves has a read deadline
	}
	var next time.Duration
	if s.joined.Load() {
		next = s.pulse()
	} else if next = time.Until(joinBy); next <= 0 {
		s.silent.Store(true)
		s.fail("the join was not answered in time")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && next > 0 {
		s.timer.Reset(next)
	}
}

// pulse looks after a joined session and says when to look again; 0 is never.
func (s *session) pulse() time.Duration {
	cfg := &s.client.cfg
	now := time.Now()
	heard := s.client.epoch.Add(time.Duration(s.heard.Load()))
	if !s.asked.After(heard) {
		s.asked, s.sent = time.Time{}, false
	}
	unanswered := time.Duration(-1)
	if !s.asked.IsZero() {
		unanswered = now.Sub(s.asked)
	}
	act, next := diagnose(now.Sub(heard), unanswered, cfg.HeartbeatInterval, cfg.SilenceLimit)
	switch act {
	case giveUp:
		s.silent.Store(true)
		s.fail("silent for " + cfg.SilenceLimit.String())
	case ask:
		s.asked = now
	case wait:
	}
	if !s.asked.IsZero() && !s.sent && act != giveUp {
		if s.sent = s.heartbeat(now.Add(next)); !s.sent {
			next = min(next, busyRetry)
		}
	}
	return max(next, 0)
}

// busyRetry is when to try again to send a heartbeat after somebody else was writing: what they
// wrote need not be answered.
const busyRetry = 10 * time.Millisecond

type action uint8

const (
	wait   action = iota // there was a frame not long ago, or a heartbeat may still be answered
	ask                  // for a sign of life
	giveUp               // none came
)

// diagnose decides what a session that has heard nothing for quiet needs, and when to look again.
// unanswered is how long ago it asked; negative: not yet.
//
//	last frame ──── interval ────▸ heartbeat ── limit-interval ──▸ silent
//
// The peer has limit-interval for its answer from when it was asked. So silence is noticed within
// limit, and a client that was itself asleep does not blame its peer for that.
func diagnose(quiet, unanswered, interval, limit time.Duration) (action, time.Duration) {
	patience := limit - interval
	switch {
	case unanswered >= patience:
		return giveUp, 0
	case unanswered >= 0:
		return wait, patience - unanswered
	case quiet >= interval:
		return ask, patience
	}
	return wait, interval - quiet
}

// heartbeat sends one, unless somebody is writing: to wait for a write that never ends would be to
// notice the silence late.
func (s *session) heartbeat(deadline time.Time) (sent bool) {
	if !s.writeMu.TryLock() {
		return false
	}
	defer s.writeMu.Unlock()
	f := protocol.Frame{Ref: s.nextRef(), Topic: protocol.TopicPhoenix, Event: protocol.EventHeartbeat}
	// An error ends the session through its reader.
	_ = s.writeBy(deadline, websocket.TextMessage, protocol.AppendTextPush(nil, s.client.cfg.Version, &f))
	return true
}
