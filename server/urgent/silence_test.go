package urgent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// road carries the connections to one address and can fall silent: nothing is closed, nothing
// arrives.
type road struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu     sync.Mutex // guards the following
	gate   chan struct{}
	silent bool
	conns  []net.Conn
}

func newRoad(t *testing.T, to string) *road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &road{listener: l, to: to, gate: make(chan struct{})}
	close(r.gate)
	r.running.Go(r.serve) // ends when the listener is closed
	t.Cleanup(r.close)
	return r
}

func (r *road) url() string { return "nats://" + r.listener.Addr().String() }

func (r *road) silence(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on && !r.silent {
		r.gate = make(chan struct{})
	} else if !on && r.silent {
		close(r.gate)
	}
	r.silent = on
}

func (r *road) wait() {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	<-gate
}

func (r *road) keep(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
}

func (r *road) close() {
	r.listener.Close()
	r.silence(false)
	r.mu.Lock()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

func (r *road) serve() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.keep(in)
		r.running.Go(func() { // ends when either side is closed
			defer in.Close()
			r.wait()
			out, err := net.Dial("tcp", r.to)
			if err != nil {
				return
			}
			r.keep(out)
			r.running.Go(func() { r.carry(in, out) })
			r.carry(out, in)
		})
	}
}

func (r *road) carry(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// TestSilentRegion cuts a region off without closing anything, under load, and heals it.
func TestSilentRegion(t *testing.T) {
	nodes := configs(t, 3, 3)
	var roads []*road // those from and to the third region
	for i, n := range nodes {
		peers := append(n.cfg.Peers[:0:0], n.cfg.Peers...)
		for j := range peers {
			if i != j && (i == 2 || j == 2) {
				r := newRoad(t, nodes[j].cfg.Listen)
				roads = append(roads, r)
				peers[j].URL = r.url()
			}
		}
		n.cfg.Peers = peers
		n.lane.Deadline = time.Second
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	publish(t, nodes[2], event("public:w", "before"))
	delivered(t, "before", nodes...)

	for _, r := range roads {
		r.silence(true)
	}
	var slowest time.Duration
	published := 0
	for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; published++ {
		start := time.Now()
		ev := event("public:w", fmt.Sprintf("m%d", published))
		publish(t, nodes[published%2], ev)
		slowest = max(slowest, time.Since(start))
		delivered(t, ev.ID, nodes[0], nodes[1])
	}
	t.Logf("%d published in silence, slowest ok %v", published, slowest)
	if slowest > 500*time.Millisecond {
		t.Errorf("the slowest ok took %v while a region was silent", slowest)
	}
	if _, err := nodes[2].l.Publish(t.Context(), event("public:w", "alone")); !errors.Is(err, ErrNotHeld) {
		t.Errorf("the silent region was told: %v", err)
	}

	for _, r := range roads {
		r.silence(false)
	}
	healed := time.Now()
	publish(t, nodes[2], event("public:w", "alone"))
	t.Logf("the silent region got its ok %v after the end of the silence", time.Since(healed))
	for _, n := range nodes {
		n.ready()
	}
	delivered(t, "alone", nodes...)
	t.Logf("all caught up %v after the end of the silence", time.Since(healed))
	for _, n := range nodes {
		eventually(t, n.cfg.Node+" is complete", func() error {
			if got := len(n.log(protocol.Urgent)); got != published+2 {
				return fmt.Errorf("holds %d of %d", got, published+2)
			}
			return nil
		})
	}
	delivered(t, fmt.Sprintf("m%d", published-1), nodes[2])
	once(t, nodes...)
}
