package backbone

import (
	"fmt"
	"strings"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// aliveWithin is the silence of the own log after which the node is not ready.
const aliveWithin = 3 * time.Second

// reached tells whether what a node publishes can come here directly.
func (b *Backbone) reached(node string) bool {
	n := b.roster.Load().neighbours[node]
	return n != nil && (n.links[protocol.Urgent].up.Load() || n.links[protocol.Normal].up.Load())
}

// Ready says why the node cannot take publications now, or nil: the own log answers, and a log of
// another region is reached on both lanes, if there is another region.
func (b *Backbone) Ready() error {
	now := b.roster.Load()
	for _, lane := range logged {
		if !b.own[lane].alive(aliveWithin) {
			return fmt.Errorf("the own log does not answer on the %v lane; look at its disk", lane)
		}
		other := now.regions == 1
		for _, l := range now.links[lane] {
			other = other || l.peer.Region != b.cfg.Region && l.up.Load()
		}
		if !other {
			return fmt.Errorf("no log of another region can be reached on the %v lane; look at the network and at the other regions", lane)
		}
	}
	return nil
}

// CaughtUp tells whether repair has read the log of every peer that can be reached to the end that
// it had when it was reached, and what is missing or unreachable.
func (b *Backbone) CaughtUp() (bool, string) {
	all := true
	var why []string
	now := b.roster.Load()
	for _, p := range now.peers {
		for _, r := range now.neighbours[p.Node].repairs {
			ok, text := r.status()
			all = all && ok
			if text != "" {
				why = append(why, text)
			}
		}
	}
	return all, strings.Join(why, "; ")
}
