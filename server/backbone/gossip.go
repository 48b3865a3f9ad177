package backbone

import (
	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/protocol"
)

// Gossip is what nodes tell each other about themselves: who is here (presence), how busy they are
// (load). Each topic has its own subject, and its receivers a goroutine each, so that one that takes
// its time holds up nobody else's. It travels on the normal lane, live only.

// Gossip sends a message on a topic to a node, or to every other one if node is empty. It never
// blocks. What one node sends another on a topic arrives in order; it may be lost.
func (b *Backbone) Gossip(topic, node string, data []byte) {
	subject := gossipSubject(topic)
	for _, l := range b.roster.Load().toPeers(protocol.Normal) {
		if node == "" || node == l.peer.Node {
			l.cast(subject, data)
		}
	}
}

// OnGossip adds a function that is given what other nodes send on a topic: one message at a time,
// until the backbone closes. What comes before it is named is lost, as gossip may be.
func (b *Backbone) OnGossip(topic string, each func(data []byte)) {
	l := b.self[protocol.Normal]
	if err := l.subscribe(l.get(), gossipSubject(topic), func(msg *nats.Msg) { each(msg.Data) }); err != nil {
		b.cfg.Logger.Error("nothing will be heard of a topic of gossip; is the node stopping?", "topic", topic, "err", err)
	}
}
