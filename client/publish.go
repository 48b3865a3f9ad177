package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// The outcomes of a publish that is not acknowledged.
var (
	// ErrRefused: the message is definitely not published. Every server that got it said no, or no
	// home was joined in time and it was not sent at all.
	ErrRefused = errors.New("refused")
	// ErrUnknown: the message may or may not be published. Publishing again with the same id is
	// safe: recipients see it once.
	ErrUnknown = errors.New("outcome unknown")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client is closed")
)

const (
	// answerLimit is how long a publish waits for a reply before it is sent again on the same
	// session. It is longer than a server takes to say that a message is not held in time.
	answerLimit = 3 * time.Second
	// maxPayload leaves room for the other fields in a frame that servers still read; for a larger
	// one they close the socket.
	maxPayload = protocol.MaxFrame - 4096
	// retryAfter is how long to wait after a server said that.
	retryAfter = 100 * time.Millisecond
)

// Publication is a message to be published.
type Publication struct {
	ID      string // default: a random UUID
	Event   string
	Lane    protocol.Lane
	Payload []byte // JSON
}

// Ack is the server's word that a message is held.
type Ack struct {
	ID     string
	At     time.Time // when the reply was read
	Region string    // that answered first
	Held   []string  // regions that hold it; empty from a stock server
}

// Publish sends a message and returns when a server holds it. Urgent messages go through every home
// at once, the others through the first; after a fail-over the message goes out again with the
// same id, until ctx ends. Of a bulk message the answer says that a server has taken it, and no more. The
// error wraps ErrRefused or ErrUnknown.
func (c *Client) Publish(ctx context.Context, message Publication) (Ack, error) {
	p, err := c.begin(message)
	if err != nil {
		return Ack{}, err
	}
	defer c.finish(p)
	for {
		due, next := c.due(p, time.Now())
		c.send(p, due)
		if ack, err, done := c.outcome(p); done {
			return ack, err
		}
		timer := time.NewTimer(next)
		select {
		case <-p.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return c.giveUp(p, ctx.Err())
		case <-c.ctx.Done():
			timer.Stop()
			return c.giveUp(p, ErrClosed)
		}
		timer.Stop()
	}
}

// begin checks the message and registers it.
func (c *Client) begin(message Publication) (*publication, error) {
	if message.ID == "" {
		message.ID = uuid.NewString()
	}
	if len(message.Payload) == 0 {
		message.Payload = []byte("{}")
	}
	p := &publication{Publication: message, wake: make(chan struct{}, 1)}
	p.Lane = protocol.LaneOf(p.Event, protocol.Meta{Lane: p.Lane})
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("publishing %.80q: %w: %w", p.ID, ErrRefused, fmt.Errorf(format, args...))
	}
	switch {
	case !protocol.ValidID(p.ID):
		return nil, refuse("an id has 1 to %d characters of A-Z a-z 0-9 . _ : / -", protocol.MaxID)
	case p.Event == "" || len(p.Event) > protocol.MaxField:
		return nil, refuse("an event has 1 to %d bytes, not %d", protocol.MaxField, len(p.Event))
	case !json.Valid(p.Payload) || !utf8.Valid(p.Payload):
		return nil, refuse("the payload is not JSON")
	case len(p.Payload) > maxPayload:
		return nil, refuse("the payload has %d bytes, the most is %d", len(p.Payload), maxPayload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, refuse("%w", ErrClosed)
	}
	if c.pending[p.ID] != nil {
		return nil, refuse("the same id is being published now")
	}
	if c.pending == nil {
		c.pending = make(map[string]*publication)
	}
	c.pending[p.ID] = p
	c.memory.keepOwn(p.ID, time.Now())
	return p, nil
}

// finish forgets what still awaits an answer.
func (c *Client) finish(p *publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, p.ID)
	for s := range c.sessions {
		for ref, waiting := range s.awaiting {
			if waiting == p {
				delete(s.awaiting, ref)
			}
		}
	}
}

// due returns the sessions on which the message must go out now, and when to look again.
func (c *Client) due(p *publication, now time.Time) (due []*session, next time.Duration) {
	const idle = time.Minute // a join or a reply wakes earlier
	next = idle
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.ack != nil {
		return nil, next
	}
	for _, h := range c.homes {
		if h.joined == nil {
			continue
		}
		if until := p.awaitedElsewhere(h.joined); p.Lane != protocol.Urgent && now.Before(until) {
			next = until.Sub(now)
			break
		}
		if wait := p.plan(h.joined, now); wait > 0 {
			next = min(next, wait)
		} else if wait == 0 {
			due = append(due, h.joined)
			next = min(next, answerLimit)
		}
		if p.Lane != protocol.Urgent {
			break // the first joined home
		}
	}
	return due, next
}

