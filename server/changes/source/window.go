package source

import (
	"context"
	"sync"
	"time"
)

// window is what has been read and may not be confirmed to PostgreSQL yet. Each change gets a
// sequence number when it is admitted; places in the WAL are marked between them; and confirmed is
// the last mark before which everything is held:
//
//	changes   1  2  3  4  5  6        held: 1 2 3 5
//	marks      A     B     C          confirmed: B
//
// It is bounded in changes and bytes; who reads waits in admit.
type window struct {
	limit, limitBytes int
	freed             chan struct{} // of length 1: something was held since admit looked

	mu        sync.Mutex // guards the following
	first     uint64     // the oldest change that is not held
	next      uint64     // gets admitted next; first == next: all is held
	ring      []entry    // of the changes first to next-1, each at its number modulo limit
	bytes     int        // of changes not held
	marks     []mark     // ascending in both; at most one per number
	confirmed uint64
	received  uint64
}

type entry struct {
	held   bool
	bytes  int
	commit time.Time
}

// mark says that lsn may be confirmed once all changes before number seq are held.
type mark struct{ seq, lsn uint64 }

func newWindow(limit, limitBytes int) *window {
	return &window{limit: limit, limitBytes: limitBytes, freed: make(chan struct{}, 1), ring: make([]entry, limit)}
}

// admit waits until there is room for one more change, and numbers it. One goroutine calls it.
func (w *window) admit(ctx context.Context, bytes int, commit time.Time) (seq uint64, err error) {
	for {
		if seq, ok := w.tryAdmit(bytes, commit); ok {
			return seq, nil
		}
		select {
		case <-w.freed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (w *window) tryAdmit(bytes int, commit time.Time) (seq uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	full := w.next-w.first == uint64(w.limit) || w.bytes > 0 && w.bytes+bytes > w.limitBytes
	if full {
		return 0, false
	}
	seq = w.next
	w.next++
	w.bytes += bytes
	w.ring[seq%uint64(w.limit)] = entry{bytes: bytes, commit: commit}
	return seq, true
}

// hold says that a change is held; each is told once.
func (w *window) hold(seq uint64) {
	w.mu.Lock()
	e := &w.ring[seq%uint64(w.limit)]
	e.held = true
	w.bytes -= e.bytes
	for w.first < w.next && w.ring[w.first%uint64(w.limit)].held {
		w.first++
	}
	w.confirm()
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default: // it is to look already
	}
}

// mark says that everything before lsn has been admitted. A mark may never go back.
func (w *window) mark(lsn uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received = max(w.received, lsn)
	if n := len(w.marks); n > 0 && w.marks[n-1].seq == w.next {
		w.marks[n-1].lsn = w.received
	} else {
		w.marks = append(w.marks, mark{seq: w.next, lsn: w.received})
	}
	w.confirm()
}

func (w *window) confirm() {
	n := 0
	for ; n < len(w.marks) && w.marks[n].seq <= w.first; n++ {
		w.confirmed = w.marks[n].lsn
	}
	w.marks = append(w.marks[:0], w.marks[n:]...)
}

// position is the last mark, and the last one that may be confirmed; 0 if there is none yet.
func (w *window) position() (received, confirmed uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received, w.confirmed
}

// oldest is when the oldest change that is not held was committed; ok is false if all are held.
func (w *window) oldest() (commit time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == w.next {
		return time.Time{}, false
	}
	return w.ring[w.first%uint64(w.limit)].commit, true
}
