package presence

import (
	"container/heap"
	"slices"
	"time"
)

// room is who is shown in one room on this node, and what its members have not been told yet.
type room struct {
	name string
	keys map[string]*keyed
	list []*keyed // the same, to walk over
	size int      // metas

	untold net       // nil if there is nothing to tell
	due    time.Time // when untold is to be told
	quiet  time.Time // the next diff does not come before
}

// keyed is the metas of one key.
type keyed struct {
	metas []*meta
	index int // in room.list
}

func (r *room) add(m *meta) {
	k := r.keys[m.Key]
	if k == nil {
		k = &keyed{index: len(r.list)}
		r.keys[m.Key] = k
		r.list = append(r.list, k)
	}
	k.metas = append(k.metas, m)
	r.size++
}

// remove takes out a meta that is in the room.
func (r *room) remove(m *meta) {
	k := r.keys[m.Key]
	k.metas = slices.DeleteFunc(k.metas, func(o *meta) bool { return o.dot == m.dot })
	r.size--
	if len(k.metas) > 0 {
		return
	}
	delete(r.keys, m.Key)
	last := len(r.list) - 1
	r.list[k.index] = r.list[last]
	r.list[k.index].index = k.index
	r.list[last] = nil
	r.list = r.list[:last]
}

// all returns the metas, those of one key side by side.
func (r *room) all() []*meta {
	metas := make([]*meta, 0, r.size)
	for _, k := range r.list {
		metas = append(metas, k.metas...)
	}
	return metas
}

// How the window between two diffs of a room grows: a diff goes to every member, so in a storm the
// cost is diffs times members.
const (
	maxWindow     = 250 * time.Millisecond
	windowMembers = 80 // as many members more lengthen it by the window of an empty room
)

// window is the least time between two diffs of a room of so many metas.
func window(base time.Duration, metas int) time.Duration {
	return min(base+base*time.Duration(metas)/windowMembers, max(base, maxWindow))
}

// agenda is the rooms that have something to tell, the first due first: a container/heap.
type agenda []*room

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push is for container/heap alone.
func (a *agenda) Push(r any) { *a = append(*a, r.(*room)) }

// Pop is for container/heap alone.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	r := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return r
}

// next removes and returns the first room if it is due.
func (a *agenda) next(now time.Time) (*room, bool) {
	if len(*a) == 0 || (*a)[0].due.After(now) {
		return nil, false
	}
	return heap.Pop(a).(*room), true
}
