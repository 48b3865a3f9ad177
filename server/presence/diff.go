package presence

// Diff is what has changed in a room since the diff before.
//
// For one phx_ref only the last change counts: a meta that came and left between two diffs is told
// as left, because a presence_state in between may have shown it; one that left and came back is
// told as come. Clients ignore the leave of a meta that they do not have and the join of one that
// they have, so a state that is newer than a diff does no harm, and neither does telling too much.
// No phx_ref is in both lists: clients take the joins first and would lose it.
type Diff struct {
	Room          string
	joins, leaves []*meta // sorted by key
}

const (
	diffJoins  = `{"joins":`
	diffLeaves = `,"leaves":`
)

// Payload returns the presence_diff as a member at path sees it: what came or left there or below.
// It is nil if nothing did. Every call encodes anew: call it once for each path, and share the bytes.
func (d *Diff) Payload(path string) []byte {
	size := len(diffJoins) + len(diffLeaves) + len("{}{}}")
	for _, metas := range [][]*meta{d.joins, d.leaves} {
		for _, m := range metas {
			if m.at(path) {
				size += len(m.Key) + len(`"":{"metas":[]},`) + m.jsonSize()
			}
		}
	}
	dst, joins := appendMetas(append(make([]byte, 0, size), diffJoins...), d.joins, path)
	dst, leaves := appendMetas(append(dst, diffLeaves...), d.leaves, path)
	if joins+leaves == 0 {
		return nil
	}
	return append(dst, '}')
}

// Len is the number of metas that came and left.
func (d *Diff) Len() int { return len(d.joins) + len(d.leaves) }

// net is the diff of a room in the making.
type net map[dot]change

// change is one meta that came or left.
type change struct {
	*meta
	left bool
}

// add takes a change; the last one of a dot counts.
func (n net) add(c change) { n[c.dot] = c }

// cut makes the diff.
func (n net) cut(room string) *Diff {
	d := &Diff{Room: room}
	for _, c := range n {
		if c.left {
			d.leaves = append(d.leaves, c.meta)
		} else {
			d.joins = append(d.joins, c.meta)
		}
	}
	sortMetas(d.joins)
	sortMetas(d.leaves)
	return d
}
