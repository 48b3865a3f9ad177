package presence

import "encoding/binary"

// decode reads a message. The result shares no memory with b.
func decode(b []byte) (*message, error) {
	if len(b) < 2 {
		return nil, malformed("%d bytes are too few", len(b))
	}
	if b[0] != format {
		return nil, malformed("format %d is unknown; is a newer node in the cluster?", b[0])
	}
	d := decoder{rest: b[2:]}
	m := &message{kind: kind(b[1])}
	m.node = string(d.bytes(d.number(maxNode)))
	if head := d.bytes(8); len(head) == 8 {
		m.incarnation = binary.BigEndian.Uint64(head)
	}
	switch m.kind {
	case heartbeat:
		m.seq = d.number(maxSeq)
		m.count = d.number(maxSeq)
	case delta:
		m.since = d.number(maxSeq)
		m.seq = m.since + d.number(maxSeq-m.since)
		n := d.number(uint64(len(d.rest))) // a leave has a byte at least
		m.leaves = make([]uint64, 0, n)
		last := uint64(0)
		for range n {
			last += d.step(m.since - last)
			m.leaves = append(m.leaves, last)
		}
		m.joins = d.joins(m, m.since)
	case full:
		m.seq = d.number(maxSeq)
		m.index = d.number(maxSeq)
		m.final = d.number(1) == 1
		m.joins = d.joins(m, 0)
	case request, goodbye:
	default:
		return nil, malformed("kind %d is unknown", m.kind)
	}
	if len(d.rest) > 0 {
		d.fail("%d bytes too many", len(d.rest))
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// decoder takes a message apart. After the first error it yields zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = malformed(format, args...)
	}
	d.rest = nil
}

// number reads a number of at most limit.
func (d *decoder) number(limit uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	switch {
	case d.err != nil:
		return 0
	case size <= 0:
		d.fail("a number is cut off")
		return 0
	case n > limit:
		d.fail("%d is more than %d", n, limit)
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// step reads a number of 1 to limit.
func (d *decoder) step(limit uint64) uint64 {
	n := d.number(limit)
	if n == 0 {
		d.fail("numbers are not ascending")
	}
	return n
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail("a text of %d bytes is cut off", n)
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// joins reads to the end of the message. It allocates three times for a join: the meta, its texts
// and its payload, so that one that stays long does not keep the whole message.
func (d *decoder) joins(m *message, last uint64) []*meta {
	var joins []*meta
	room := ""
	for len(d.rest) > 0 {
		last += d.step(m.seq - last)
		j := &meta{dot: dot{m.node, m.incarnation, last}}
		if back := d.number(last); back != 0 {
			j.prev = last - back
		}
		name, path, key := d.number(MaxRoom), d.number(MaxPath), d.number(MaxKey)
		payload := d.number(MaxPayload)
		texts := string(d.bytes(name + path + key))
		raw := d.bytes(payload)
		if d.err != nil {
			return nil
		}
		if name > 0 {
			room = texts[:name]
		}
		if room == "" {
			d.fail("a join without a room")
			return nil
		}
		j.Room, j.Path, j.Key = room, texts[name:name+path], texts[name+path:]
		var err error
		if j.Payload, err = compact(raw); err != nil {
			d.fail("join %d: %v", last, err)
			return nil
		}
		joins = append(joins, j)
	}
	return joins
}
