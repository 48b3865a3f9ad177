package client

import (
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 50 * time.Millisecond // when every endpoint is suspect
	backoffLast  = time.Second
)

// home is one of the places where the client keeps itself joined. At any time at most one goroutine
// searches a session for it; the goroutine that found one then reads it, and whoever sees the home
// without a session and without a searcher becomes the searcher. A return to a preferred region, and a
// move away from a node that is being drained, run beside that: they bring a session along and the old one
// is left.
//
// All fields are guarded by client.mu.
type home struct {
	client *Client
	slot   int

	joined    *session // nil while there is none
	searching bool
	at        int  // endpoint in use or being searched at, or nowhere
	moving    int  // endpoint that a return or a move is trying, or nowhere
	tries     int  // since the last session that lasted
	fell      bool // a joined session has ended, and the search has not begun
	returning *time.Timer
}

// takenLocked returns the regions that other homes are in or on their way to.
func (h *home) takenLocked() map[string]bool {
	taken := make(map[string]bool, 4)
	for _, other := range h.client.homes {
		if other == h {
			continue
		}
		for _, i := range []int{other.at, other.moving} {
			if i != nowhere {
				taken[h.client.cfg.Endpoints[i].Region] = true
			}
		}
		if s := other.joined; s != nil && s.relieving != nil {
			taken[s.relieving.region] = true
		}
	}
	return taken
}

// reserve chooses the endpoint to try next, or nowhere, and says how long to wait before. Called
// with client.mu.
func (h *home) reserve() (at int, wait time.Duration) {
	c := h.client
	at, fresh := choose(c.cfg.Endpoints, c.standings, nowhere, h.takenLocked(), time.Now())
	h.at = at
	h.tries++
	fell := h.fell
	h.fell = false
	if !fresh {
		return at, max(backoff(h.tries), c.untilOpen(at))
	}
	if fell {
		return at, jitter(c.cfg.FailoverJitter)
	}
	return at, 0
}

// backoff is how long to wait before trying again what has just failed. Full jitter: whoever failed at the same
// moment as others must not come back with them.
func backoff(tries int) time.Duration {
	return jitter(min(backoffLast, backoffFirst<<min(tries, 10)))
}

// untilOpen is how long an endpoint has asked to be left alone. Called with client.mu.
func (c *Client) untilOpen(at int) time.Duration {
	if at == nowhere {
		return 0
	}
	return time.Until(c.standings[at].shut)
}

func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

// search opens sessions, the first one at a reserved endpoint, until one has joined and lived its
// life, and as long as it is then this goroutine's turn to search again. It is entered with
// h.searching set and ends with the client, or when another goroutine serves the home.
func (h *home) search(at int, wait time.Duration) {
	c := h.client
	for c.sleep(wait) && !h.served() {
		if at != nowhere {
			s := c.newSession(h, at, nil)
			s.live()
			if !h.ended(s) {
				return
			}
		}
		c.mu.Lock()
		at, wait = h.reserve()
		c.mu.Unlock()
	}
}

// served says whether a return has given the home a session meanwhile, and ends the search if so.
func (h *home) served() bool {
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	if h.joined == nil {
		return false
	}
	h.searching, h.at = false, h.joined.at
	return true
}

// comeBack tries one endpoint of a preferred region beside the session that the home has.
func (h *home) comeBack() {
	c := h.client
	c.mu.Lock()
	to, old := nowhere, h.joined
	if old != nil && h.moving == nowhere && !c.closed {
		to = better(c.cfg.Endpoints, old.at, h.takenLocked())
		h.moving = to
	}
	if to == nowhere {
		h.scheduleReturn()
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	h.beside(to, old)
}

// beside opens a session beside the one that the home has, and goes through its life. If the home has neither
// a session nor a searcher at its end, this goroutine becomes the searcher.
func (h *home) beside(to int, old *session) {
	c := h.client
	s := c.newSession(h, to, old)
	s.live()
	if h.ended(s) {
		c.mu.Lock()
		at, wait := h.reserve()
		c.mu.Unlock()
		h.search(at, wait)
	}
}

// adopt makes a session that has just joined the home's own. It returns the session that is to be
// left for it, which is the newcomer itself if the home has a preferred one meanwhile.
func (h *home) adopt(s *session) (leave *session) {
	c := h.client
	c.mu.Lock()
	defer c.mu.Unlock()
	h.release(s)
	if h.joined != nil && h.joined != s.relieves && rank(c.cfg.Endpoints, h.joined.at) <= rank(c.cfg.Endpoints, s.at) {
		return s
	}
	leave, h.joined = h.joined, s
	h.at = s.at
	c.standings[s.at] = standing{}
	h.scheduleReturn()
	for _, p := range c.pending {
		p.wakeUp()
	}
	return leave
}

// release gives up, once, what s held while it was on its way: the search, or the return.
func (h *home) release(s *session) {
	if s.released {
		return
	}
	s.released = true
	if s.relieves != nil {
		h.moving = nowhere
	} else {
		h.searching = false
	}
}

// ended notes the end of s and says whether the calling goroutine is now the home's searcher.
func (h *home) ended(s *session) bool {
	c := h.client
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
	h.release(s)
	s.abandon()
	if h.joined == s {
		h.joined = s.back()
		h.fell = h.joined == nil
		h.stopReturning()
		if time.Since(s.began) >= suspicion {
			h.tries = 0
		}
	}
	if !s.leaving.Load() {
		c.suspectLocked(s)
	}
	if h.joined != nil {
		h.at = h.joined.at
		h.scheduleReturn()
		return false
	}
	if c.closed || h.searching {
		return false
	}
	h.searching = true
	return true
}

// suspectLocked notes that the endpoint of s failed. One that fell silent speaks for its whole
// region: that is how a region dies, and to ask its other nodes would cost a time-out each.
func (c *Client) suspectLocked(s *session) {
	now := time.Now()
	for i, e := range c.cfg.Endpoints {
		if i == s.at || s.silent.Load() && e.Region == s.region {
			c.standings[i].failed = now
		}
	}
}

// scheduleReturn arms the timer of a home that is not in one of the client's preferred regions.
func (h *home) scheduleReturn() {
	c := h.client
	h.stopReturning()
	if c.closed || c.cfg.ReturnAfter == 0 || h.joined == nil || rank(c.cfg.Endpoints, h.joined.at) < c.cfg.Homes {
		return
	}
	// Spread over as much time again, so that a region which comes back is not met by everybody at once:
	// there is no hurry, the home has a session.
	after := c.cfg.ReturnAfter + jitter(c.cfg.ReturnAfter)
	h.returning = time.AfterFunc(after, func() { c.spawn(h.comeBack) })
}

func (h *home) stopReturning() {
	if h.returning != nil {
		h.returning.Stop()
		h.returning = nil
	}
}

// sleep waits and says whether the client still lives.
func (c *Client) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}
