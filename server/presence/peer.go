package presence

import (
	"maps"
	"slices"
	"time"
)

// peer is the copy of another node's set, as this node has been told it.
type peer struct {
	name        string
	incarnation uint64
	seq         uint64           // the copy is what the node had after this change
	metas       map[uint64]*meta // by seq
	shown       bool             // clients see the metas; if not, they are kept aside for its return

	remains   []*meta   // what it had when it said goodbye: still shown, so that its members can come back elsewhere
	remainsTo time.Time // but not longer than this
	ended     uint64    // incarnation of the last goodbye
	removed   bool      // no longer a peer: it is not heard any more, and forgotten when nothing of it is shown

	staged map[uint64]*meta // parts of a full state that have come so far, nil if none is expected
	parts  uint64           // how many
	upTo   uint64           // its seq

	heard time.Time // last
	asked time.Time // for its full state, last
}

func newPeer(name string) *peer { return &peer{name: name, metas: map[uint64]*meta{}} }

// merge takes a message of the node. It returns what came and left by it for clients, and whether
// the copy is not what the node has, so that its full state is needed.
//
// Only the node itself writes its set, and it numbers its changes, so there is nothing to resolve:
// two copies of one incarnation at one seq are equal, whatever way they got there.
func (p *peer) merge(m *message) (changes []change, lacking bool) {
	if len(p.remains) > 0 && m.incarnation == p.ended {
		changes = p.bury() // it is not over: what it has will be shown as that of any peer
	}
	switch {
	case m.incarnation == p.incarnation:
	case p.shown && m.incarnation < p.incarnation:
		return changes, false // late words of a process that has been replaced
	default:
		// What the former process had is gone with its sockets.
		changes = append(changes, p.hide()...)
		p.forget()
		p.incarnation = m.incarnation
	}
	switch m.kind {
	case heartbeat:
		if m.seq != p.seq || m.count != uint64(len(p.metas)) {
			return changes, true
		}
		return append(changes, p.show()...), false
	case delta:
		if m.since > p.seq {
			return changes, true
		}
		return append(changes, p.advance(m)...), false
	case full:
		return append(changes, p.stage(m)...), false
	case goodbye:
		p.end()
	}
	return changes, false
}

// end takes the node's goodbye. It has sent its clients away before, and some may not have come back elsewhere yet:
// what it showed to the end goes on to be shown for a while.
func (p *peer) end() {
	if p.shown {
		p.remains = slices.AppendSeq(p.remains, maps.Values(p.metas))
		p.shown = false
	}
	p.ended = p.incarnation
	p.forget()
}

// bury takes what a node has left out of sight.
func (p *peer) bury() (changes []change) {
	for _, m := range p.remains {
		changes = append(changes, change{m, true})
	}
	p.remains = nil
	return changes
}

// advance applies a delta that begins where the copy ends, or before: what is known is passed over.
func (p *peer) advance(m *message) (changes []change) {
	for _, seq := range m.leaves {
		if old := p.metas[seq]; old != nil {
			delete(p.metas, seq)
			changes = append(changes, change{old, true})
		}
	}
	for _, j := range m.joins {
		if j.seq > p.seq {
			p.metas[j.seq] = j
			changes = append(changes, change{j, false})
		}
	}
	p.seq = max(p.seq, m.seq)
	if !p.shown {
		return p.show()
	}
	return changes
}

// stage takes a part of a full state. When all parts are there they become the copy.
func (p *peer) stage(m *message) []change {
	if m.index == 0 {
		p.staged, p.parts, p.upTo = map[uint64]*meta{}, 0, m.seq
	}
	if p.staged == nil || m.index != p.parts || m.seq != p.upTo {
		p.staged = nil // a part got lost: the next heartbeat will show that the state is lacking
		return nil
	}
	for _, j := range m.joins {
		p.staged[j.seq] = j
	}
	p.parts++
	if !m.final {
		return nil
	}
	next := p.staged
	p.staged = nil
	return p.replace(next, m.seq)
}

func (p *peer) replace(next map[uint64]*meta, seq uint64) (changes []change) {
	old := p.metas
	p.metas, p.seq = next, seq
	if !p.shown {
		return p.show()
	}
	for seq, m := range old {
		if next[seq] == nil {
			changes = append(changes, change{m, true})
		}
	}
	for seq, m := range next {
		if old[seq] == nil {
			changes = append(changes, change{m, false})
		}
	}
	return changes
}

// show makes all metas seen; hide takes them out of sight and keeps them.
func (p *peer) show() []change { return p.turn(true) }
func (p *peer) hide() []change { return p.turn(false) }

func (p *peer) turn(shown bool) (changes []change) {
	if p.shown == shown {
		return nil
	}
	p.shown = shown
	for _, m := range p.metas {
		changes = append(changes, change{m, !shown})
	}
	return changes
}

// forget drops the copy. It must be hidden.
func (p *peer) forget() {
	p.incarnation, p.seq, p.metas, p.staged = 0, 0, map[uint64]*meta{}, nil
}
