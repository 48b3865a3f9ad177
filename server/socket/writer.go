package socket

import (
	"context"
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// batchBytes is the most that one system call writes, one larger frame aside. Larger batches save
// little; smaller ones let an urgent frame wait less behind what is already being written.
const batchBytes = 16 << 10

var batches = sync.Pool{New: func() any { return new([batchBytes]byte) }}

// write empties the queue and ends.
func (s *Socket) write() {
	buf := batches.Get().(*[batchBytes]byte)
	defer batches.Put(buf)
	for {
		out := s.next(buf[:])
		if len(out) == 0 {
			return
		}
		if _, err := s.conn.Write(out); err != nil {
			s.abandon("stalled")
			return
		}
	}
}

// next takes the bytes of the next write, or marks the writer as gone and returns none.
func (s *Socket) next(buf []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := &s.queue.lanes[protocol.Urgent]; l.len() > 0 {
		s.cfg.Metrics.UrgentQueueWait.Observe((time.Since(epoch) - l.since).Seconds())
	}
	out := s.queue.take(buf)
	if len(out) == 0 && s.state == closing && s.last.bytes != nil {
		out, s.last = s.last.bytes, Frame{}
	}
	if len(out) == 0 {
		s.writing = false
		s.announce(&s.silent)
		return nil
	}
	s.announce(&s.taken)
	if s.state == open {
		s.arm()
	}
	return out
}

// arm moves the write deadline, but not at every write: moving it costs as much as a small copy,
// and a peer that is given between half of WriteTimeout and all of it is treated well enough.
// mu is held.
func (s *Socket) arm() {
	now := time.Now()
	if now.Sub(s.armed) < s.cfg.WriteTimeout/2 {
		return
	}
	s.armed = now
	// Fails only on a closed connection, where the write fails too.
	_ = s.conn.SetWriteDeadline(now.Add(s.cfg.WriteTimeout))
}

// abandon gives the connection up after a failed write: the reader notices by the close.
func (s *Socket) abandon(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open {
		s.why = why
	}
	s.state = closed
	s.queue.clear()
	s.writing = false
	s.announce(&s.taken)
	s.announce(&s.silent)
	// The peer is gone; an error of closing says nothing more.
	_ = s.conn.Close()
}

// Wait returns when a lane holds fewer than frames frames, so that a long replay goes at the
// speed of its reader instead of overflowing the queue. It reports false if the socket ended.
func (s *Socket) Wait(ctx context.Context, lane protocol.Lane, frames int) bool {
	for {
		s.mu.Lock()
		if s.state != open {
			s.mu.Unlock()
			return false
		}
		if s.queue.lanes[lane].len() < frames {
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
