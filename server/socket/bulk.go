package socket

// MaxBulk is the largest payload of a bulk message, bytes. The frames of two messages cannot be mixed on
// a WebSocket, so an urgent one waits for the rest of whatever is being written: of 256 KiB, 21 ms at
// 100 Mbit/s and 210 ms at 10 Mbit/s. Whoever has more to say puts it into object storage and
// broadcasts its URL.
const MaxBulk = 256 << 10

// Source is where bulk frames come from, a member of a room.
type Source interface {
	// Shed returns the frame that tells the peer that so many frames of the source did not reach it, or
	// false if the peer does not want to know. It is called with the socket locked and must not call it.
	Shed(frames int64) (Frame, bool)
}

// bulk is the lane that is shed: when it is full, its oldest frames go. It exists while it holds
// something, or owes the peer a word about what was shed.
type bulk struct {
	frames []bulkFrame
	head   int // frames before it have been taken or shed
	bytes  int
	shed   []shed // by source: as many as a socket has channels, at most
}

type bulkFrame struct {
	Frame
	from Source // or nil
}

type shed struct {
	from   Source
	frames int64
}

func (b *bulk) len() int { return len(b.frames) - b.head }

// push makes room for f and appends it. It returns how many frames were shed.
func (b *bulk) push(f Frame, from Source, most limit) (n int) {
	for most.reached(b.len(), b.bytes, f.Len()) {
		b.count(b.pop().from)
		n++
	}
	b.frames, b.head = room(b.frames, b.head)
	b.frames = append(b.frames, bulkFrame{f, from})
	b.bytes += f.Len()
	return n
}

func (b *bulk) pop() bulkFrame {
	f := b.frames[b.head]
	b.frames[b.head] = bulkFrame{}
	b.head++
	b.bytes -= f.Len()
	return f
}

// count remembers that the peer is to be told of a frame.
func (b *bulk) count(from Source) {
	if from == nil {
		return
	}
	for i := range b.shed {
		if b.shed[i].from == from {
			b.shed[i].frames++
			return
		}
	}
	b.shed = append(b.shed, shed{from, 1})
}

// take fills buf, of which n bytes are taken, like queue.take.
func (b *bulk) take(buf []byte, n int) []byte {
	for b.len() > 0 {
		if size := b.frames[b.head].Len(); n+size > len(buf) {
			if n == 0 {
				return b.pop().bytes
			}
			break
		}
		n += copy(buf[n:], b.pop().bytes)
	}
	return buf[:n]
}
