package backbone

import (
	"context"
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// neighbour is all that this node has of one peer: a link for each lane, and for each lane that has a
// log a repair, which reads the peer's. It shares nothing with those of other peers.
type neighbour struct {
	peer    Peer
	links   [protocol.Lanes]*link
	repairs []*repair // in the order of logged
	life    context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup
}

// newNeighbour makes what meet starts. CaughtUp waits for its first contact for a while from a moment on.
func (b *Backbone) newNeighbour(p Peer, from time.Time) *neighbour {
	n := &neighbour{peer: p}
	n.life, n.stop = context.WithCancelCause(b.life)
	for _, lane := range lanes {
		n.links[lane] = newLink(p, lane, b.cfg.QueueLen, b.cfg.Logger, b.m)
	}
	for _, lane := range logged {
		r := &repair{
			cfg: &b.cfg, peer: n.links[lane], own: b.own[lane], cursors: b.cursors, reached: b.reached,
			log:    b.cfg.Logger.With("peer", p.Node, "lane", lane.String()),
			kicked: make(chan struct{}, 1), started: from,
		}
		n.links[lane].wake = r.kick
		n.repairs = append(n.repairs, r)
	}
	return n
}

// meet starts the links and the repairs of a neighbour. They live until part, whatever the peer does.
func (b *Backbone) meet(n *neighbour) {
	for _, l := range n.links {
		n.running.Go(func() { // ends with the life of the neighbour
			if err := b.connectPeer(n.life, l); err != nil {
				b.cfg.Logger.Error("peer cannot be used; check its address", "peer", n.peer.Node, "url", n.peer.URL, "err", err)
				l.end(err)
				return
			}
			l.run(n.life)
		})
	}
	for _, r := range n.repairs {
		n.running.Go(func() { r.run(n.life) }) // ends with the life of the neighbour
	}
}

// connectPeer opens a link. Only urgent events are taken from the logs of others: a normal event that
// the own log has missed can wait for repair.
func (b *Backbone) connectPeer(ctx context.Context, l *link) error {
	key, err := laneKey(b.cfg.Secret, l.lane)
	if err == nil {
		err = l.connect(ctx, key, nil, b.cfg.Node)
	}
	if err == nil && l.lane == protocol.Urgent {
		err = l.subscribe(l.get(), eventPrefix(l.peer.Node, l.lane)+">", b.onLive)
	}
	return err
}

// part ends neighbours and waits for that. Nobody may find them in the roster any more.
func (b *Backbone) part(gone []*neighbour, why error) {
	var all sync.WaitGroup
	for _, n := range gone {
		n.stop(why)
		all.Go(func() { // ends when the goroutines of the neighbour have: its context cuts off their sockets
			n.close()
			n.running.Wait()
			n.close() // what was made meanwhile
			b.m.forget(n.peer.Node)
		})
	}
	all.Wait()
}

func (n *neighbour) close() {
	for _, l := range n.links {
		l.close()
	}
}
