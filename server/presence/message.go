package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// kind is what a message is for.
type kind byte

// The kinds. A number is never given another meaning: nodes are upgraded one by one.
const (
	heartbeat kind = 1 // seq, count: what the sender has told so far
	delta     kind = 2 // since, seq, leaves, joins: the changes after since up to seq
	request   kind = 3 // send me your full state
	full      kind = 4 // seq, index, final, joins: a part of all that the sender has
	goodbye   kind = 5 // the sender ends
)

// message is one gossip message.
//
//	byte     format: 1
//	byte     kind
//	node     uvarint length and bytes
//	8 bytes  incarnation, big endian
//
// and by kind, all numbers as uvarint:
//
//	heartbeat  seq, count
//	delta      since, seq - since, number of leaves, each less the one before, joins
//	request    nothing
//	full       seq, index, final (0 or 1), joins
//	goodbye    nothing
//
// A join is seq less the one before (in a delta the first one less since), seq - prev or 0, the
// lengths of room, path, key and payload, and then these. A room of no length is that of the join before. Joins go on
// to the end of the message. Leaves and joins are in ascending order.
type message struct {
	kind        kind
	node        string
	incarnation uint64

	to         string // not encoded: one peer, or "" for all
	since, seq uint64
	count      uint64
	index      uint64
	final      bool
	leaves     []uint64
	joins      []*meta
}

const format = 1

// Limits of a message.
const (
	maxMessage = 256 << 10 // of the joins of one message, unless a single one is larger
	maxNode    = 255
)

// errMalformed is wrapped by every error of decode.
var errMalformed = errors.New("malformed presence message")

// parts yields the metas in runs of at most limit bytes, or of a single meta.
func parts(metas []*meta, limit int) iter.Seq[[]*meta] {
	return func(yield func([]*meta) bool) {
		from, size := 0, 0
		for i, m := range metas {
			n := joinSize(m)
			if size+n > limit && i > from {
				if !yield(metas[from:i]) {
					return
				}
				from, size = i, 0
			}
			size += n
		}
		if from < len(metas) {
			yield(metas[from:])
		}
	}
}

// joinSize is an upper bound of what appendJoin adds: two numbers of 48 bits, three lengths of at
// most 16 bits and one of at most 32.
func joinSize(m *meta) int {
	return 2*7 + 3*3 + 5 + len(m.Room) + len(m.Path) + len(m.Key) + len(m.Payload)
}

// encode returns the bytes of the message.
func (m *message) encode() []byte {
	size := 2 + 2 + len(m.node) + 8 + 4*binary.MaxVarintLen64 + 7*len(m.leaves)
	for _, j := range m.joins {
		size += joinSize(j)
	}
	b := append(make([]byte, 0, size), format, byte(m.kind))
	b = binary.AppendUvarint(b, uint64(len(m.node)))
	b = append(b, m.node...)
	b = binary.BigEndian.AppendUint64(b, m.incarnation)
	switch m.kind {
	case heartbeat:
		b = binary.AppendUvarint(b, m.seq)
		b = binary.AppendUvarint(b, m.count)
	case delta:
		b = binary.AppendUvarint(b, m.since)
		b = binary.AppendUvarint(b, m.seq-m.since)
		b = binary.AppendUvarint(b, uint64(len(m.leaves)))
		last := uint64(0)
		for _, seq := range m.leaves {
			b = binary.AppendUvarint(b, seq-last)
			last = seq
		}
		b = appendJoins(b, m.joins, m.since)
	case full:
		b = binary.AppendUvarint(b, m.seq)
		b = binary.AppendUvarint(b, m.index)
		if m.final {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = appendJoins(b, m.joins, 0)
	}
	return b
}

func appendJoins(b []byte, joins []*meta, last uint64) []byte {
	room := ""
	for _, j := range joins {
		b = binary.AppendUvarint(b, j.seq-last)
		last = j.seq
		if j.prev == 0 {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(b, j.seq-j.prev)
		}
		name := j.Room
		if name == room {
			name = ""
		}
		room = j.Room
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = binary.AppendUvarint(b, uint64(len(j.Path)))
		b = binary.AppendUvarint(b, uint64(len(j.Key)))
		b = binary.AppendUvarint(b, uint64(len(j.Payload)))
		b = append(b, name...)
		b = append(b, j.Path...)
		b = append(b, j.Key...)
		b = append(b, j.Payload...)
	}
	return b
}

// malformed makes an error of decode.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}
