package cluster

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

// dialTimeout is how long a program of the host waits for a node before its connection is closed.
const dialTimeout = 5 * time.Second

// Gateway lets programs outside the cluster's network reach a node, as if they were in the venue: the
// delay between venue and region applies, and so do faults.
type Gateway struct {
	network  wan.Network
	listener net.Listener
	addr     string // of the node
	logger   *slog.Logger
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	tasks    sync.WaitGroup // everything that must have ended when Close returns
}

// NewGateway serves a listener, which it owns from now on.
func NewGateway(network wan.Network, listener net.Listener, node *Node, logger *slog.Logger) *Gateway {
	g := &Gateway{network: network, listener: listener, addr: node.Addr(), logger: logger}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.tasks.Go(g.accept) // ends when Close closes the listener
	return g
}

// Addr is where programs of the host connect.
func (g *Gateway) Addr() string { return g.listener.Addr().String() }

func (g *Gateway) accept() {
	for {
		conn, err := g.listener.Accept()
		switch {
		case g.ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return
		case err != nil:
			g.logger.Warn("the gateway could not accept a connection", "on", g.Addr(), "error", err)
			select {
			case <-g.ctx.Done():
			case <-time.After(100 * time.Millisecond): // descriptors may become free
			}
		default:
			g.tasks.Go(func() { g.carry(conn) }) // ends with the connection, or with g.ctx
		}
	}
}

// carry copies bytes both ways until both ways have ended.
func (g *Gateway) carry(outer net.Conn) {
	defer outer.Close()
	ctx, cancel := context.WithTimeout(g.ctx, dialTimeout)
	inner, err := g.network.DialFrom(ctx, wan.Venue, g.addr)
	cancel()
	if err != nil {
		g.logger.Debug("the gateway cannot reach its node", "on", g.Addr(), "error", err)
		return
	}
	defer inner.Close()
	stop := context.AfterFunc(g.ctx, func() { outer.Close(); inner.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { oneWay(inner, outer) })
	both.Go(func() { oneWay(outer, inner) })
	both.Wait()
}

// oneWay copies until the source ends, and hands its end on: an orderly one as such, a broken connection by closing
// the other.
func oneWay(dst, src net.Conn) {
	_, err := io.Copy(dst, src)
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		dst.Close()
		src.Close()
	}
}

// Close closes the listener and every connection.
func (g *Gateway) Close() error {
	g.cancel()
	err := g.listener.Close()
	g.tasks.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
