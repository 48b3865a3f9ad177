package bench

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// workers connect at the same time.
	workers = 64
	// joinWithin bounds dial, upgrade and join of one client.
	joinWithin = 30 * time.Second
)

// crowd is a number of clients of one server.
type crowd struct {
	subject *running
	places  []place // of each client
	dialers [sources]websocket.Dialer
	clients []*client // nil: not joined
}

// newCrowd returns a crowd that is still at home.
func newCrowd(subject *running, places []place) *crowd {
	c := &crowd{subject: subject, places: places, clients: make([]*client, len(places))}
	writeBuffers := &sync.Pool{} // one is taken for the time of a write
	for i := range c.dialers {
		tcp := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i))}, KeepAlive: -1}
		c.dialers[i] = websocket.Dialer{NetDialContext: tcp.DialContext, ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: writeBuffers}
	}
	return c
}

// rooms returns the places of n clients in rooms of a size.
func rooms(n, size int) []place {
	places := make([]place, n)
	for i := range places {
		places[i].room = roomName(i / size)
	}
	return places
}

// stages returns the places of a publisher in each of n rooms.
func stages(n int) []place {
	places := rooms(n, 1)
	for i := range places {
		places[i].publishes = true
	}
	return places
}

func roomName(i int) string { return "room-" + strconv.Itoa(i) }

// connect joins everybody, a number of workers at the same time, and returns how long each took.
func (c *crowd) connect(ctx context.Context) ([]time.Duration, error) {
	took := make([]time.Duration, len(c.places))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(workers, len(c.places)) {
		wg.Go(func() { // ends when everybody has joined or one has failed
			for i := int(next.Add(1)) - 1; i < len(c.places) && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				begin := time.Now()
				if err := c.join(ctx, i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				took[i] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return took, nil
}

// join dials and joins one socket.
func (c *crowd) join(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	ws, _, err := c.dialers[i%sources].DialContext(ctx, c.subject.url, nil)
	if err != nil {
		return fmt.Errorf("dialing socket %d: %w", i, err)
	}
	one := &client{ws: ws, dialect: c.subject.dialect}
	if err := one.enter(ctx, c.places[i]); err != nil {
		one.reset()
		return fmt.Errorf("joining socket %d: %w", i, err)
	}
	c.clients[i] = one
	return nil
}

// leave resets every socket.
func (c *crowd) leave() {
	for i, one := range c.clients {
		if one != nil {
			one.reset()
			c.clients[i] = nil
		}
	}
}
