package backbone

import "github.com/nats-io/nats.go"

// Receiver is told of what arrives. Its methods are called from several goroutines at once, and
// must not block: what waits behind them are live events.
type Receiver interface {
	// Live brings a copy that has just passed a log: within milliseconds, perhaps several times,
	// perhaps of an old event. Returning false leaves it to Stored, which then follows at once.
	Live(ev *Event) bool
	// Stored brings each event that was appended to the own log since the node started, once.
	Stored(ev *Event)
	// Cast brings an event that is not stored.
	Cast(ev *Event)
	// Announced brings what another node gave to Announce.
	Announced(data []byte)
}

// Attach names the receiver; there is one. What the own log took in the last minutes, before this
// start and since, is handed to recall first, without payload: it is not told again.
func (b *Backbone) Attach(r Receiver, recall func(*Event)) {
	for _, o := range b.own { // none of them reads between its recall and the receiver's first call
		o.mu.Lock()
		defer o.mu.Unlock()
		o.recall(recall)
	}
	b.receiver.Store(&r)
}

// Detach ends what Attach began.
func (b *Backbone) Detach() { b.receiver.Store(nil) }

func (b *Backbone) attached() Receiver {
	if r := b.receiver.Load(); r != nil {
		return *r
	}
	return nil
}

func (b *Backbone) onLive(msg *nats.Msg) {
	ev := b.decode(msg)
	if r := b.attached(); r != nil && ev != nil && !r.Live(ev) {
		if own := b.own[ev.Lane]; own != nil {
			own.kick()
		}
	}
}

func (b *Backbone) onCast(msg *nats.Msg) {
	ev := b.decode(msg)
	if r := b.attached(); r != nil && ev != nil {
		r.Cast(ev)
	}
}

func (b *Backbone) onAnnounce(msg *nats.Msg) {
	if r := b.attached(); r != nil {
		r.Announced(msg.Data)
	}
}

func (b *Backbone) decode(msg *nats.Msg) *Event {
	ev, err := Decode(msg.Data)
	if err != nil {
		b.m.malformed.Inc()
		b.cfg.Logger.Warn("event of another node not understood", "subject", msg.Subject, "err", err)
		return nil
	}
	return ev
}
