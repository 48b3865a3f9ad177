package lab

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
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
	if r, ok := n.(*wan.Router); ok {
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

func median(t testing.TB, c net.Conn, times int) time.Duration {
	t.Helper()
	var all []time.Duration
	for range times {
		d, err := echo(c, 10*time.Second)
		if err != nil {
			t.Error(err)
			return 0
		}
		all = append(all, d)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func TestRoundTripsAreThoseOfTheProfile(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		var pairs sync.WaitGroup
		for _, to := range n.Regions() {
			addr := serveEcho(t, n, to)
			for _, from := range append([]string{wan.Venue}, n.Regions()...) {
				c := dial(t, n, from, addr)
				pairs.Go(func() {
					want := profile().RoundTrip(from, to)
					got := median(t, c, 7)
					if got < want || got > want+15*time.Millisecond {
						t.Errorf("%s to %s: round trip %v, want %v", from, to, got, want)
					}
					t.Logf("%s to %s: %v (profile %v)", from, to, got.Round(10*time.Microsecond), want)
				})
			}
		}
		pairs.Wait()
	})
}

func TestConnectingTakesARoundTrip(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		addr := serveEcho(t, n, "c")
		start := time.Now()
		dial(t, n, "b", addr)
		if took := time.Since(start); took < 60*time.Millisecond || took > 110*time.Millisecond {
			t.Errorf("connecting took %v, want a round trip of 60ms", took)
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

func TestImpairmentAddsToTheProfile(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		c := dial(t, n, "a", serveEcho(t, n, "b"))
		must(t, n.Impair("a", "b", wan.Impairment{Delay: 50 * time.Millisecond}))
		if got := median(t, c, 5); got < 70*time.Millisecond || got > 90*time.Millisecond {
			t.Errorf("with 50ms more one way: %v, want 70ms", got)
		}
		now, err := n.Path("a", "b")
		must(t, err)
		if want := (wan.Impairment{Delay: 60 * time.Millisecond}); now != want {
			t.Errorf("Path = %+v, want %+v", now, want)
		}
		must(t, n.Impair("a", "b", wan.Impairment{}))
		if got := median(t, c, 5); got > 40*time.Millisecond {
			t.Errorf("healed: %v, want 20ms", got)
		}
	})
}

func TestJitterVariesTheDelayAndKeepsOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		c := dial(t, n, "a", serveEcho(t, n, "b"))
		must(t, n.Impair("a", "b", wan.Impairment{Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond}))
		var low, high time.Duration = time.Hour, 0
		for range 20 {
			d, err := echo(c, 5*time.Second)
			must(t, err)
			low, high = min(low, d), max(high, d)
		}
		if high-low < 5*time.Millisecond || low < 20*time.Millisecond {
			t.Errorf("round trips between %v and %v, want them to spread over 20ms to 60ms", low, high)
		}
		// A stream of numbers, written one at a time, comes back in order.
		const bytes = 200
		go func() {
			for i := range bytes {
				c.Write([]byte{byte(i)})
				time.Sleep(200 * time.Microsecond)
			}
		}()
		must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		var got [bytes]byte
		_, err := io.ReadFull(c, got[:])
		must(t, err)
		for i, b := range got {
			if b != byte(i) {
				t.Fatalf("byte %d is %d: order was not kept", i, b)
			}
		}
	})
}

func TestCutIsSilentAndHeals(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		addr := serveEcho(t, n, "b")
		c := dial(t, n, "a", addr)
		other := dial(t, n, "c", addr)
		must(t, n.Impair("a", "b", wan.Impairment{Cut: true}))
		if _, err := echo(c, 150*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("over a cut path: %v, want silence until the deadline", err)
		}
		if _, err := echo(other, time.Second); err != nil {
			t.Errorf("another path was hurt: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		if c, err := n.DialFrom(ctx, "a", addr); err == nil {
			c.Close()
			t.Error("a connection was made over a cut path")
		}
		if now, err := n.Path("a", "b"); err != nil || !now.Cut {
			t.Errorf("Path = %+v, %v, want it cut", now, err)
		}
		must(t, n.Impair("a", "b", wan.Impairment{}))
		// What was sent during the cut still comes: nothing was closed, and TCP sends it again.
		must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		if _, err := io.ReadFull(c, make([]byte, 64)); err != nil {
			t.Errorf("after the heal: %v, want the message that waited", err)
		}
		if _, err := echo(c, 5*time.Second); err != nil {
			t.Errorf("after the heal: %v", err)
		}
	})
}

func TestOneWayCutLetsTheOtherWayThrough(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		addr, err := n.Bind("b", 0, 4000)
		must(t, err)
		l := listenIn(t, n, "b", addr)
		defer l.Close()
		caller := dial(t, n, "a", addr)
		callee, err := l.Accept()
		must(t, err)
		defer callee.Close()
		must(t, n.Impair("a", "b", wan.Impairment{Cut: true}))
		_, err = callee.Write([]byte("x"))
		must(t, err)
		must(t, caller.SetReadDeadline(time.Now().Add(time.Second)))
		if _, err := io.ReadFull(caller, make([]byte, 1)); err != nil {
			t.Errorf("the open way: %v", err)
		}
		must(t, n.Impair("a", "b", wan.Impairment{}))
	})
}

func TestIsolatedRegionHearsNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		inside := serveEcho(t, n, "b")
		outside := serveEcho(t, n, "a")
		toB := dial(t, n, wan.Venue, inside)
		fromB := dial(t, n, "b", outside)
		within := dial(t, n, "b", inside)
		elsewhere := dial(t, n, "c", outside)
		must(t, n.Isolate("b", true))
		for name, c := range map[string]net.Conn{"venue to b": toB, "b to a": fromB} {
			if _, err := echo(c, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v, want silence", name, err)
			}
		}
		for name, c := range map[string]net.Conn{"within b": within, "c to a": elsewhere} {
			if _, err := echo(c, time.Second); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, n.Isolate("b", false))
		must(t, toB.SetDeadline(time.Now().Add(5*time.Second)))
		if _, err := io.ReadFull(toB, make([]byte, 64)); err != nil {
			t.Errorf("after the return: %v", err)
		}
	})
}

func TestIsolationAndImpairmentAreIndependent(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		must(t, n.Impair("a", "b", wan.Impairment{Cut: true}))
		must(t, n.Isolate("b", true))
		must(t, n.Isolate("b", false))
		if now, _ := n.Path("a", "b"); !now.Cut {
			t.Error("ending the isolation healed an impairment")
		}
		if now, _ := n.Path("b", "a"); now.Cut {
			t.Error("the other way is still cut")
		}
	})
}

func TestLossDelaysAndLosesNothingForTCP(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		c := dial(t, n, "a", serveEcho(t, n, "b"))
		must(t, n.Impair("a", "b", wan.Impairment{Loss: 0.3}))
		slow := false
		for tries := 0; !slow && tries < 100; tries++ { // 100 times lucky: 1 in 10^15
			d, err := echo(c, 30*time.Second)
			must(t, err)
			slow = d > 150*time.Millisecond
		}
		if !slow {
			t.Error("no message was held up by the loss of every third packet")
		}
		if n.Counters().Path("a", "b").Lost == 0 {
			t.Error("no loss was counted")
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
