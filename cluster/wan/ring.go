package wan

// packetSize holds any packet of a device with an MTU of 1500.
const packetSize = 2048

// maxQueue bounds the packets under way on one path: at 110 ms one way (the longest default) it carries
// 149,000 packets a second, far over what the router can move.
const maxQueue = 1 << 14

// packet is one IP packet on its way.
type packet struct {
	due int64 // when it arrives, nanoseconds of the router's clock
	buf *[packetSize]byte
	n   int
}

// ring is the delay line of one path: first in, first out, growing to maxQueue.
type ring struct {
	slots      []packet // length 0 or a power of two
	head, tail uint64   // head is the oldest; they only grow
	last       int64    // due time of the newest: later packets never overtake
}

func (q *ring) len() int { return int(q.tail - q.head) }

// push reports false if the line is full.
func (q *ring) push(p packet) bool {
	if q.len() == len(q.slots) && !q.grow() {
		return false
	}
	if p.due < q.last {
		p.due = q.last
	}
	q.last = p.due
	q.slots[q.tail&uint64(len(q.slots)-1)] = p
	q.tail++
	return true
}

func (q *ring) grow() bool {
	if len(q.slots) == maxQueue {
		return false
	}
	bigger := make([]packet, max(64, 2*len(q.slots)))
	n := q.len()
	for i := range n {
		bigger[i] = q.slots[(q.head+uint64(i))&uint64(len(q.slots)-1)]
	}
	q.slots, q.head, q.tail = bigger, 0, uint64(n)
	return true
}

// first is the oldest packet; the line must not be empty.
func (q *ring) first() *packet { return &q.slots[q.head&uint64(len(q.slots)-1)] }

func (q *ring) pop() packet {
	p := *q.first()
	q.head++
	return p
}
