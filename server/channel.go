package server

import (
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/room"
)

// channel is one joined topic of a session. It is a member of its room; its session's lock guards
// what can change.
type channel struct {
	room.Member
	topic   string       // on the wire
	sub     string       // without the prefix
	room    string       // of the hub; Member.Path is the place in it
	joinRef protocol.Ref // names this life of the channel
	private bool
	ack     bool   // wants a reply to each broadcast
	from    string // presence key if the client chose it: others are told it
	left    atomic.Bool

	move  bool // the client understands Moving
	homes int  // how many sessions it keeps, in different regions

	confirms bool // it confirms urgent messages, and is expected to until it leaves

	claims *auth.Claims
	token  uint64 // hash of the last token, to know it again
	expiry *time.Timer
	rights rights

	presence presenceOf
	changes  *changes.Subscription // nil without Postgres changes
}

// rights of a channel's bearer. On a public channel everything is granted.
type rights struct {
	// Asked for at the join and with each new token.
	readBroadcast, readPresence bool
	// Asked for when they are first needed, and remembered until the token changes.
	writeBroadcast, writePresence right
}

type right uint8

const (
	unasked right = iota
	granted
	denied
)

// readRights asks what a bearer may read.
func (s *Server) readRights(private bool, claims *auth.Claims, sub string) rights {
	return rights{
		readBroadcast: !private || s.policy(claims, sub, auth.Broadcast, auth.Read),
		readPresence:  !private || s.policy(claims, sub, auth.Presence, auth.Read),
	}
}

// suffices says whether the rights are enough to be on a channel: one of them, and the one for presence
// counts if presence is wanted.
func (r *rights) suffices(presence bool) bool { return r.readBroadcast || presence && r.readPresence }

// lost says whether one of the rights that counted before is gone.
func (r *rights) lost(before *rights, presence bool) bool {
	return before.readBroadcast && !r.readBroadcast || presence && before.readPresence && !r.readPresence
}

// may asks for a right to write, once.
func (c *session) may(ch *channel, remembered *right, ext auth.Extension) bool {
	if !ch.private {
		return true
	}
	if *remembered == unasked {
		*remembered = denied
		if c.server.policy(ch.claims, ch.sub, ext, auth.Write) {
			*remembered = granted
		}
	}
	return *remembered == granted
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
	claims = c.withHeader(claims)
	if c.judgeAgain(ch, claims) {
		ch.claims, ch.token = claims, hash
		c.watchExpiry(ch)
		if ch.changes != nil {
			ch.changes.Reclaim(claims)
		}
	}
}

// judgeAgain asks the policy once more, because the token or the policy has changed. A channel that has
// lost a right to read is ended, and false returned. mu is held.
func (c *session) judgeAgain(ch *channel, claims *auth.Claims) bool {
	now := c.server.readRights(ch.private, claims, ch.sub)
	if now.lost(&ch.rights, ch.presence.wanted) {
		c.server.unexpect(ch, true) // nobody waits for the receipts of who may not read
		c.end(ch, "You no longer have permission to read from this Channel topic: "+ch.sub)
		return false
	}
	ch.claims, ch.rights = claims, now
	c.server.hub.Change(&ch.Member, func(m *room.Member) { m.Deaf, m.Presence = !now.readBroadcast, now.readPresence })
	if ch.presence.id != 0 && !c.may(ch, &ch.rights.writePresence, auth.Presence) {
		c.untrack(ch)
	}
	return true
}

// withHeader returns claims with the headers of the socket's handshake, for the policy.
func (c *session) withHeader(claims *auth.Claims) *auth.Claims {
	if len(c.claims.Header) == 0 {
		return claims
	}
	with := *claims
	with.Header = c.claims.Header
	return &with
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
		claims, err := c.server.verifier.Verify(auth.Clean(token))
		if err != nil {
			return nil, err
		}
		return c.withHeader(claims), nil
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
