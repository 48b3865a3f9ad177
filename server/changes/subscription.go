package changes

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
)

// Subscriber is one channel that wants to be told of changes. Its functions must not block.
type Subscriber struct {
	Entries []Entry
	Claims  *auth.Claims
	// Deliver gets the complete payload of a postgres_changes message, in the order of the commits. Only a
	// Replay calls it at the same time. The bytes are shared with other channels. A call may be under way
	// when Close returns.
	Deliver func(payload []byte, ev *backbone.Event)
	// Status gets the status and message of a system message.
	Status func(status, message string)
	// Resumes says that changes from before the subscription are wanted too, because a Replay will not have
	// those that are on their way.
	Resumes bool
	// Lost says that a change was missed and the subscription has ended: the channel must be joined again.
	Lost func()
}

// The statuses of a system message.
const (
	statusOK    = "ok"
	statusError = "error"
)

const textSubscribed = "Subscribed to PostgreSQL"

// Subscription is the feed's side of a Subscriber.
type Subscription struct {
	Subscriber
	feed *Feed

	ended atomic.Bool

	mu      sync.Mutex // guards the following
	claims  *auth.Claims
	attempt context.CancelFunc // ends the attempt to subscribe that is under way
	watches []*watch           // what is in the index
	bearer  *bearer            // of the watches
	floor   uint64             // what was committed before this place in the WAL is not told; constant once there are watches
	ready   chan struct{}      // closed when the first attempt has an outcome

	// The worker's own.
	change  uint64     // number of the change that hits are of
	hits    []*watch   // entries that match it
	pending []delivery // not yet decided, or behind such a one
}

// Subscribe makes a subscription, in the background: Status says how it went. Every change that is committed
// after Status has said ok is delivered, once.
func (f *Feed) Subscribe(who Subscriber) *Subscription {
	s := &Subscription{Subscriber: who, feed: f, claims: who.Claims, ready: make(chan struct{})}
	f.m.subscriptions.Inc()
	s.start(who.Claims, true)
	return s
}

// Reclaim puts other claims in the place of those under which the channel was joined. Until they have been
// checked, the old ones go on counting, so that nothing is missed.
func (s *Subscription) Reclaim(claims *auth.Claims) { s.start(claims, true) }

// Close ends the subscription.
func (s *Subscription) Close() { s.end() }

// end reports whether it was the one to end it.
func (s *Subscription) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.Swap(true) {
		return false
	}
	if s.attempt != nil {
		s.attempt()
	}
	s.replace(nil, nil)
	s.settled()
	s.feed.m.subscriptions.Dec()
	return true
}

// replace puts other watches into the index, and takes over the bearer's hold. mu is held.
func (s *Subscription) replace(b *bearer, watches []*watch) {
	s.feed.index.replace(s.watches, watches)
	s.feed.bearers.release(s.bearer)
	s.bearer, s.watches = b, watches
}

// settled says that the first attempt has an outcome. mu is held.
func (s *Subscription) settled() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// start begins an attempt to subscribe, which takes the place of one that is under way. told: the client is
// told that it succeeded.
func (s *Subscription) start(claims *auth.Claims, told bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.Load() || s.feed.life.Err() != nil {
		return
	}
	if s.attempt != nil {
		s.attempt()
	}
	s.claims = claims
	ctx, cancel := context.WithCancel(s.feed.life)
	s.attempt = cancel
	// Owner: the feed; ends with the attempt's outcome, a newer attempt, the subscription or the feed.
	s.feed.goRun(func() { s.run(ctx, claims, told) })
}

// Pauses between attempts, each with as much again at random.
const (
	pauseUnconnected = time.Second // at most 3s
	pauseProblem     = 5 * time.Second
)

// run tries until there is an outcome. A refusal is final; what has to do with the state of the database is
// tried again, and told once.
func (s *Subscription) run(ctx context.Context, claims *auth.Claims, told bool) {
	b := s.feed.bearers.hold(claims)
	var refusal *Refusal
	for complained := false; ; {
		watches, err := s.compile(ctx, b)
		if err == nil || errors.As(err, &refusal) {
			if !s.install(ctx, b, watches) {
				break
			}
			if refusal != nil {
				s.Status(statusError, refusal.Error())
			} else if told {
				s.Status(statusOK, textSubscribed)
			}
			return
		}
		pause := pauseProblem + rand.N(pauseProblem)
		if errors.Is(err, errNotReading) {
			pause = pauseUnconnected + rand.N(2*pauseUnconnected)
		} else if !complained && ctx.Err() == nil {
			complained = true
			s.feed.cfg.Logger.Warn("subscribing to Postgres changes will be tried again", "err", err)
			s.Status(statusError, TextUnreachable)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			continue
		}
		break
	}
	s.feed.bearers.release(b)
}

// TextUnreachable is the status that is not final: the subscription is still being tried.
const TextUnreachable = "Unable to subscribe to changes: the database cannot be reached, trying again"

// install puts the outcome of an attempt into force, unless a newer one has begun.
func (s *Subscription) install(ctx context.Context, b *bearer, watches []*watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || s.ended.Load() {
		return false
	}
	s.replace(b, watches)
	s.settled()
	return true
}

// lose ends the subscription because a change was missed.
func (s *Subscription) lose() {
	if s.end() {
		s.feed.m.lost.Inc()
		s.Lost()
	}
}
