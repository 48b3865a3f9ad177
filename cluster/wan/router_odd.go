package wan

import (
	"math"
	"time"
)

// sendOddly puts a packet on a path that does more than delay: it may wait for the rate, be changed, come twice, or
// overtake others.
func (r *Router) sendOddly(i int, now *path, buf *[packetSize]byte, n int) {
	count, odd := &r.counts[i], now.odd
	var wait int64
	if odd.bucket != nil {
		var room bool
		if wait, room = odd.bucket.wait(int64(time.Since(epoch)), n, false); !room {
			count.queue.Add(1)
			r.free = append(r.free, buf)
			return
		}
		if wait > 0 {
			count.shaped.Add(1)
		}
	}
	if odd.corrupt > 0 && r.random.Float64() < odd.corrupt && n > ipHeader {
		// Behind the header of IP, so that it is the checksum of TCP that finds it.
		buf[ipHeader+r.random.IntN(n-ipHeader)] ^= 1 << r.random.IntN(8)
		count.corrupted.Add(1)
	}
	p := packet{due: now.due(r.now()+wait, r.random.Float64()), buf: buf, n: n}
	line := &r.rings[i]
	if odd.reorder > 0 && r.random.Float64() < odd.reorder {
		p.due -= int64(odd.spared)
		line = &r.early[i]
	}
	if odd.duplicate > 0 && r.random.Float64() < odd.duplicate {
		twin := r.buffer()
		copy(twin[:n], buf[:n])
		if r.push(i, line, packet{due: p.due, buf: twin, n: n}) {
			count.duplicated.Add(1)
		}
	}
	if r.push(i, line, p) && line == &r.early[i] {
		count.reordered.Add(1)
	}
}

// ipHeader is the length of an IPv4 header without options.
const ipHeader = 20

// push adds a packet to a line of a path, or drops it.
func (r *Router) push(i int, line *ring, p packet) bool {
	if !line.push(p) {
		r.counts[i].queue.Add(1)
		r.free = append(r.free, p.buf)
		return false
	}
	if line == &r.early[i] {
		r.hurried++
	}
	return true
}

// forwardEarly delivers what is due among the packets that overtake, and returns when the next one is.
func (r *Router) forwardEarly(now int64, moved *bool) (next int64) {
	next = math.MaxInt64
	for i := range r.early {
		q := &r.early[i]
		for q.len() > 0 && q.first().due <= now {
			p := q.pop()
			r.hurried--
			r.deliver(i, p, now)
			r.free = append(r.free, p.buf)
			*moved = true
		}
		if q.len() > 0 {
			next = min(next, q.first().due)
		}
	}
	return next
}
