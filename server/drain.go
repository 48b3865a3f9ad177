package server

import (
	"context"
	"slices"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/socket"
)

// drain sends every client elsewhere because the node is stopping and lets nobody in any more: the
// sockets are closed with 1012 in batches, so that the other nodes do not get all of them at once.
// Sockets without a channel go first: the least is lost with them, and the others may still publish
// meanwhile.
//
// It takes at most half of the time that ctx leaves; the other half belongs to the goodbyes and to
// the log. If batches of DrainBatch do not fit into it, they are made larger, because a steady stream
// is easier to take than a flood at the end. When ctx ends, the rest is closed at once.
func (s *Server) drain(ctx context.Context) {
	sessions := s.leastUsedFirst()
	size := s.drainBatch(ctx, len(sessions))
	if len(sessions) > 0 {
		s.log.Info("draining", "sockets", len(sessions), "batch", size, "pause", s.cfg.DrainPause)
	}
	for i, batch := range slices.Collect(slices.Chunk(sessions, size)) {
		if i > 0 {
			rest(ctx, s.cfg.DrainPause)
		}
		for _, c := range batch {
			c.socket.Close(socket.CloseRestart, "the server restarts", "shutdown")
		}
	}
}

// drainBatch is how many of n sockets are closed at once.
func (s *Server) drainBatch(ctx context.Context, n int) int {
	size := max(1, s.cfg.DrainBatch)
	deadline, ok := ctx.Deadline()
	if !ok || s.cfg.DrainPause <= 0 {
		return size
	}
	batches := 1 + int(max(0, time.Until(deadline)/2)/s.cfg.DrainPause)
	return max(size, (n+batches-1)/batches)
}

// rest waits for a while, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

// leastUsedFirst is every session, those without a channel before the others.
func (s *Server) leastUsedFirst() []*session {
	all := s.all()
	used := make(map[*session]bool, len(all))
	for _, c := range all {
		used[c] = c.isUsed()
	}
	slices.SortStableFunc(all, func(a, b *session) int {
		switch {
		case used[a] == used[b]:
			return 0
		case used[b]:
			return -1
		}
		return 1
	})
	return all
}

// textDisconnect is what clients are told before an administrator's disconnect.
const textDisconnect = "Server requested disconnect"

// Disconnect closes every socket with 1012, after a word on each of its channels, so that the clients
// come back: for example because keys or policies have changed, which sockets that are open would not
// notice. why is for the log. It returns how many sockets there were; they end in the background.
//
// There are no batches: the clients come back to a door that lets them in at its own rate.
func (s *Server) Disconnect(why string) int {
	return s.DisconnectIf(why, func(*auth.Claims) bool { return true })
}

// DisconnectIf is Disconnect for the sockets that were opened with a token of these claims.
func (s *Server) DisconnectIf(why string, match func(claims *auth.Claims) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range s.sessions {
		if !match(c.claims) {
			continue
		}
		n++
		// Owner: the server; ends when the session's reader lets go of its lock, which takes no longer
		// than a hold; one per socket.
		s.tasks.Go(c.disconnect)
	}
	s.log.Info("disconnecting clients", "why", why, "sockets", n)
	return n
}

// disconnect says goodbye on every channel, behind what has been sent on it, and closes the socket.
func (c *session) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.channels {
		c.send(protocol.Normal, "", "", ch.topic, protocol.EventSystem,
			protocol.SystemPayload("system", protocol.StatusOK, textDisconnect, ""))
	}
	c.socket.Close(socket.CloseRestart, textDisconnect, "disconnect")
}
