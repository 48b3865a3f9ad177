package changes

import (
	"sync"

	"github.com/wedsync/wedsync/server/auth"
)

// bearer is distinct claims: all subscriptions under equal claims share one, so that the database is asked
// once for all of them.
type bearer struct {
	role    string
	subject string
	raw     string // the claims object
	holds   int    // subscriptions and attempts; guarded by the mutex of bearers
}

// bearers are the distinct claims of all subscriptions.
type bearers struct {
	mu     sync.Mutex // guards the following
	byName map[string]*bearer
}

func newBearers() *bearers { return &bearers{byName: map[string]*bearer{}} }

// hold returns the bearer of claims, until release.
func (b *bearers) hold(claims *auth.Claims) *bearer {
	who := &bearer{role: claims.Role, subject: claims.Subject, raw: string(claims.Raw)}
	if who.raw == "" {
		who.raw = "{}"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.byName[who.name()]; known != nil {
		who = known
	}
	b.byName[who.name()] = who
	who.holds++
	return who
}

func (b *bearers) release(who *bearer) {
	if who == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if who.holds--; who.holds == 0 {
		delete(b.byName, who.name())
	}
}

func (b *bearer) name() string { return b.role + "\x00" + b.raw }
