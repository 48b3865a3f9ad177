package presence

import (
	"cmp"
	"maps"
	"slices"
)

// own is what the channels of this node say: the one set that this node may write.
type own struct {
	node        string
	incarnation uint64
	seq         uint64           // of the last change
	metas       map[uint64]*meta // by id of the channel instance

	limit int              // bytes of the joins of one message
	told  uint64           // the peers have been told the changes up to here
	fresh map[uint64]*meta // by seq: came since, and is still there
	left  []uint64         // what the peers have been told of and has left since
}

func newOwn(node string, incarnation uint64) *own {
	return &own{node: node, incarnation: incarnation, limit: maxMessage, metas: map[uint64]*meta{}, fresh: map[uint64]*meta{}}
}

// track takes an entry, which it keeps, and returns what came and what left by it: both nil if the
// entry is not news.
func (o *own) track(id uint64, e Entry) (came, left *meta) {
	old := o.metas[id]
	if old != nil && old.same(&e) {
		return nil, nil
	}
	var prev uint64
	if old != nil && old.Room == e.Room && old.Key == e.Key {
		prev = old.seq
	}
	left = o.untrack(id)
	o.seq++
	came = &meta{dot: dot{o.node, o.incarnation, o.seq}, prev: prev, Entry: e}
	o.metas[id] = came
	o.fresh[came.seq] = came
	return came, left
}

// untrack returns what left, nil if there was nothing.
func (o *own) untrack(id uint64) *meta {
	m := o.metas[id]
	if m == nil {
		return nil
	}
	delete(o.metas, id)
	o.seq++
	if m.seq > o.told {
		delete(o.fresh, m.seq)
	} else {
		o.left = append(o.left, m.seq)
	}
	return m
}

// changed reports whether there is something to tell the peers.
func (o *own) changed() bool { return o.seq != o.told }

// cut returns the changes that the peers have not been told, as messages of limited size. What
// came and left in between is not in them. They count as told from now on: if one gets lost, its
// gap in the numbers will be noticed.
func (o *own) cut() []message {
	if !o.changed() {
		return nil
	}
	slices.Sort(o.left)
	var messages []message
	m := o.message(delta)
	m.since, m.leaves = o.told, o.left
	for part := range parts(bySeq(maps.Values(o.fresh), len(o.fresh)), o.limit) {
		m.joins, m.seq = part, part[len(part)-1].seq
		messages = append(messages, m)
		m.since, m.leaves = m.seq, nil
	}
	if len(messages) == 0 {
		messages = append(messages, m)
	}
	messages[len(messages)-1].seq = o.seq
	o.told, o.left = o.seq, nil
	clear(o.fresh)
	return messages
}

// full returns the whole set for one peer. Everything in it must have been told: cut comes first.
func (o *own) full(to string) []message {
	m := o.message(full)
	m.to, m.seq = to, o.told
	var messages []message
	for part := range parts(bySeq(maps.Values(o.metas), len(o.metas)), o.limit) {
		m.joins = part
		messages = append(messages, m)
		m.index++
	}
	if len(messages) == 0 {
		messages = append(messages, m)
	}
	messages[len(messages)-1].final = true
	return messages
}

// heartbeat says by which numbers a peer knows that it has everything that it has been told.
func (o *own) heartbeat() message {
	m := o.message(heartbeat)
	m.seq, m.count = o.told, uint64(len(o.metas))
	return m
}

func (o *own) message(k kind) message {
	return message{kind: k, node: o.node, incarnation: o.incarnation}
}

func bySeq(metas func(func(*meta) bool), n int) []*meta {
	list := slices.AppendSeq(make([]*meta, 0, n), metas)
	slices.SortFunc(list, func(a, b *meta) int { return cmp.Compare(a.seq, b.seq) })
	return list
}
