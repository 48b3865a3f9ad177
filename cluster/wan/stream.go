package wan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxUnderWay bounds the bytes of one direction that were read and not yet written. Over it, reading stops, the kernel's
// buffers fill, and the sender waits, as with a full TCP window.
const maxUnderWay = 1 << 20

// retransmission is Linux's shortest retransmission timeout: what one lost packet costs, beside a round trip.
const retransmission = 200 * time.Millisecond

// closed says that nothing passes a byte stream on this path.
func (p *path) closed() bool { return p.cut || p.loss >= 1 }

// join carries bytes both ways between two connections until both ways have ended, and closes them.
func (p *Proxies) join(from, to int, caller, callee net.Conn) {
	stop := context.AfterFunc(p.ctx, func() { caller.Close(); callee.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { p.stream(from, to, caller, callee) })
	both.Go(func() { p.stream(to, from, callee, caller) })
	both.Wait()
	// Closing again what a reset has closed is not an error that anyone could act on.
	caller.Close()
	callee.Close()
}

// chunk is what one read returned, or the end of the stream.
type chunk struct {
	due   int64 // nanoseconds of the stream's clock
	bytes []byte
	end   error // io.EOF: the sender has finished; else it was reset
}

// line is the delay line of one direction: chunks in the order of their reading.
type line struct {
	mu     sync.Mutex // guards the following
	chunks []chunk
	held   int // bytes in chunks

	more chan struct{} // capacity 1: a chunk was added
	room chan struct{} // capacity 1: bytes were taken
}

func (l *line) push(c chunk) {
	l.mu.Lock()
	l.chunks = append(l.chunks, c)
	l.held += len(c.bytes)
	l.mu.Unlock()
	signal(l.more)
}

// pop waits for the next chunk; false: ctx has ended.
func (l *line) pop(ctx context.Context) (chunk, bool) {
	for {
		l.mu.Lock()
		if len(l.chunks) > 0 {
			c := l.chunks[0]
			l.chunks[0] = chunk{}
			l.chunks = l.chunks[1:]
			l.held -= len(c.bytes)
			l.mu.Unlock()
			signal(l.room)
			return c, true
		}
		l.mu.Unlock()
		select {
		case <-l.more:
		case <-ctx.Done():
			return chunk{}, false
		}
	}
}

// waitRoom waits until reading may go on; false: ctx has ended.
func (l *line) waitRoom(ctx context.Context) bool {
	for {
		l.mu.Lock()
		full := l.held >= maxUnderWay
		l.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-l.room:
		case <-ctx.Done():
			return false
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is pending already
	}
}

// stream carries one direction until the sender ends it, the receiver is gone, or the network closes.
func (p *Proxies) stream(from, to int, src, dst net.Conn) {
	ctx, cancel := context.WithCancel(p.ctx)
	l := &line{more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	start := time.Now()
	var reader sync.WaitGroup
	reader.Go(func() { p.read(ctx, from, to, src, l, start) }) // ends with src, which is closed below if dst is gone
	if !p.write(ctx, from, to, dst, l, start) {
		reset(src)
		reset(dst)
	}
	cancel()
	reader.Wait()
}

func (p *Proxies) read(ctx context.Context, from, to int, src net.Conn, l *line, start time.Time) {
	buf := make([]byte, 4<<10)
	var last int64
	for l.waitRoom(ctx) {
		n, err := src.Read(buf)
		now := p.load(from, to)
		last = max(last, now.due(int64(time.Since(start)), rand.Float64())+int64(p.stall(from, to, now.loss))+p.shape(from, to, now, n))
		if n > 0 {
			l.push(chunk{due: last, bytes: append([]byte(nil), buf[:n]...)})
		}
		if err != nil {
			l.push(chunk{due: last, end: err})
			return
		}
	}
}

// stall is how long TCP would need to get a chunk across in spite of loss: nothing if it is not lost; else the
// retransmission timeout, doubled each time that the retransmission is lost too.
func (p *Proxies) stall(from, to int, loss float64) (sum time.Duration) {
	if loss <= 0 || loss >= 1 {
		return 0
	}
	timeout := retransmission + p.load(from, to).delay + p.load(to, from).delay
	for range 6 {
		if rand.Float64() >= loss {
			break
		}
		p.counts[from*p.n+to].lost.Add(1)
		sum += timeout
		timeout *= 2
	}
	return sum
}

// shape is how long a chunk waits for the rate of its path, which all connections share. A stream is never dropped: it
// waits, and who sends waits with it (maxUnderWay).
func (p *Proxies) shape(from, to int, now *path, n int) int64 {
	if now.odd == nil || now.odd.bucket == nil || n == 0 {
		return 0
	}
	wait, _ := now.odd.bucket.wait(int64(time.Since(epoch)), n, true)
	if wait > 0 {
		p.counts[from*p.n+to].shaped.Add(1)
	}
	return wait
}

// write delivers each chunk when it is due and the path is open. It returns false if the connection is to be reset.
func (p *Proxies) write(ctx context.Context, from, to int, dst net.Conn, l *line, start time.Time) bool {
	count := &p.counts[from*p.n+to]
	for {
		c, ok := l.pop(ctx)
		if !ok || !sleep(ctx, time.Duration(c.due)-time.Since(start)) || !p.open(ctx, from, to) {
			return false
		}
		switch {
		case errors.Is(c.end, io.EOF):
			return closeWrite(dst) == nil
		case c.end != nil:
			return false
		}
		if _, err := dst.Write(c.bytes); err != nil {
			count.refused.Add(1)
			return false
		}
		count.forwarded.Add(1)
		count.bytes.Add(uint64(len(c.bytes)))
	}
}

// sleep waits; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// closeWrite ends one direction (FIN) and leaves the other open.
func closeWrite(c net.Conn) error {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%T cannot be closed one way", c)
	}
	return half.CloseWrite()
}

// reset closes a connection so that the other end sees an error and not an orderly end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // at worst the other end sees FIN instead of RST
	}
	c.Close()
}

// socketPair returns two connected stream sockets of this process.
func socketPair() (near, far net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	conns := make([]net.Conn, 2)
	var errs [2]error
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "wan")
		conns[i], errs[i] = net.FileConn(f)
		f.Close() // FileConn has its own copy
	}
	if err := errors.Join(errs[:]...); err != nil {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	return conns[0], conns[1], nil
}
