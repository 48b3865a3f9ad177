package presence

import "time"

// departed is the entries of this node whose members have been sent elsewhere, because the node is being
// drained. They stay until their members are back, so that nobody sees a supplier leave and join who has only
// changed nodes.
//
// An entry is over when the same key has been tracked in its room since, here or on another node, or
// after a linger. In the first case it stays a little longer: the news of where its member is now may
// reach some nodes later than the news that it has left here.
type departed struct {
	over map[uint64]time.Time // by id of the channel instance: when the entry leaves
	at   map[place][]uint64   // the same ids by where somebody is awaited
}

// place is where entries are shown together.
type place struct{ room, key string }

func newDeparted() departed {
	return departed{over: map[uint64]time.Time{}, at: map[place][]uint64{}}
}

// add keeps the entry of id until a time.
func (d *departed) add(id uint64, m *meta, until time.Time) {
	if _, ok := d.over[id]; ok {
		return
	}
	d.over[id] = until
	p := place{m.Room, m.Key}
	d.at[p] = append(d.at[p], id)
}

// back notes that somebody has been tracked at a place: who is awaited there stays until then at most.
func (d *departed) back(m *meta, until time.Time) {
	if len(d.at) == 0 {
		return
	}
	p := place{m.Room, m.Key}
	for _, id := range d.at[p] {
		if until.Before(d.over[id]) {
			d.over[id] = until
		}
	}
	delete(d.at, p)
}

// remove forgets an id, because its entry is no more or is tracked again.
func (d *departed) remove(id uint64, m *meta) {
	if _, ok := d.over[id]; !ok {
		return
	}
	delete(d.over, id)
	p := place{m.Room, m.Key}
	for i, other := range d.at[p] {
		if other == id {
			d.at[p] = append(d.at[p][:i], d.at[p][i+1:]...)
			break
		}
	}
	if len(d.at[p]) == 0 {
		delete(d.at, p)
	}
}

// due returns the ids whose time is over.
func (d *departed) due(now time.Time) (ids []uint64) {
	for id, until := range d.over {
		if !now.Before(until) {
			ids = append(ids, id)
		}
	}
	return ids
}
