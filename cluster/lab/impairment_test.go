package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

func TestImpairmentAddsToTheProfile(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		c := dial(t, n, "a", serveEcho(t, n, "b"))
		must(t, n.Impair("a", "b", wan.Impairment{Delay: 50 * time.Millisecond}))
		roundTrip(t, c, 70*time.Millisecond)
		now, err := n.Path("a", "b")
		must(t, err)
		if want := (wan.Impairment{Delay: 60 * time.Millisecond}); now != want {
			t.Errorf("Path = %+v, want %+v", now, want)
		}
		must(t, n.Impair("a", "b", wan.Impairment{}))
		roundTrip(t, c, 20*time.Millisecond)
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
