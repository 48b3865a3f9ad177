package presence

import (
	"container/heap"
	"slices"
	"time"
)

// replica is all that a node knows: its own set, its copies of the others', the rooms that follow
// from them, and what is to be told to whom. It has no clock, no lock and no goroutine: time is an
// argument, messages go in by receive and come out of outgoing, diffs come out of diffs.
type replica struct {
	window time.Duration // between two deltas, and between two diffs of an empty room
	retry  time.Duration // between two requests to one peer
	down   time.Duration // silence after which a peer's metas leave
	linger time.Duration // how long the entry of a departed member awaits it
	beat   time.Duration // between two heartbeats

	own      *own
	departed departed
	peers    map[string]*peer
	rooms    map[string]*room
	shown    int // metas of peers that clients see

	untold    agenda    // rooms that have a diff to come
	quiet     time.Time // the next delta does not go before
	lacking   []string  // peers to ask for their full state; "" for all
	answering []string  // peers that have asked for ours
}

// forgetAfter is the silence after which a peer is forgotten: when it returns, it is asked for its
// full state, changed or not.
const forgetAfter = 20 * time.Minute

func newReplica(cfg *Config, incarnation uint64) *replica {
	r := &replica{
		window: cfg.Window, retry: cfg.Heartbeat / 2, down: cfg.DownAfter, linger: cfg.Linger, beat: cfg.Heartbeat,
		own:      newOwn(cfg.Node, incarnation),
		departed: newDeparted(),
		peers:    map[string]*peer{},
		rooms:    map[string]*room{},
	}
	for _, name := range cfg.Peers {
		r.peers[name] = newPeer(name)
	}
	return r
}

// setPeers changes who the peers are. A new one is asked for what it has; what one that is no more has
// shown leaves as that of a silent one does.
func (r *replica) setPeers(names []string, now time.Time) {
	for _, p := range r.peers {
		p.removed = !slices.Contains(names, p.name)
	}
	for _, name := range names {
		if r.peers[name] == nil {
			r.peers[name] = newPeer(name)
			r.peers[name].asked = now
			r.lacking = append(r.lacking, name)
		}
	}
}

// track takes an entry, compact and valid, which it keeps.
func (r *replica) track(id uint64, e Entry, now time.Time) (changed bool) {
	came, left := r.own.track(id, e)
	if left != nil {
		r.departed.remove(id, left)
		r.apply(change{left, true}, now)
	}
	if came != nil {
		r.apply(change{came, false}, now)
	}
	return came != nil
}

func (r *replica) untrack(id uint64, now time.Time) (changed bool) {
	left := r.own.untrack(id)
	if left != nil {
		r.departed.remove(id, left)
		r.apply(change{left, true}, now)
	}
	return left != nil
}

// depart untracks an entry when its member is back elsewhere, or when it has been awaited for long enough.
func (r *replica) depart(id uint64, now time.Time) {
	if m := r.own.metas[id]; m != nil {
		r.departed.add(id, m, now.Add(r.linger))
	}
}

// overlap is how long the entry of a member that is back elsewhere stays, so that the news of its return is
// everywhere before the news of its departure: a lost delta is noticed by the next heartbeat.
func (r *replica) overlap() time.Duration { return 2 * r.beat }

// expire ends what has been kept for members that may come back: of this node, and of peers that have
// said goodbye.
func (r *replica) expire(now time.Time) (changed bool) {
	for _, id := range r.departed.due(now) {
		changed = r.untrack(id, now) || changed
	}
	for _, p := range r.peers {
		if len(p.remains) > 0 && !now.Before(p.remainsTo) {
			r.applyAll(p.bury(), now)
			changed = true
		}
	}
	return changed
}

// hello asks all peers for what they have: they may be older than this node.
func (r *replica) hello(now time.Time) {
	for _, p := range r.peers {
		p.asked = now
	}
	r.lacking = []string{""}
}

