package auth

import (
	"crypto/sha256"
	"sync"
)

// seenTokens bounds one of the two generations of tokens that seen remembers: some 3 KB for each
// token, less what its sockets hold anyway.
const seenTokens = 4096

type digest [sha256.Size]byte

// digestOf names a token without keeping it: a secret that is not there cannot leak.
func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// seen remembers the claims of tokens whose signature has been verified. After a region has died
// thousands of clients come back with the token that they had, on the socket and again for every
// channel; verifying a signature once instead of each time leaves the processor to the messages.
//
// It belongs to one key set and goes with it, so a key that is removed takes its tokens along. Only
// tokens that were signed get in, so strangers cannot fill it. When the younger generation is full
// it becomes the older one, whose tokens are forgotten unless they are seen again.
type seen struct {
	mu         sync.Mutex // guards the following
	young, old map[digest]*Claims
}

func newSeen() *seen { return &seen{young: map[digest]*Claims{}} }

func (s *seen) get(d digest) *Claims {
	s.mu.Lock()
	defer s.mu.Unlock()
	claims, ok := s.young[d]
	if ok {
		return claims
	}
	if claims, ok = s.old[d]; ok {
		s.keep(d, claims)
	}
	return claims
}

func (s *seen) put(d digest, c *Claims) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(d, c)
}

// keep puts a token into the younger generation. mu is held.
func (s *seen) keep(d digest, c *Claims) {
	if len(s.young) >= seenTokens {
		s.old, s.young = s.young, make(map[digest]*Claims, seenTokens)
	}
	s.young[d] = c
}
