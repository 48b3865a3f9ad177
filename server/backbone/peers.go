package backbone

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// Peer is another node's log server.
type Peer struct {
	Node   string
	Region string
	URL    string // nats://host:port
}

// Validate says all that is wrong at once.
func (p Peer) Validate() error {
	errs := []error{checkNodeName("peer", p.Node), checkNodeName("region of peer "+p.Node, p.Region)}
	if u, err := url.Parse(p.URL); err != nil || u.Scheme != "nats" || u.Hostname() == "" || u.Port() == "" {
		errs = append(errs, fmt.Errorf("peer %s: URL %q: use nats://host:port", p.Node, p.URL))
	}
	return errors.Join(errs...)
}

// roster is who belongs to the cluster at one moment, and the links there. It never changes: SetPeers
// puts another one in its place, so whoever publishes loads one pointer and takes no lock for it.
type roster struct {
	peers      []Peer // without the own node
	neighbours map[string]*neighbour
	links      [protocol.Lanes][]*link // the own first, then those of the peers, in their order
	regions    int
}

// newRoster is the own node and these.
func (b *Backbone) newRoster(neighbours []*neighbour) *roster {
	r := &roster{neighbours: map[string]*neighbour{}}
	for lane, own := range b.self {
		r.links[lane] = []*link{own}
	}
	regions := map[string]bool{b.cfg.Region: true}
	for _, n := range neighbours {
		r.peers = append(r.peers, n.peer)
		r.neighbours[n.peer.Node] = n
		regions[n.peer.Region] = true
		for lane, l := range n.links {
			r.links[lane] = append(r.links[lane], l)
		}
	}
	r.regions = len(regions)
	return r
}

// toPeers returns the links of a lane that lead to others.
func (r *roster) toPeers(lane protocol.Lane) []*link { return r.links[lane][1:] }

// SetPeers makes these the peers from now on; the own entry, if it is among them, is passed over. A
// peer that stays the same does not notice. One that is new, or has moved, is connected to in the
// background, and its log is read. One that is gone is written to no more: what is under way to it
// ends with an error, and how far its log has been read is remembered in case it comes back. When
// SetPeers returns, the links that are gone are closed. On an error nothing has changed.
func (b *Backbone) SetPeers(peers []Peer) error {
	// A node that is up does not become unready because one that is only being started is announced.
	return b.setPeers(peers, time.Time{})
}

// setPeers is SetPeers; CaughtUp allows new peers the time of a first contact from a moment on.
func (b *Backbone) setPeers(peers []Peer, from time.Time) error {
	if err := errors.Join(checkPeers(peers)...); err != nil {
		return fmt.Errorf("the peers stay as they are: %w", err)
	}
	b.setting.Lock()
	defer b.setting.Unlock()
	if b.closed {
		return errClosed
	}
	now := b.roster.Load()
	wanted := make(map[string]Peer, len(peers))
	for _, p := range peers {
		if p.Node != b.cfg.Node {
			wanted[p.Node] = p
		}
	}
	var stay, gone, fresh []*neighbour
	for _, p := range now.peers {
		if n := now.neighbours[p.Node]; wanted[p.Node] == p {
			stay = append(stay, n)
			delete(wanted, p.Node)
		} else {
			gone = append(gone, n)
		}
	}
	if len(gone)+len(wanted) == 0 {
		return nil
	}
	b.roster.Store(b.newRoster(stay)) // first, so that nobody writes any more to what ends
	b.part(gone, errRemoved)
	for _, p := range peers {
		if _, ok := wanted[p.Node]; ok {
			fresh = append(fresh, b.newNeighbour(p, from))
		}
	}
	b.roster.Store(b.newRoster(append(stay, fresh...)))
	for _, n := range fresh {
		b.meet(n)
	}
	b.cfg.Logger.Info("peers", "nodes", len(b.Peers()), "regions", b.Regions())
	for _, each := range b.told {
		each(b.Peers())
	}
	return nil
}

// Peers are the other nodes of this moment.
func (b *Backbone) Peers() []Peer { return slices.Clone(b.roster.Load().peers) }

// OnPeers adds a function that is told the peers: now, and after each change, one call at a time. It
// must not call SetPeers.
func (b *Backbone) OnPeers(each func([]Peer)) {
	b.setting.Lock()
	defer b.setting.Unlock()
	b.told = append(b.told, each)
	each(b.Peers())
}

// Regions is the number of regions that have a log, the own included.
func (b *Backbone) Regions() int { return b.roster.Load().regions }

// OtherRegion names a region other than the own, or the own if there is none.
func (b *Backbone) OtherRegion() string {
	for _, p := range b.roster.Load().peers {
		if p.Region != b.cfg.Region {
			return p.Region
		}
	}
	return b.cfg.Region
}

// checkPeers says all that is wrong with a list of peers.
func checkPeers(peers []Peer) []error {
	var errs []error
	seen := map[string]bool{}
	for _, p := range peers {
		if err := p.Validate(); err != nil {
			errs = append(errs, err)
		}
		if seen[p.Node] {
			errs = append(errs, fmt.Errorf("peer %q is named twice", p.Node))
		}
		seen[p.Node] = true
	}
	return errs
}
