package socket

import (
	"context"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// batchBytes is the most that one system call writes, one larger frame aside. Larger batches save
// little; smaller ones let an urgent frame wait less behind what is already being written.
const batchBytes = 16 << 10

// pieceBytes is how much a peer must take within WriteTimeout, so that a large frame may take long on a slow
// link and a peer that is gone is still found out.
const pieceBytes = 64 << 10

// write writes one batch for a writer that was listed for a lane. If the peer does not take it at once, it
// writes everything, and reports false: the writer's place has been taken.
func (s *Socket) write(p *pen, lane protocol.Lane) bool {
	out := s.begin(p.batch[:], lane)
	if len(out) == 0 {
		return true
	}
	n, err := p.try(s.raw, out)
	if err != nil {
		s.abandon("stalled")
		return true
	}
	if n == len(out) {
		s.pause()
		return true
	}
	s.cfg.writers.leave()
	s.writeAll(p.batch[:], out[n:])
	return false
}

// writeAll writes out, and then everything else, at the speed of the peer.
func (s *Socket) writeAll(batch, out []byte) {
	for len(out) > 0 {
		s.arm()
		n, err := s.conn.Write(out[:min(len(out), pieceBytes)])
		if err != nil {
			s.abandon("stalled")
			return
		}
		if out = out[n:]; len(out) == 0 {
			out = s.next(batch)
		}
	}
}

// begin makes the caller the socket's writer and takes its first batch. It returns nothing if there is a
// writer already, or nothing to write.
func (s *Socket) begin(buf []byte, lane protocol.Lane) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed[lane] = false
	if s.busy {
		return nil
	}
	s.busy = true
	return s.take(buf)
}

// next takes the next batch. It returns nothing if there is none, and the caller is the writer no more.
func (s *Socket) next(buf []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(buf)
}

// take is next with mu held.
func (s *Socket) take(buf []byte) []byte {
	if l := &s.queue.lanes[protocol.Urgent]; l.len() > 0 {
		s.cfg.Metrics.UrgentQueueWait.Observe((time.Since(epoch) - l.since).Seconds())
	}
	s.queue.settle()
	out := s.queue.take(buf)
	if len(out) == 0 && s.state == closing && s.last.bytes != nil {
		out, s.last = s.last.bytes, Frame{}
	}
	if len(out) == 0 {
		s.busy = false
		s.announce(&s.silent)
		return nil
	}
	s.announce(&s.taken)
	return out
}

// pause ends the caller's writing. If there is more to write, the socket goes to the end of the line.
func (s *Socket) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	s.queue.settle()
	for _, lane := range byImportance {
		if s.queue.len(lane) > 0 {
			s.wake(lane)
			return
		}
	}
	if s.last.bytes != nil {
		s.wake(protocol.Urgent)
		return
	}
	s.announce(&s.silent)
}

// pending says whether something is being written or about to be. mu is held.
func (s *Socket) pending() bool { return s.busy || s.listed != [protocol.Lanes]bool{} }

// arm gives the peer time for one write. Once the socket is closing it has what hurry has left it.
func (s *Socket) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open {
		// Fails only on a closed connection, where the write fails too.
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
	}
}

// abandon gives the connection up after a failed write: the reader notices by the close.
func (s *Socket) abandon(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open {
		s.why = why
	}
	s.state = closed
	s.discard()
	s.busy = false
	s.announce(&s.taken)
	s.announce(&s.silent)
	// The peer is gone; an error of closing says nothing more.
	_ = s.conn.Close()
}

// Wait returns when a lane holds fewer than frames frames and at most a quarter of the bytes that it may, so
// that a long replay goes at the speed of its reader instead of overflowing the queue. It reports false if the
// socket ended.
func (s *Socket) Wait(ctx context.Context, lane protocol.Lane, frames int) bool {
	bytes := s.cfg.limit(lane).bytes / 4
	for {
		s.mu.Lock()
		if s.state != open {
			s.mu.Unlock()
			return false
		}
		if s.queue.len(lane) < frames && s.queue.bytes(lane) <= bytes {
			s.mu.Unlock()
			return true
		}
		if s.taken == nil {
			s.taken = make(chan struct{})
		}
		taken := s.taken
		s.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return false
		}
	}
}
