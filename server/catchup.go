package server

import (
	"context"
	"errors"
	"time"
)

const (
	// catchUpWithin is how long a replay waits for the logs of peers that have just returned.
	catchUpWithin = 10 * time.Second
	catchUpPoll   = 20 * time.Millisecond
)

// behind says why the node does not know yet what happened before it started, or nothing. A node that has once
// known goes on serving while it reads the log of a peer that returns: what it finds there its members are told
// as it comes, and a replay waits for it (awaitCaughtUp).
func (s *Server) behind() string {
	if s.current.Load() {
		return ""
	}
	ok, why := s.backbone.CaughtUp()
	if !ok {
		return why
	}
	s.current.Store(true)
	return ""
}

// errBehind says that the logs of the peers were not read in time.
var errBehind = errors.New("the logs of the other nodes were not read to their end in time")

// awaitCaughtUp returns when the own log has all that the logs of the others had when they were last reached:
// only then is a replay whole.
func (s *Server) awaitCaughtUp(ctx context.Context) error {
	if ok, _ := s.backbone.CaughtUp(); ok {
		return nil
	}
	patience := time.NewTimer(catchUpWithin)
	defer patience.Stop()
	poll := time.NewTicker(catchUpPoll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
			if ok, _ := s.backbone.CaughtUp(); ok {
				return nil
			}
		case <-patience.C:
			return errBehind
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
