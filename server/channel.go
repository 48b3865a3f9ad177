package server

import (
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/room"
)

// channel is one joined topic of a session. It is a member of its room; its session's lock guards
// what can change.
type channel struct {
	room.Member
	topic   string       // on the wire
	sub     string       // without the prefix
	room    string       // room.Name
	joinRef protocol.Ref // names this life of the channel
	private bool
	ack     bool   // wants a reply to each broadcast
	from    string // presence key if the client chose it: others are told it
	left    atomic.Bool

	claims *auth.Claims
	token  uint64 // hash of the last token, to know it again
	expiry *time.Timer
	write  right
}

// right is a permission that is asked for once and remembered until the token changes.
type right uint8

const (
	unasked right = iota
	granted
	denied
)

// mayWrite says whether the channel's bearer may broadcast.
func (c *session) mayWrite(ch *channel) bool {
	if !ch.private {
		return true
	}
	if ch.write == unasked {
		ch.write = denied
		if c.server.cfg.Policy(ch.claims, ch.sub, auth.Broadcast, auth.Write) {
			ch.write = granted
		}
	}
	return ch.write == granted
}

// tokenSeed makes the hashes of tokens unpredictable.
var tokenSeed = maphash.MakeSeed()

func hashToken(token string) uint64 { return maphash.String(tokenSeed, token) }

// refresh handles access_token: there is no reply, but a bad token ends the channel. mu is held.
func (c *session) refresh(f *protocol.Frame, ch *channel) {
	token, err := protocol.ParseAccessToken(f.Payload)
	if err != nil {
		c.server.log.Debug("ignoring an access_token push", "err", err)
		return
	}
	if token == "" || auth.IsAPIKey(token) {
		return
	}
	hash := hashToken(token)
	if hash == ch.token {
		return
	}
	claims, err := c.server.verifier.Verify(token)
	if err != nil {
		c.end(ch, err.Error())
		return
	}
	if ch.private && !c.server.cfg.Policy(claims, ch.sub, auth.Broadcast, auth.Read) {
		c.end(ch, "You no longer have permission to read from this Channel topic: "+ch.sub)
		return
	}
	ch.claims, ch.token, ch.write = claims, hash, unasked
	c.watchExpiry(ch)
}

// end closes a channel, saying why. mu is held.
func (c *session) end(ch *channel, why string) {
	c.remove(ch)
	c.sendSystem(protocol.Normal, ch, "system", protocol.StatusError, why)
	c.sendClose(protocol.Normal, ch)
}

// watchExpiry ends the channel when its token does. mu is held.
func (c *session) watchExpiry(ch *channel) {
	ch.stopExpiry()
	if ch.claims.Expiry.IsZero() {
		return
	}
	claims := ch.claims
	// Ends with the channel (stopExpiry), or by itself.
	ch.expiry = time.AfterFunc(time.Until(claims.Expiry), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !ch.left.Load() && ch.claims == claims {
			c.end(ch, c.server.verifier.Expired(claims).Error())
		}
	})
}

func (ch *channel) stopExpiry() {
	if ch.expiry != nil {
		ch.expiry.Stop()
	}
}

// bearer returns the claims under which a join happens: those of its own token, or of the socket's
// if it brought none or an opaque API key.
func (c *session) bearer(token string) (*auth.Claims, error) {
	if token != "" && !auth.IsAPIKey(token) {
		return c.server.verifier.Verify(auth.Clean(token))
	}
	if !c.claims.Expiry.IsZero() && !time.Now().Before(c.claims.Expiry) {
		return nil, c.server.verifier.Expired(c.claims)
	}
	return c.claims, nil
}

// joinReason words why a token was not enough to join.
func joinReason(err error) string {
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		return refusal.AtJoin()
	}
	return err.Error()
}