// receive takes a message of a peer. It reports whether the peer is known, and whether it is back:
// its entries, if it has any, are seen from now on.
func (r *replica) receive(m *message, now time.Time) (known, back bool) {
	p := r.peers[m.node]
	if p == nil || p.removed {
		return false, false
	}
	shown := p.shown
	changes, lacking := p.merge(m)
	if m.kind == goodbye {
		p.remainsTo = now.Add(r.down)
	}
	if p.incarnation == m.incarnation { // late words are no sign of life
		p.heard = now
	}
	r.applyAll(changes, now)
	if lacking && now.Sub(p.asked) >= r.retry {
		p.asked = now
		r.lacking = append(r.lacking, p.name)
	}
	if m.kind == request {
		r.answering = append(r.answering, p.name)
	}
	return true, p.shown && !shown
}

// silence takes out of sight what the peers have that have not been heard for too long, and
// returns their names.
func (r *replica) silence(now time.Time) (down []string) {
	for name, p := range r.peers {
		silent := now.Sub(p.heard)
		switch {
		case p.shown && silent > r.down:
			r.applyAll(p.hide(), now)
			down = append(down, name)
		case !p.shown && p.removed && len(p.remains) == 0:
			delete(r.peers, name)
		case !p.shown && silent > forgetAfter:
			p.forget()
		}
	}
	return down
}

// pardon makes up for a time in which this node could not hear: silence then says nothing about
// the peers.
func (r *replica) pardon(d time.Duration) {
	for _, p := range r.peers {
		p.heard = p.heard.Add(d)
	}
}

// applyAll is apply for changes of a peer.
func (r *replica) applyAll(changes []change, now time.Time) {
	for _, c := range changes {
		r.apply(c, now)
		if c.left {
			r.shown--
		} else {
			r.shown++
		}
	}
}

// apply shows or hides a meta in its room, and notes that its members are to be told: at once, or
// when the window since the last diff is over.
func (r *replica) apply(c change, now time.Time) {
	rm := r.rooms[c.Room]
	if rm == nil {
		rm = &room{name: c.Room, keys: map[string]*keyed{}}
		r.rooms[c.Room] = rm
	}
	if c.left {
		rm.remove(c.meta)
	} else {
		rm.add(c.meta)
		r.departed.back(c.meta, now.Add(r.overlap()))
	}
	if rm.untold == nil {
		rm.untold, rm.due = net{}, now
		if rm.quiet.After(now) {
			rm.due = rm.quiet
		}
		heap.Push(&r.untold, rm)
	}
	rm.untold.add(c)
}

// diffs returns the diffs that are due, and when the next one will be: zero if none is to come.
func (r *replica) diffs(now time.Time) (due []*Diff, next time.Time) {
	for {
		rm, ok := r.untold.next(now)
		if !ok {
			break
		}
		due = append(due, rm.untold.cut(rm.name))
		rm.untold = nil
		rm.quiet = now.Add(window(r.window, rm.size))
		if rm.size == 0 {
			delete(r.rooms, rm.name)
		}
	}
	if len(r.untold) > 0 {
		next = r.untold[0].due
	}
	return due, next
}

// outgoing returns the messages to send now, in this order, and when the next delta is due: zero if
// none is. beat adds a heartbeat.
func (r *replica) outgoing(now time.Time, beat bool) (messages []message, next time.Time) {
	switch {
	case !r.own.changed():
	case beat || len(r.answering) > 0 || !r.quiet.After(now):
		messages = r.own.cut()
		r.quiet = now.Add(r.window)
	default:
		next = r.quiet
	}
	for _, name := range r.answering {
		messages = append(messages, r.own.full(name)...)
	}
	for _, name := range r.lacking {
		ask := r.own.message(request)
		ask.to = name
		messages = append(messages, ask)
	}
	r.answering, r.lacking = nil, nil
	if beat {
		messages = append(messages, r.own.heartbeat())
	}
	return messages, next
}

// state is the presence_state of a room for a member at path. It shows also what the next diff
// will tell.
func (r *replica) state(name, path string) []byte {
	rm := r.rooms[name]
	if rm == nil || rm.size == 0 {
		return []byte("{}")
	}
	metas := rm.all()
	size := len("{}")
	for _, m := range metas {
		if m.at(path) {
			size += len(m.Key) + len(`"":{"metas":[]},`) + m.jsonSize()
		}
	}
	dst, _ := appendMetas(make([]byte, 0, size), metas, path)
	return dst
}
