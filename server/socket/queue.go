package socket

import (
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// queue is what a socket has yet to write, in three lanes. It is a pure data structure: the socket
// locks it and decides what an overflow means.
//
// The order within a lane is kept; an urgent frame is taken before every normal one and a normal one
// before every bulk one, however long those have waited.
type queue struct {
	lanes [2]fifo // normal and urgent, by protocol.Lane
	bulk  *bulk   // nil while there is none, which for most sockets is always
}

// limit bounds a lane. One frame is always taken, whatever its size, so that a payload near the
// protocol's limit does not need a queue of several times that.
type limit struct {
	frames, bytes int
}

// reached says whether a lane that holds so much has no room for another frame.
func (most limit) reached(frames, bytes, size int) bool {
	return frames > 0 && (frames >= most.frames || bytes+size > most.bytes)
}

// push appends f to the normal or the urgent lane, or says that the lane is full.
func (q *queue) push(lane protocol.Lane, f Frame, most limit) bool {
	l := &q.lanes[lane]
	if most.reached(l.len(), l.bytes, f.Len()) {
		return false
	}
	l.push(f)
	return true
}

// offer appends f to the bulk lane, whose oldest frames make room for it. It returns how many were shed.
func (q *queue) offer(f Frame, from Source, most limit) (shed int) {
	if q.bulk == nil {
		q.bulk = new(bulk)
	}
	return q.bulk.push(f, from, most)
}

// take removes the next batch: as many whole frames, in the order of the lanes, as fit into buf, which
// bounds how long an urgent frame that comes now can wait. A frame larger than buf is returned alone,
// without a copy. No bytes mean that the queue is empty.
func (q *queue) take(buf []byte) []byte {
	n := 0
	for _, lane := range [...]protocol.Lane{protocol.Urgent, protocol.Normal} {
		l := &q.lanes[lane]
		for l.len() > 0 {
			if size := l.front().Len(); n+size > len(buf) {
				if n == 0 {
					return l.pop().bytes
				}
				return buf[:n]
			}
			n += copy(buf[n:], l.pop().bytes)
		}
	}
	if q.bulk != nil {
		return q.bulk.take(buf, n)
	}
	return buf[:n]
}

// settle puts the words about shed frames into the normal lane once the bulk lane is empty, and gives
// that up.
func (q *queue) settle() {
	if q.bulk == nil || q.bulk.len() > 0 {
		return
	}
	for _, s := range q.bulk.shed {
		if f, ok := s.from.Shed(s.frames); ok {
			q.lanes[protocol.Normal].push(f)
		}
	}
	q.bulk = nil
}

// len is how many frames a lane holds.
func (q *queue) len(lane protocol.Lane) int {
	switch {
	case lane != protocol.Bulk:
		return q.lanes[lane].len()
	case q.bulk != nil:
		return q.bulk.len()
	}
	return 0
}

// bytes is the size of the frames in a lane.
func (q *queue) bytes(lane protocol.Lane) int {
	switch {
	case lane != protocol.Bulk:
		return q.lanes[lane].bytes
	case q.bulk != nil:
		return q.bulk.bytes
	}
	return 0
}

// clear drops everything and returns how many bulk frames there were: nothing will bring those back.
func (q *queue) clear() (shed int) {
	shed = q.len(protocol.Bulk)
	*q = queue{}
	return shed
}

func (q *queue) empty() bool {
	return q.lanes[protocol.Normal].len() == 0 && q.lanes[protocol.Urgent].len() == 0 && q.bulk == nil
}

// keep is the capacity that an empty lane holds on to. Idle sockets are many: a longer slice is
// given back.
const keep = 4

// fifo is one lane.
type fifo struct {
	frames []Frame
	head   int // frames before it have been taken
	bytes  int
	since  time.Duration // when the oldest frame came, if somebody stamped it
}

func (l *fifo) len() int     { return len(l.frames) - l.head }
func (l *fifo) front() Frame { return l.frames[l.head] }

func (l *fifo) push(f Frame) {
	l.frames, l.head = room(l.frames, l.head)
	l.frames = append(l.frames, f)
	l.bytes += f.Len()
}

func (l *fifo) pop() Frame {
	f := l.frames[l.head]
	l.frames[l.head] = Frame{}
	l.head++
	l.bytes -= f.Len()
	if l.head == len(l.frames) {
		l.frames, l.head = l.frames[:0], 0
		if cap(l.frames) > keep {
			l.frames = nil
		}
	}
	return f
}

// room moves what waits in a full slice to its beginning if that is half of it at most. Otherwise the
// lane of a peer that is always a little behind, which is never empty, would grow with all it ever held.
func room[T any](waiting []T, head int) ([]T, int) {
	if len(waiting) < cap(waiting) || head == 0 || head < len(waiting)/2 {
		return waiting, head
	}
	n := copy(waiting, waiting[head:])
	clear(waiting[n:])
	return waiting[:n], 0
}