// send writes the message to each of the sessions, side by side: one that is stuck must not hold up
// the other.
func (c *Client) send(p *publication, due []*session) {
	for i, s := range due {
		if i == len(due)-1 {
			s.publish(p)
			return
		}
		c.spawn(func() { s.publish(p) }) // ends within the write deadline
	}
}

// publish writes the message with a ref of its own. If that fails the session ends, which notes the
// send as lost.
func (s *session) publish(p *publication) {
	c := s.client
	ref := s.nextRef()
	c.mu.Lock()
	if c.pending[p.ID] == p { // else another home was faster: this one is told, but not waited for
		if s.awaiting == nil {
			s.awaiting = make(map[string]*publication)
		}
		s.awaiting[string(ref)] = p
	}
	c.mu.Unlock()

	meta := protocol.Meta{ID: p.ID, Lane: p.Lane, From: c.cfg.Key}
	if c.cfg.Version == protocol.V1 {
		u := protocol.UserBroadcast{Event: p.Event, Payload: p.Payload, Meta: meta, HasMeta: true}
		_ = s.push(protocol.EventBroadcast, ref, protocol.AppendUserBroadcast(nil, &u))
		return
	}
	frame, err := protocol.AppendPush(nil, &protocol.Frame{
		JoinRef: joinRef, Ref: ref, Topic: c.topic,
		Broadcast: &protocol.Broadcast{Event: p.Event, Encoding: protocol.JSON, Meta: meta.Append(nil), Payload: p.Payload},
	})
	if err != nil { // begin and Validate have measured every field
		s.fail(err.Error())
		return
	}
	_ = s.write(websocket.BinaryMessage, frame)
}

// answered notes the reply to a publish.
func (s *session) answered(ref string, r protocol.Reply, at time.Time) error {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	p := s.awaiting[ref]
	if p == nil {
		return nil // to a leave, or too late
	}
	delete(s.awaiting, ref)
	p.wakeUp()
	if r.Status == protocol.StatusOK {
		if p.ack == nil {
			p.ack = &Ack{ID: p.ID, At: at, Region: s.region, Held: heldIn(r.Response)}
		}
		return nil
	}
	p.reason = r.Reason()
	for i := range p.sends {
		if x := &p.sends[i]; x.session == s {
			x.state, x.until = retry, at.Add(retryAfter)
			if protocol.Definite(p.reason) {
				x.state = refused
			}
		}
	}
	return nil
}

func heldIn(response []byte) []string {
	var r struct{ Held []string }
	_ = json.Unmarshal(response, &r) // stock servers answer {}
	return r.Held
}

// abandon notes that what awaits an answer on s will not get it. Called with client.mu.
func (s *session) abandon() {
	for _, p := range s.client.pending {
		for i, x := range p.sends {
			if x.session == s {
				p.lost = p.lost || x.state != refused
				p.sends = append(p.sends[:i], p.sends[i+1:]...)
				p.wakeUp()
				break
			}
		}
	}
	s.awaiting = nil
}

// outcome says whether the message's fate is known: the first ok, or a no from all who had it.
func (c *Client) outcome(p *publication) (Ack, error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.ack != nil {
		return *p.ack, nil, true
	}
	if len(p.sends) == 0 {
		return Ack{}, nil, false
	}
	for _, x := range p.sends {
		if x.state != refused {
			return Ack{}, nil, false
		}
	}
	kind := ErrRefused
	if p.lost {
		kind = ErrUnknown // another server had it and fell silent
	}
	return Ack{}, fmt.Errorf("publishing %s: %w: %s", p.ID, kind, p.reason), true
}

// giveUp words the end of a publish that got no answer.
func (c *Client) giveUp(p *publication, cause error) (Ack, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.ack != nil {
		return *p.ack, nil
	}
	if len(p.sends) == 0 && !p.lost {
		return Ack{}, fmt.Errorf("publishing %s: %w: no home was joined, it was not sent: %w", p.ID, ErrRefused, cause)
	}
	if p.reason != "" {
		return Ack{}, fmt.Errorf("publishing %s: %w: %w (the last answer was %q)", p.ID, ErrUnknown, cause, p.reason)
	}
	return Ack{}, fmt.Errorf("publishing %s: %w: %w", p.ID, ErrUnknown, cause)
}
