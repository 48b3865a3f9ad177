package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// memNet is a network inside the process, so that tests can run in a synctest bubble, where time
// is fake. Addresses are host names of regions.
type memNet struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	black     map[string]bool // connects get no answer
}

func newMemNet() *memNet {
	return &memNet{listeners: map[string]*memListener{}, black: map[string]bool{}}
}

func (n *memNet) listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &memListener{net: n, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (n *memNet) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	l, black := n.listeners[addr], n.black[addr]
	n.mu.Unlock()
	if black {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *memNet) setBlack(addr string, black bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.black[addr] = black
}

type memListener struct {
	net    *memNet
	addr   string
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[l.addr] == l {
			delete(l.net.listeners, l.addr)
		}
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return memAddr(l.addr) }

type memAddr string

func (memAddr) Network() string  { return "mem" }
func (a memAddr) String() string { return string(a) }

// gate is a server's end of a connection that can fall silent: what it is sent is lost, what it
// sends is lost, and nothing is closed.
type gate struct {
	net.Conn
	silent *atomic.Bool
}

func (g gate) Read(p []byte) (int, error) {
	for {
		n, err := g.Conn.Read(p)
		if err != nil || !g.silent.Load() {
			return n, err
		}
	}
}

func (g gate) Write(p []byte) (int, error) {
	if g.silent.Load() {
		return len(p), nil
	}
	return g.Conn.Write(p)
}

type gateListener struct {
	net.Listener
	peer *peer
}

func (l gateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := l.peer
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	g := gate{c, p.silent}
	p.gates = append(p.gates, g)
	return g, nil
}
