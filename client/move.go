package client

import "time"

// A home that has a session may take another one in its place: because it can return to a region that it
// prefers, or because its server is being drained and asks it to move. The new session joins and resumes
// while the old one goes on, and the old one is left when the new one has caught up: nothing comes late.
//
//	old  joined ───────── Moving ──────────────────────────── left
//	new                      └ dialing ── joined ── caught up ┘

const (
	// reasonOther is why a session is left that is one too many.
	reasonOther = "the home has another session"
	// catchUpLimit is how long the old session goes on at most. Stock servers never say that a client
	// has caught up.
	catchUpLimit = 2 * time.Second
	// maxMove bounds the time that a server may announce.
	maxMove = time.Minute
)

// sentAway is the server's word that it is being drained: the session is closed after a time.
func (s *session) sentAway(within time.Duration) {
	if s.moving.Swap(true) {
		return
	}
	by := time.Now().Add(min(within, maxMove))
	// Ends with the client, by then, or with the session that it finds, like a search.
	s.client.spawn(func() { s.home.moveAway(s, by) })
}

// moveAway looks for another session in the place of old until that is closed. Whoever is sent away
// with this client goes at another moment.
func (h *home) moveAway(old *session, by time.Time) {
	c := h.client
	c.mu.Lock()
	c.standings[old.at].failed = time.Now() // nobody else is to go there
	c.mu.Unlock()
	wait := jitter(min(c.cfg.FailoverJitter, time.Until(by)/4))
	for tries := 1; c.sleep(wait) && time.Now().Before(by); tries++ {
		to, needed := h.reserveRefuge(old)
		if !needed {
			return
		}
		if to != nowhere {
			h.beside(to, old)
		}
		wait = busyRetry + backoff(tries)
	}
}

// reserveRefuge chooses where the home moves to, or nowhere for now, and says whether it still has to.
func (h *home) reserveRefuge(old *session) (to int, needed bool) {
	c := h.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.joined != old || c.closed {
		return nowhere, false
	}
	if h.moving != nowhere { // it is returning just now
		return nowhere, true
	}
	h.moving = refuge(c.cfg.Endpoints, c.standings, old.at, h.takenLocked(), time.Now())
	return h.moving, true
}

// takeOver lets the session catch up before old is left.
func (s *session) takeOver(old *session) {
	c := s.client
	c.mu.Lock()
	s.relieving = old
	c.mu.Unlock()
	time.AfterFunc(catchUpLimit, s.relieve) // ends by itself
}

// relieve leaves the session in whose place this one has come, once.
func (s *session) relieve() {
	c := s.client
	c.mu.Lock()
	old := s.relieving
	s.relieving = nil
	c.mu.Unlock()
	if old == nil {
		return
	}
	reason := reasonOther
	if old.moving.Load() {
		reason = ReasonMoved
	}
	c.spawn(func() { old.leave(reason) }) // ends within the write deadline
}

// back returns the session that this one was about to relieve, if it still lives: the home has it again. Called
// with client.mu.
func (s *session) back() *session {
	old := s.relieving
	s.relieving = nil
	if old == nil || old.leaving.Load() || !old.joined.Load() {
		return nil
	}
	if _, lives := s.client.sessions[old]; !lives {
		return nil
	}
	return old
}
