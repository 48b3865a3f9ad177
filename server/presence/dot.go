package presence

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// maxSeq is what fits a phx_ref: a million changes a second for nine years.
const maxSeq = 1<<48 - 1

// dot names one change in the whole cluster for ever: the how manieth of which life of which node.
type dot struct {
	node        string
	incarnation uint64 // one life of the node's process; a later life has a higher number
	seq         uint64 // counts from 1, at most maxSeq
}

// appendRef appends the phx_ref, 16 characters, of the meta that the change brought. It follows from the dot, so
// that it need not be sent, and is the same on all nodes: 48 bits of hash for the life of the node,
// 48 bits of count.
func (d dot) appendRef(dst []byte) []byte {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	hash := uint64(offset)
	for i := range len(d.node) {
		hash = (hash ^ uint64(d.node[i])) * prime
	}
	for shift := 0; shift < 64; shift += 8 {
		hash = (hash ^ d.incarnation>>shift&0xff) * prime
	}
	var raw [12]byte
	binary.BigEndian.PutUint32(raw[:], uint32(hash>>32))
	binary.BigEndian.PutUint64(raw[4:], hash>>16<<48|d.seq)
	return base64.RawURLEncoding.AppendEncode(dst, raw[:])
}

func (d dot) compare(o dot) int {
	return cmp.Or(strings.Compare(d.node, o.node), cmp.Compare(d.incarnation, o.incarnation), cmp.Compare(d.seq, o.seq))
}
