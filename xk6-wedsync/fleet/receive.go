package fleet

import (
	"time"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/protocol"
)

// The methods of this file are called by the client, on the goroutine that read the frame: they take the wedding's lock
// for a few hundred nanoseconds and never wait for anything else.

// onMessage books a message that the vendor's application was given.
func (v *vendor) onMessage(got client.Message) {
	w := v.w
	if got.Event == protocol.EscalationEvent { // the server's own word
		if v.Type == Planner {
			w.cfg.Observe(v.observed(Escalated, &got))
		}
		return
	}
	w.mu.Lock()
	m := w.messages[got.ID]
	if m == nil {
		w.mu.Unlock()
		v.write(&got)
		w.cfg.Observe(v.observed(Stray, &got))
		return
	}
	sla := w.sla(m.lane)
	what, latency := m.receive(v.index, got.At, sla)
	noted := m.note(v.index, what, &got)
	slow := v.slow(m, sla)
	w.close(m, got.At)
	w.mu.Unlock()
	if !noted {
		v.write(&got)
	}

	o := Observation{What: Delivered, At: got.At, Lane: m.lane, Region: got.Region, Type: v.Type, Phase: m.phase,
		Replayed: got.Replayed, Slow: slow, Latency: latency, Late: latency > sla && !slow}
	if s := w.latencies[got.Region]; s != nil && (what == first || what == beyond) {
		s[m.lane].Record(latency)
	}
	switch what {
	case extra, beyond:
		return
	case duplicate:
		o.What = Duplicate
	case first:
		t := w.fleet.tally.lane(m.lane)
		t.delivered.Add(1)
		if o.Late {
			t.late.Add(1)
		}
	}
	w.cfg.Observe(o)
}

// write gives a message that was received a line in the history.
func (v *vendor) write(got *client.Message) {
	if b := v.w.books; b != nil {
		b.History.Recv(clock.Of(got.At), v.full, got.Session, got.ID, got.Region, got.Replayed)
	}
}

func (w *Wedding) sla(lane protocol.Lane) time.Duration {
	if lane == protocol.Urgent {
		return w.cfg.UrgentSLA
	}
	return w.cfg.UpdateSLA
}

// onDuplicate books a copy that the client held back. A second home brings one of everything; that is what it is for.
// The same session bringing a message twice, other than in a replay, is the server's fault.
func (v *vendor) onDuplicate(got client.Message) {
	w := v.w
	if got.Event == protocol.EscalationEvent || !got.SameSession && w.copied(got.ID) {
		return
	}
	if w.books != nil {
		w.books.History.Dup(clock.Of(got.At), v.full, got.Session, got.ID, got.Region, got.SameSession, got.Replayed)
	}
	if got.SameSession && !got.Replayed {
		w.cfg.Observe(v.observed(Duplicate, &got))
	}
}

// copied counts a second copy of a bulk message, if its line in the history is still to be written.
func (w *Wedding) copied(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.messages[id]
	if m == nil || m.lane != protocol.Bulk || m.booked {
		return false
	}
	m.copies++
	return true
}

// observed is an observation of a message that has no account here.
func (v *vendor) observed(what What, got *client.Message) Observation {
	return Observation{What: what, At: got.At, Lane: got.Lane, Region: got.Region, Type: v.Type, Phase: v.w.fleet.Phase()}
}

// onReceipt books that the server has told the sender of one recipient.
func (v *vendor) onReceipt(r client.Receipt) {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	m := v.w.messages[r.ID]
	if m == nil || m.publisher != v {
		return
	}
	if to := v.w.byName[r.By]; to == nil || !m.accounts[to.index].expected {
		return
	}
	if m.confirmed == nil {
		m.confirmed = map[string]bool{}
	}
	m.confirmed[r.By] = true
}

// onState books what happens to one of the vendor's sockets.
func (v *vendor) onState(s client.State) {
	w := v.w
	w.mu.Lock()
	_, was := v.joined[s.Session]
	arrives, failed, moved := false, false, false
	due := v.due
	switch s.Phase {
	case client.Joined:
		v.joined[s.Session] = s.Region
		if arrives = !v.arrived && !v.leaving; arrives {
			v.arrived = true
			w.fleet.tally.vendors.Add(1)
		}
		if !was {
			w.fleet.tally.joined.Add(1)
		}
	case client.Left, client.Closed:
		delete(v.joined, s.Session)
		if was {
			w.fleet.tally.joined.Add(-1)
		}
		failed = was && s.Phase == client.Closed && !v.leaving
		moved = was && s.Phase == client.Left && s.Reason == client.ReasonMoved
		if s.Phase == client.Closed {
			v.trouble = s.Region + ": " + s.Reason
		}
	}
	if w.books != nil {
		h, t := w.books.History, clock.Of(s.At)
		h.Session(t, v.full, s.Session, s.Region, s.Phase.String(), s.Reason)
		if arrives {
			h.Arrived(t, v.full)
		}
	}
	w.mu.Unlock()
	o := Observation{At: s.At, Region: s.Region, Type: v.Type, Phase: w.fleet.Phase()}
	switch {
	case failed:
		o.What = Failover
	case moved:
		o.What = Moved
	case arrives:
		o.What, o.Latency = Arrival, s.At.Sub(due)
	default:
		return
	}
	w.cfg.Observe(o)
}
