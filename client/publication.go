package client

import "time"

// publication is a message under way. The goroutine of Publish sends it, as often and on as many
// sessions as it takes; readers note what became of each send.
type publication struct {
	Publication
	wake chan struct{} // holds one token when there is something to look at

	// Guarded by client.mu.
	sends  []send
	lost   bool   // a session ended with a send unanswered
	reason string // of the last refusal
	ack    *Ack
}

// send is the message on one session.
type send struct {
	session *session
	state   sendState
	until   time.Time // awaiting: when to send again; retry: when to
}

type sendState uint8

const (
	awaiting sendState = iota
	retry
	refused
)

func (p *publication) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// plan says how long to wait before the message goes out on s: 0 is now, negative never. When it is
// now, the send is noted as awaiting.
func (p *publication) plan(s *session, now time.Time) time.Duration {
	for i := range p.sends {
		x := &p.sends[i]
		if x.session != s {
			continue
		}
		if x.state == refused {
			return -1
		}
		if wait := x.until.Sub(now); wait > 0 {
			return wait
		}
		x.state, x.until = awaiting, now.Add(answerLimit)
		return 0
	}
	p.sends = append(p.sends, send{s, awaiting, now.Add(answerLimit)})
	return 0
}

// awaitedElsewhere says how long the message may still be answered on another session than s.
func (p *publication) awaitedElsewhere(s *session) (until time.Time) {
	for _, x := range p.sends {
		if x.session != s && x.state == awaiting && x.until.After(until) {
			until = x.until
		}
	}
	return until
}
