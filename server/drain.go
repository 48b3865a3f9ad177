package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/socket"
)

// Shares of the time that is left when a node begins to drain. What remains after them belongs to the publishes
// that are under way, to the goodbyes and to the log.
const (
	shareOfTurns = 3 // a third of the time for everybody's turn
	shareOfMove  = 4 // a quarter for a member to move, and not more than moveTime
	moveTime     = 5 * time.Second
)

// drain sends every client elsewhere because the node is stopping and lets nobody in any more: in batches, so
// that the other nodes do not get all of them at once, and those first with whom the least is lost
// (see turn).
//
// A client that understands it is told to move: it joins elsewhere and then leaves here, so it never misses
// anything. One that is still here when its time is over is closed with 1012, as all others are when their
// turn has come.
//
// If batches of DrainBatch do not fit into the time, they are made larger, because a steady stream is easier
// to take than a flood at the end. When ctx ends, the rest is closed at once.
func (s *Server) drain(ctx context.Context) {
	sessions := s.inTurns()
	if len(sessions) == 0 {
		return
	}
	batch, patience := s.drainBatch(ctx, len(sessions)), s.patience(ctx)
	s.log.Info("draining", "sockets", len(sessions), "batch", batch, "pause", s.cfg.DrainPause, "time to move", patience)
	for i, turn := range slices.Collect(slices.Chunk(sessions, batch)) {
		if i > 0 {
			s.whileConnected(ctx, s.cfg.DrainPause)
		}
		by := time.Now().Add(patience)
		for _, c := range turn {
			// Owner: the server; ends when it has been the session's turn, at the latest by then; one per socket.
			s.tasks.Go(func() { c.sendAway(ctx, by) })
		}
	}
	s.whileConnected(ctx, patience)
	for _, c := range s.all() {
		c.restart()
	}
}

// draining is the metric.
func (s *Server) draining() float64 {
	if s.isStopping() {
		return 1
	}
	return 0
}

// drainBatch is how many of n sockets have their turn at once.
func (s *Server) drainBatch(ctx context.Context, n int) int {
	size := max(1, s.cfg.DrainBatch)
	deadline, ok := ctx.Deadline()
	if !ok || s.cfg.DrainPause <= 0 {
		return size
	}
	batches := 1 + int(max(0, time.Until(deadline)/shareOfTurns)/s.cfg.DrainPause)
	return max(size, (n+batches-1)/batches)
}

// patience is how long a client may take to move.
func (s *Server) patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(moveTime, max(0, time.Until(deadline)/shareOfMove))
	}
	return moveTime
}

// whileConnected waits for a while, or until no socket is left, or until ctx ends.
func (s *Server) whileConnected(ctx context.Context, d time.Duration) {
	pause := time.NewTimer(d)
	defer pause.Stop()
	for s.connected() > 0 {
		select {
		case <-s.gone:
		case <-pause.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// connected is how many sockets there are.
func (s *Server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// turn is when a session is sent away, from the first to the last.
type turn int

const (
	turnUnused turn = iota // it has no channel
	turnSpare              // its members have another home, where they hear everything meanwhile
	turnOnly               // this is the only one
)

// inTurns is every session, in the order in which they are sent away.
func (s *Server) inTurns() []*session {
	all := s.all()
	turns := make(map[*session]turn, len(all))
	for _, c := range all {
		turns[c] = c.turn()
	}
	slices.SortStableFunc(all, func(a, b *session) int { return cmp.Compare(turns[a], turns[b]) })
	return all
}

// turn says when the session is sent away. One that is busy at this moment is in use; it is not waited
// for, because a publish may hold its lock as long as a hold takes.
func (c *session) turn() turn {
	if !c.mu.TryLock() {
		return turnOnly
	}
	defer c.mu.Unlock()
	switch {
	case len(c.channels) == 0:
		return turnUnused
	case slices.ContainsFunc(c.channels, func(ch *channel) bool { return ch.homes < 2 }):
		return turnOnly
	}
	return turnSpare
}

// sendAway asks the session's members to move until a time, when the socket is closed. If one of them cannot,
// it is closed now.
func (c *session) sendAway(ctx context.Context, by time.Time) {
	c.mu.Lock()
	moves := len(c.channels) > 0 && !slices.ContainsFunc(c.channels, func(ch *channel) bool { return !ch.move })
	if moves {
		for _, ch := range c.channels {
			c.send(protocol.Urgent, ch.joinRef, "", ch.topic, protocol.EventSystem, protocol.MovingPayload(ch.sub, time.Until(by)))
		}
	}
	publishes := c.slots
	c.mu.Unlock()
	if moves {
		time.AfterFunc(time.Until(by), c.restart) // ends by itself; one per socket
		return
	}
	tick := time.NewTicker(answerEvery)
	defer tick.Stop()
	for len(publishes) > 0 && time.Now().Before(by) && ctx.Err() == nil { // an answer that is lost leaves a client in doubt
		<-tick.C
	}
	c.restart()
}

// answerEvery is how often a session is asked whether its publishes are answered.
const answerEvery = 10 * time.Millisecond

// restart closes the socket: come back, elsewhere.
func (c *session) restart() { c.socket.Close(socket.CloseRestart, "the server restarts", "shutdown") }

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
