package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
)

const (
	// workers connect at the same time.
	workers = 64
	// joinWithin bounds dial, upgrade and join of one client.
	joinWithin = 30 * time.Second
)

// crowd is a number of joined sockets. None lives for as long as the 60 s after which servers close a silent one, so
// there are no heartbeats.
type crowd struct {
	url     string
	topics  []string // of each socket
	dialers [sources]websocket.Dialer
	sockets []*websocket.Conn // nil: not joined
}

// newCrowd returns a crowd that is still at home.
func newCrowd(url string, topics []string) *crowd {
	c := &crowd{url: url, topics: topics, sockets: make([]*websocket.Conn, len(topics))}
	writeBuffers := &sync.Pool{} // one is taken for the time of a write
	for i := range c.dialers {
		tcp := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i))}, KeepAlive: -1}
		c.dialers[i] = websocket.Dialer{NetDialContext: tcp.DialContext, ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: writeBuffers}
	}
	return c
}

// rooms returns the topics of n sockets in rooms of a size.
func rooms(n, size int) []string {
	topics := make([]string, n)
	for i := range topics {
		topics[i] = topic(i / size)
	}
	return topics
}

func topic(room int) string { return protocol.WireTopic("room-" + strconv.Itoa(room)) }

// connect joins everybody, a number of workers at the same time, and returns how long each took.
func (c *crowd) connect(ctx context.Context) ([]time.Duration, error) {
	took := make([]time.Duration, len(c.topics))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(workers, len(c.topics)) {
		wg.Go(func() { // ends when everybody has joined or one has failed
			for i := int(next.Add(1)) - 1; i < len(c.topics) && failed.Load() == nil; i = int(next.Add(1)) - 1 {
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
	ws, _, err := c.dialers[i%sources].DialContext(ctx, c.url, nil)
	if err != nil {
		return fmt.Errorf("dialing socket %d: %w", i, err)
	}
	if err := enter(ctx, ws, c.topics[i]); err != nil {
		reset(ws)
		return fmt.Errorf("joining socket %d: %w", i, err)
	}
	c.sockets[i] = ws
	return nil
}

// joinRef is the join ref of every channel, and the ref of its join.
var joinRef = protocol.StringRef("1")

// enter joins a topic.
func enter(ctx context.Context, ws *websocket.Conn, topic string) error {
	stop := context.AfterFunc(ctx, func() { _ = ws.NetConn().Close() }) // ends the reading below
	defer stop()
	var join protocol.Join
	push := protocol.AppendTextPush(nil, protocol.V2, &protocol.Frame{
		JoinRef: joinRef, Ref: joinRef, Topic: topic, Event: protocol.EventJoin, Payload: join.Append(nil)})
	if err := ws.WriteMessage(websocket.TextMessage, push); err != nil {
		return err
	}
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		if kind != websocket.TextMessage {
			continue
		}
		f, err := protocol.DecodeText(protocol.V2, message)
		if err != nil {
			return err
		}
		if f.Event != protocol.EventReply || f.Ref != joinRef {
			continue
		}
		reply, err := protocol.ParseReply(f.Payload)
		if err != nil {
			return err
		}
		if reply.Status != protocol.StatusOK {
			return fmt.Errorf("refused: %s", reply.Reason())
		}
		return nil
	}
}

// leave resets every socket.
func (c *crowd) leave() {
	for i, ws := range c.sockets {
		if ws != nil {
			reset(ws)
			c.sockets[i] = nil
		}
	}
}

// reset ends a connection as a network that breaks does, which also leaves no port behind in TIME_WAIT.
func reset(ws *websocket.Conn) {
	if tcp, ok := ws.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed connection
	}
	_ = ws.Close() // nothing is left to be lost
}
