package wan

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

func proxies(t *testing.T) *Proxies {
	t.Helper()
	p, err := NewProxies(near(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// pipe connects place a to a listener in b, through a door as another process would.
func pipe(t *testing.T, p *Proxies) (caller, callee *net.TCPConn) {
	t.Helper()
	addr, err := p.Bind("b", 0, 4000)
	must(t, err)
	l, err := net.Listen("tcp", addr)
	must(t, err)
	defer l.Close()
	door, err := p.Reach("a", addr)
	must(t, err)
	c, err := net.Dial("tcp", door)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestDoors(t *testing.T) {
	p := proxies(t)
	addr, err := p.Bind("b", 1, 4222)
	must(t, err)
	own, err := p.Reach("b", addr)
	must(t, err)
	if own != addr {
		t.Errorf("a region reaches its own node by %s, want %s", own, addr)
	}
	first, err := p.Reach("a", addr)
	must(t, err)
	again, err := p.Reach("a", first) // an address that is a door already
	must(t, err)
	venue, err := p.Reach(Venue, addr)
	must(t, err)
	if first == addr || again != first || venue == first {
		t.Errorf("doors: a %s, again %s, venue %s", first, again, venue)
	}
	for _, wrong := range []string{"localhost:80", "127.0.0.1:80", "8.8.8.8:53", "[::1]:80"} {
		if _, err := p.Reach("a", wrong); err == nil {
			t.Errorf("%s is not of this network and was accepted", wrong)
		}
	}
	if _, err := p.Bind(Venue, 0, 4000); err == nil {
		t.Error("a node in the venue was accepted")
	}
	must(t, p.Close())
	if _, err := p.Reach("a", addr[:strings.Index(addr, ":")]+":1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Reach after Close: %v", err)
	}
	must(t, p.Close())
}

func TestTwoProxyNetworksKeepApart(t *testing.T) {
	a, err := proxies(t).Bind("a", 0, 4000)
	must(t, err)
	b, err := proxies(t).Bind("a", 0, 4000)
	must(t, err)
	if a == b {
		t.Errorf("both use %s", a)
	}
}

func TestHalfCloseAndBytesPass(t *testing.T) {
	p := proxies(t)
	caller, callee := pipe(t, p)
	question := strings.Repeat("what is the time? ", 100000) // more than may be under way
	go func() {
		io.WriteString(caller, question)
		caller.CloseWrite()
	}()
	got, err := io.ReadAll(callee)
	must(t, err)
	if string(got) != question {
		t.Errorf("%d bytes of %d arrived", len(got), len(question))
	}
	_, err = io.WriteString(callee, "late")
	must(t, err)
	must(t, callee.Close())
	answer, err := io.ReadAll(caller)
	must(t, err)
	if string(answer) != "late" {
		t.Errorf("answer %q", answer)
	}
}

func TestResetPasses(t *testing.T) {
	p := proxies(t)
	caller, callee := pipe(t, p)
	must(t, callee.SetLinger(0))
	must(t, callee.Close())
	must(t, caller.SetReadDeadline(time.Now().Add(2*time.Second)))
	if _, err := caller.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after a reset: %v, want an error that is no orderly end", err)
	}
}

// The death of a server behind a cut is not seen: the kernel's FIN must wait for the heal.
func TestCutHidesTheEnd(t *testing.T) {
	p := proxies(t)
	caller, callee := pipe(t, p)
	must(t, p.Isolate("b", true))
	must(t, callee.Close())
	must(t, caller.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if _, err := caller.Read(make([]byte, 1)); errors.Is(err, io.EOF) || err == nil {
		t.Errorf("during the cut: %v, want silence", err)
	}
	must(t, p.Isolate("b", false))
	must(t, caller.SetReadDeadline(time.Now().Add(2*time.Second)))
	if _, err := caller.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the heal: %v, want the end", err)
	}
}

func TestCutIsBounded(t *testing.T) {
	p := proxies(t)
	caller, _ := pipe(t, p)
	must(t, p.Impair("a", "b", Impairment{Loss: 1})) // which is a cut
	must(t, caller.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	n, err := caller.Write(make([]byte, 256<<20))
	if err == nil {
		t.Errorf("%d MiB went into a cut path", n>>20)
	}
}

func TestNewConnectionsDuringACutWait(t *testing.T) {
	p := proxies(t)
	addr, err := p.Bind("b", 0, 4000)
	must(t, err)
	l, err := net.Listen("tcp", addr)
	must(t, err)
	defer l.Close()
	door, err := p.Reach("a", addr)
	must(t, err)
	must(t, p.Impair("b", "a", Impairment{Cut: true})) // one way is enough
	c, err := net.Dial("tcp", door)
	must(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	must(t, err)
	must(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(100*time.Millisecond)))
	if _, err := l.Accept(); err == nil {
		t.Error("a connection was made over a cut path")
	}
	must(t, p.Impair("b", "a", Impairment{}))
	must(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(2*time.Second)))
	s, err := l.Accept()
	must(t, err)
	defer s.Close()
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Errorf("after the heal: %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	p, err := NewProxies(near(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	must(t, err)
	caller, _ := pipe(t, p)
	addr, _ := p.Bind("b", 1, 4000)
	must(t, p.Impair("a", "b", Impairment{Cut: true}))
	dialled := make(chan error, 1)
	go func() {
		_, err := p.DialFrom(context.Background(), "a", addr)
		dialled <- err
	}()
	must(t, p.Close())
	if err := <-dialled; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a dial in progress: %v", err)
	}
	must(t, caller.SetReadDeadline(time.Now().Add(2*time.Second)))
	var timeout net.Error
	if _, err := caller.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("a connection outlived the network: %v", err)
	}
}

func BenchmarkProxyEcho(b *testing.B) {
	p, err := NewProxies(near(), slog.Default())
	must(b, err)
	defer p.Close()
	addr, _ := p.Bind("b", 0, 4000)
	l, err := net.Listen("tcp", addr)
	must(b, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := p.DialFrom(b.Context(), "a", addr)
	must(b, err)
	defer c.Close()
	buf := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
