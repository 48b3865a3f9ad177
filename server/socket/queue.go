package socket

import (
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// queue is what a socket has yet to write, in two lanes. It is a pure data structure: the socket
// locks it and decides what an overflow means.
//
// The order within a lane is kept; an urgent frame is taken before every normal one, however long
// those have waited.
type queue struct {
	lanes [2]fifo // by protocol.Lane
}

// limit bounds a lane. One frame is always taken, whatever its size, so that a payload near the
// protocol's limit does not need a queue of several times that.
type limit struct {
	frames, bytes int
}

// push appends f to a lane, or says that the lane is full.
func (q *queue) push(lane protocol.Lane, f Frame, most limit) bool {
	l := &q.lanes[lane]
	if n := l.len(); n > 0 && (n >= most.frames || l.bytes+f.Len() > most.bytes) {
		return false
	}
	l.push(f)
	return true
}

// take removes the next batch: as many whole frames, urgent ones first, as fit into buf, which
// bounds how long an urgent frame that comes now can wait. A frame larger than buf is returned
// alone, without a copy. No bytes mean that the queue is empty.
func (q *queue) take(buf []byte) []byte {
	n := 0
	for lane := range q.lanes {
		l := &q.lanes[len(q.lanes)-1-lane] // urgent first
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
	return buf[:n]
}

func (q *queue) clear() { q.lanes = [2]fifo{} }

func (q *queue) empty() bool { return q.lanes[0].len() == 0 && q.lanes[1].len() == 0 }

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
