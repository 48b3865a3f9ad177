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
	heard := s.client.epoch.Add(time.Duration(s.heard.Load()))
	act, next := diagnose(time.Since(heard), cfg.HeartbeatInterval, cfg.SilenceLimit)
	switch act {
	case giveUp:
		s.silent.Store(true)
		s.fail("silent for " + cfg.SilenceLimit.String())
	case beat:
		deadline := heard.Add(cfg.SilenceLimit)
		if s.heartbeat(deadline) {
			next = time.Until(deadline)
		} else {
			next = min(time.Until(deadline), busyRetry)
		}
		next = max(next, time.Millisecond)
	case wait:
	}
	return next
}

// busyRetry is when to try again to send a heartbeat after somebody else was writing: what they
// wrote need not be answered.
const busyRetry = 10 * time.Millisecond

type action uint8

const (
	wait   action = iota // there was a frame not long ago
	beat                 // ask for a sign of life
	giveUp               // none came
)

// diagnose decides what a session that has heard nothing for quiet needs, and when to look again.
//
//	last frame ──── interval ────▸ heartbeat ──▸ limit: silent
func diagnose(quiet, interval, limit time.Duration) (action, time.Duration) {
	switch {
	case quiet >= limit:
		return giveUp, 0
	case quiet >= interval:
		return beat, limit - quiet
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
