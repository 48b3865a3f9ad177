package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/gorilla/websocket"
)

// client is a socket, and the dialect that is spoken on it.
type client struct {
	ws      *websocket.Conn
	dialect Dialect
	heard   []byte     // the last message; belongs to the one goroutine that hears
	mu      sync.Mutex // held while saying: a publisher says its messages on one goroutine and answers pings on another
}

// place is where a client goes, and whether it goes there to publish.
type place struct {
	room      string
	publishes bool
}

// enter goes into a room. Afterwards the client has been told that it is there.
func (c *client) enter(ctx context.Context, at place) error {
	stop := context.AfterFunc(ctx, func() { _ = c.ws.NetConn().Close() }) // ends the hearing below
	defer stop()
	say, in, err := c.dialect.enter(at.room, at.publishes, nil)
	for err == nil && !in {
		if say != nil {
			if err := c.say(say); err != nil {
				return err
			}
		}
		heard, cut := c.hear()
		if cut != nil {
			return errors.Join(cut, ctx.Err())
		}
		say, in, err = c.dialect.enter(at.room, at.publishes, heard)
	}
	return err
}

// say writes one message.
func (c *client) say(text []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws.WriteMessage(websocket.TextMessage, text)
}

// hear returns the next message, which is valid until the one after it, and answers it where that keeps a client alive.
func (c *client) hear() ([]byte, error) {
	_, r, err := c.ws.NextReader()
	if err != nil {
		return nil, err
	}
	c.heard = c.heard[:0]
	for {
		if len(c.heard) == cap(c.heard) {
			c.heard = slices.Grow(c.heard, max(1<<10, len(c.heard)))
		}
		n, err := r.Read(c.heard[len(c.heard):cap(c.heard)])
		c.heard = c.heard[:len(c.heard)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if answer := c.dialect.answer(c.heard); answer != nil {
		if err := c.say(answer); err != nil {
			return nil, fmt.Errorf("answering a ping: %w", err)
		}
	}
	return c.heard, nil
}

// listen throws away what a publisher is told.
func (c *client) listen() {
	for {
		if _, err := c.hear(); err != nil {
			return
		}
	}
}

// reset ends the connection as a network that breaks does, which also leaves no port behind in TIME_WAIT.
func (c *client) reset() {
	if tcp, ok := c.ws.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed connection
	}
	_ = c.ws.Close() // nothing is left to be lost
}
