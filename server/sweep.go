package server

import (
	"context"
	"time"
)

// whyEmpty is the label of sockets that a sweep has closed.
const whyEmpty = "empty"

// sweep closes, every NoChannelTimeout, the sockets that have been used but had no channel left at the
// sweep before, either: their clients have forgotten them. Sockets that never tried to join are left alone, as in the
// original; the idle timeout is for those.
//
// The connection is dropped without a close frame, as in the original: to clients that are still there
// after all it looks like a lost network, and they come back.
//
// It ends with ctx.
func (s *Server) sweep(ctx context.Context) {
	every := s.cfg.Limits.NoChannelTimeout
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.sweepOnce()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) sweepOnce() {
	swept := 0
	for _, c := range s.all() {
		if c.isForgotten() {
			swept++
			c.socket.Drop(whyEmpty)
		}
	}
	if swept > 0 {
		s.log.Info("closing sockets that have no channel left", "sockets", swept)
	}
}

// isForgotten says whether the socket had no channel at the last sweep and has none now: between two
// channels a client may be without one for a moment. Joins that are about to be refused count: their
// client waits for the answer.
func (c *session) isForgotten() bool {
	if !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	before := c.empty
	c.empty = c.tried && len(c.channels) == 0 && c.refusals == 0
	return before && c.empty
}
