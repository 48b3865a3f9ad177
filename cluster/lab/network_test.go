package lab

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

// profile has short distances of clearly different lengths, so that tests are quick.
func profile() wan.Profile {
	return wan.Profile{Name: "test", Regions: []string{"a", "b", "c"}, Access: 6 * time.Millisecond,
		RoundTrips: map[wan.Pair]time.Duration{{A: "a", B: "b"}: 20 * time.Millisecond, {A: "a", B: "c"}: 40 * time.Millisecond, {A: "b", B: "c"}: 60 * time.Millisecond}}
}

// onBoth runs a test on each implementation of wan.Network: it must not matter which.
func onBoth(t *testing.T, test func(t *testing.T, n wan.Network)) {
	for _, l := range []*Lab{
		{Kind: wan.Packet, tunDevice: "/dev/net/tun", logger: slog.Default()},
		{Kind: wan.Proxy, logger: slog.Default()},
	} {
		t.Run(string(l.Kind), func(t *testing.T) {
			if l.Kind == wan.Packet {
				needsLab(t)
			}
			n, err := l.Network(profile())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, n)
		})
	}
}

// serveEcho answers on the address of the first node of a region with what it gets, until the test ends.
func serveEcho(t testing.TB, n wan.Network, region string) string {
	t.Helper()
	addr, err := n.Bind(region, 0, 4000)
	if err != nil {
		t.Fatal(err)
	}
	l := listenIn(t, n, region, addr)
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	tasks.Go(func() { // ends when l is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			tasks.Go(func() { // ends with c
				defer stop()
				io.Copy(c, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		tasks.Wait()
	})
	return addr
}

// listenIn listens in a region, as its processes do.
func listenIn(t testing.TB, n wan.Network, region, addr string) (l net.Listener) {
	t.Helper()
	listen := func() (err error) { l, err = net.Listen("tcp", addr); return err }
	var err error
	if r, ok := n.(*packetNetwork); ok {
		err = r.Inside(region, listen)
	} else {
		err = listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t testing.TB, n wan.Network, from, addr string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := n.DialFrom(ctx, from, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo sends a message and waits for it to come back.
func echo(c net.Conn, within time.Duration) (time.Duration, error) {
	start := time.Now()
	if err := c.SetDeadline(start.Add(within)); err != nil {
		return 0, err
	}
	var b [64]byte
	if _, err := c.Write(b[:]); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, b[:])
	return time.Since(start), err
}

// roundTrip measures until a round trip is as long as wanted and not much longer: a busy machine makes some of them
// longer, but none shorter. It returns the best.
func roundTrip(t testing.TB, c net.Conn, want time.Duration) time.Duration {
	t.Helper()
	best := time.Hour
	for deadline := time.Now().Add(5 * time.Second); best > want+slack && time.Now().Before(deadline); {
		d, err := echo(c, 10*time.Second)
		if err != nil {
			t.Error(err)
			return 0
		}
		if d < want {
			t.Errorf("a round trip of %v, want at least %v", d, want)
		}
		best = min(best, d)
	}
	if best > want+slack {
		t.Errorf("the best round trip is %v, want %v", best, want)
	}
	return best
}

// slack is how much longer than its path a round trip may be.
const slack = 5 * time.Millisecond

func TestRoundTripsAreThoseOfTheProfile(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		var pairs sync.WaitGroup
		for _, to := range n.Regions() {
			addr := serveEcho(t, n, to)
			for _, from := range append([]string{wan.Venue}, n.Regions()...) {
				c := dial(t, n, from, addr)
				pairs.Go(func() {
					want := profile().RoundTrip(from, to)
					t.Logf("%s to %s: %v (profile %v)", from, to, roundTrip(t, c, want).Round(10*time.Microsecond), want)
				})
			}
		}
		pairs.Wait()
	})
}

func TestConnectingTakesARoundTrip(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		addr := serveEcho(t, n, "c")
		best := time.Hour
		for range 10 {
			start := time.Now()
			dial(t, n, "b", addr)
			if best = min(best, time.Since(start)); best < 90*time.Millisecond {
				break
			}
		}
		if best < 60*time.Millisecond || best > 90*time.Millisecond {
			t.Errorf("connecting took %v at best, want a round trip of 60ms", best)
		}
	})
}

func TestNobodyServesIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		addr, err := n.Bind("a", 0, 4000)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if c, err := n.DialFrom(ctx, wan.Venue, addr); err == nil {
			c.Close()
			t.Error("a connection to nobody succeeded")
		} else if ctx.Err() != nil {
			t.Errorf("a connection to nobody was not refused: %v", err)
		}
	})
}

func TestPlacesAndImpairmentsAreChecked(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		for name, err := range map[string]error{
			"no such place":  n.Impair("a", "mars", wan.Impairment{}),
			"to itself":      n.Impair("a", "a", wan.Impairment{Cut: true}),
			"negative delay": n.Impair("a", "b", wan.Impairment{Delay: -1}),
			"loss of 30":     n.Impair("a", "b", wan.Impairment{Loss: 30}),
			"no such region": n.Isolate("mars", true),
		} {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if _, err := n.Bind("mars", 0, 4000); err == nil {
			t.Error("Bind on mars: accepted")
		}
		if _, err := n.DialFrom(t.Context(), "mars", "127.0.0.1:1"); err == nil {
			t.Error("DialFrom mars: accepted")
		}
		if _, err := n.DialFrom(t.Context(), "a", "localhost:1"); err == nil {
			t.Error("DialFrom to a name: accepted")
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
