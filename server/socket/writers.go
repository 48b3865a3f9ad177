package socket

import (
	"runtime"
	"sync"

	"github.com/wedsync/wedsync/protocol"
)

// writers write to all sockets of a node. A fan-out lists its sockets here instead of starting a goroutine
// for each, which costs an eighth of a delivery; and a socket with something urgent comes before all that
// have less important things to write, however many those are and however little time the node has.
//
// They are as many goroutines as there are processors, and only while something is listed. They never wait
// for a peer: one that has to stays with that socket until everything is written, and another takes its
// place.
type writers struct {
	most int
	pens sync.Pool

	mu     sync.Mutex              // guards the following; taken after a socket's
	active int                     // goroutines that do not wait for a peer
	listed [protocol.Lanes]sockets // by the most important thing that they have to write; each once per lane
}

func newWriters() *writers { return &writers{most: runtime.GOMAXPROCS(0)} }

// list adds a socket, which remembers that it is listed.
func (w *writers) list(s *Socket, lane protocol.Lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed[lane].push(s)
	w.hire()
}

// hire starts another writer if there may be one. mu is held.
func (w *writers) hire() {
	if w.active >= w.most {
		return
	}
	w.active++
	// Owner: the sockets that are listed; ends when none is left, or with the one for whose peer it had to
	// wait, by that one's deadline; at most most of them, and one for each such socket.
	go w.work()
}

func (w *writers) work() {
	p, ok := w.pens.Get().(*pen)
	if !ok {
		p = newPen()
	}
	defer w.pens.Put(p)
	for s, lane := w.pick(); s != nil; s, lane = w.pick() {
		if !s.write(p, lane) {
			return
		}
	}
}

// pick takes the next socket, the one with the most important things to write. If none is left it returns
// nil, and the caller's work is over.
func (w *writers) pick() (*Socket, protocol.Lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lane := range byImportance {
		if w.listed[lane].len() > 0 {
			return w.listed[lane].pop(), lane
		}
	}
	w.active--
	return nil, 0
}

// leave lets another writer take the place of one that has to wait for a peer.
func (w *writers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active--
	for _, lane := range byImportance {
		if w.listed[lane].len() > 0 {
			w.hire()
			return
		}
	}
}

// byImportance is the order in which lanes are served.
var byImportance = [protocol.Lanes]protocol.Lane{protocol.Urgent, protocol.Normal, protocol.Bulk}

// sockets is a queue of sockets.
type sockets struct {
	waiting []*Socket
	head    int // those before it have been taken
}

func (l *sockets) len() int { return len(l.waiting) - l.head }

func (l *sockets) push(s *Socket) {
	l.waiting, l.head = room(l.waiting, l.head)
	l.waiting = append(l.waiting, s)
}

func (l *sockets) pop() *Socket {
	s := l.waiting[l.head]
	l.waiting[l.head] = nil
	l.head++
	if l.head == len(l.waiting) {
		l.waiting, l.head = l.waiting[:0], 0
	}
	return s
}
