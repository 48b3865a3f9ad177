package fleet

import (
	"context"
	"net"
	"sync"
)

// dialer is how a connection is made, as in net.Dialer.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// tap stands in all connections of a vendor. While it is shut nothing of them is read: the socket's buffers fill up,
// first the vendor's, then the server's, and TCP makes the server wait.
type tap struct {
	mu sync.Mutex // guards the following
	// open is closed while the tap is open.
	open chan struct{}
}

func newTap() *tap {
	t := &tap{open: make(chan struct{})}
	close(t.open)
	return t
}

// turn shuts the tap, or opens it.
func (t *tap) turn(shut bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.open:
		if shut {
			t.open = make(chan struct{})
		}
	default:
		if !shut {
			close(t.open)
		}
	}
}

func (t *tap) flows() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// through returns a dialer whose connections have the tap in them.
func (t *tap) through(dial dialer) dialer {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &tapped{Conn: c, tap: t, closed: make(chan struct{})}, nil
	}
}

// tapped is a connection with a tap in it.
type tapped struct {
	net.Conn
	tap    *tap
	closed chan struct{}
	close  sync.Once
}

// Read hands out nothing while the tap is shut, not even what it was waiting for when the tap was turned.
func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil {
		select {
		case <-c.tap.flows():
		case <-c.closed:
		}
	}
	return n, err
}

// Close ends a Read that waits for the tap.
func (c *tapped) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
