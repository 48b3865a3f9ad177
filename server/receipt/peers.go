package receipt

import (
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// peer is another node.
type peer struct {
	heard time.Time
	asked time.Time     // for its roster, last
	pause time.Duration // between two questions; grows while they change nothing
}

const maxPause = 30 * time.Second

// alive is the other nodes that have been heard of late. mu is held.
func (l *Ledger) alive(now time.Time) (nodes []string) {
	for node, p := range l.peers {
		if now.Sub(p.heard) < downAfter {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// beat says that this node lives, and forgets nodes that have not said so.
func (l *Ledger) beat() {
	now := time.Now()
	l.mu.Lock()
	for node, p := range l.peers {
		if now.Sub(p.heard) > time.Minute {
			delete(l.peers, node)
		}
	}
	l.replies = append(l.replies, gossip{Beat: new(l.roster.digest())})
	l.mu.Unlock()
}

// outgoing is what is to be sent now.
func (l *Ledger) outgoing() []gossip {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []gossip
	if len(l.dirty) > 0 && now.Sub(l.flushed) >= flushEvery {
		var b batch
		for m := range l.dirty {
			if s, ok := l.roster.get(m); ok {
				b.add(m, s)
			}
		}
		clear(l.dirty)
		l.flushed = now
		all = b.messages()
	}
	all = append(all, l.replies...)
	l.replies = nil
	return all
}

func (l *Ledger) send(messages []gossip) {
	for i := range messages {
		g := &messages[i]
		g.Node = l.cfg.Node
		data, err := g.encode()
		if err != nil {
			l.log.Error("the other nodes are not told about receipts", "err", err)
			continue
		}
		l.cfg.Gossip(g.to, data)
	}
}

// Receive takes a message of another node. It does not keep data.
func (l *Ledger) Receive(data []byte) {
	g, err := decode(data)
	if err != nil {
		l.metrics.malformed.Inc()
		l.complain.Do(func() { l.log.Warn("message of another node about receipts dropped", "err", err) })
		return
	}
	if g.Node == l.cfg.Node {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.Bye {
		delete(l.peers, g.Node)
		return
	}
	p := l.peers[g.Node]
	if p == nil {
		p = &peer{pause: beatEvery}
		l.peers[g.Node] = p
	}
	p.heard = now
	if l.mergeRooms(g.Rooms, now) {
		p.pause = beatEvery
	}
	if g.Beat != nil {
		l.compare(g.Node, p, *g.Beat, now)
	}
	if len(g.Ask) > 0 {
		l.answer(g.Node, g.Ask)
	}
	for _, q := range g.Query {
		if t := l.tallies[message{q.Room, q.ID}]; t != nil && len(t.told) > 0 {
			l.reply(gossip{to: g.Node, Told: []told{{query: q, Told: t.receipts()}}})
		}
	}
	for _, a := range g.Told {
		if t := l.tallies[message{a.Room, a.ID}]; t != nil {
			for _, r := range a.Told {
				l.confirm(t, r)
			}
		}
	}
}

// mergeRooms takes news of the roster. mu is held.
func (l *Ledger) mergeRooms(rooms map[string][]entry, now time.Time) (changed bool) {
	// A clock that is ahead would have the last word for ever; one that is old says nothing that counts.
	from, to := backbone.At(now.Add(-l.cfg.RosterFor)), backbone.At(now.Add(backbone.MaxAhead))
	for room, entries := range rooms {
		for _, e := range entries {
			if e.At < from || e.At > to {
				continue
			}
			m := member{room, e.Key}
			c, news := l.roster.merge(m, standing{Since: e.Since, At: e.At, Left: e.Left}, l.cfg.Clock())
			changed = changed || c
			if news {
				l.tell(m)
			}
		}
	}
	return changed
}

// compare asks a node for its roster if it is not the same. mu is held.
func (l *Ledger) compare(node string, p *peer, digest uint64, now time.Time) {
	switch {
	case digest == l.roster.digest():
		p.pause = beatEvery
		return
	case now.Sub(p.asked) < p.pause-beatEvery/2: // beats are not exact
		return
	}
	p.asked, p.pause = now, min(2*p.pause, maxPause)
	l.reply(gossip{to: node, Ask: l.roster.digests()})
}

// answer sends a node what differs from its roster. mu is held.
func (l *Ledger) answer(node string, digests []uint64) {
	b := batch{to: node}
	for i, theirs := range digests {
		if l.roster.parts[i].digest == theirs {
			continue
		}
		for room, keys := range l.roster.parts[i].rooms {
			for key, s := range keys {
				b.add(member{room, key}, s)
			}
		}
		if b.total > maxAnswer {
			break
		}
	}
	for _, g := range b.messages() {
		l.reply(g)
	}
}

// maxReplies bounds what waits to be sent; what is over it is asked for again.
const maxReplies = 1000

// reply has a message sent. mu is held.
func (l *Ledger) reply(g gossip) {
	if len(l.replies) < maxReplies {
		l.replies = append(l.replies, g)
		l.rouse()
	}
}
