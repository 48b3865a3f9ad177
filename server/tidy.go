package server

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// tidyEvery is how often the node looks whether clients have stopped coming and going.
	tidyEvery = time.Second
	// tidyAfter is how many must have come or gone since the last time for it to be worth a collection.
	tidyAfter = 250
)

// turnover is the pure part of tidy: it knows when a storm is over.
type turnover struct {
	before int // sockets that had come or gone at the last look
	tidied int // at the last collection
}

// settled says whether nobody has come or gone since the last look, but many have since the last collection.
func (t *turnover) settled(now int) bool {
	calm := now == t.before
	t.before = now
	if !calm || now-t.tidied < tidyAfter {
		return false
	}
	t.tidied = now
	return true
}

// tidy gives the memory back that handshakes leave behind, once a storm of them is over. An upgrade and its join leave
// about 14 KiB of garbage, most of it buffers of net/http, which is five times what the heap keeps of a socket. By
// itself the collector would let it lie for up to two minutes, because idle sockets allocate nothing. It begins with
// what the start of the node has left, and ends with ctx.
func (s *Server) tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	turn := turnover{tidied: -tidyAfter}
	for {
		select {
		case <-ticker.C:
			s.mu.Lock()
			now := s.turned
			s.mu.Unlock()
			if turn.settled(now) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return
		}
	}
}
