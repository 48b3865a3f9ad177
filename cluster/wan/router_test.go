package wan

import (
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a Site without a kernel's network behind it: a socket pair that keeps packets apart.
type wire struct{ tun, far int }

func newWire(t testing.TB) *wire {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.SetNonblock(fds[0], true))
	return &wire{tun: fds[0], far: fds[1]}
}

func (w *wire) TUN() int                { return w.tun }
func (w *wire) Do(f func() error) error { return f() }
func (w *wire) Start(*exec.Cmd) error   { return nil }
func (w *wire) Overrun() uint64         { return 0 }
func (w *wire) Close() error            { unix.Close(w.far); return unix.Close(w.tun) }

// wires is a router between places that are only wires.
func wires(t testing.TB, p Profile) (*Router, []*wire) {
	t.Helper()
	var ends []*wire
	var sites []Site
	for range len(p.Regions) + 1 {
		w := newWire(t)
		ends = append(ends, w)
		sites = append(sites, w)
	}
	r, err := NewRouter(RouterConfig{Profile: p, Sites: sites, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r, ends
}

func near() Profile {
	return Profile{Name: "near", Regions: []string{"a", "b"}, RoundTrips: map[Pair]time.Duration{{"a", "b"}: 0}}
}

// ip is an IPv4 packet to a place.
func ip(to byte, payload string) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[16], b[17], b[18], b[19] = 0x45, netA, netB, to, 1
	return append(b, payload...)
}

// A round trip through the loop, in which everything has been used once, allocates nothing.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	r, ends := wires(t, near())
	must(t, r.Impair("a", "b", Impairment{Delay: time.Millisecond, Jitter: 100 * time.Microsecond, Loss: 1e-9}))
	out := ip(2, "hello")
	in := make([]byte, 2048)
	pass := func() {
		for range 50 {
			if _, err := unix.Write(ends[1].far, out); err != nil {
				t.Error(err)
			}
		}
		for range 50 {
			if _, err := unix.Read(ends[2].far, in); err != nil {
				t.Error(err)
			}
		}
	}
	pass()
	if n := testing.AllocsPerRun(20, pass); n > 0 {
		t.Errorf("%v allocations for 50 packets", n)
	}
}

func TestRouterDropsWhatItCannotPlace(t *testing.T) {
	r, ends := wires(t, near())
	for _, b := range [][]byte{
		{0x45}, make([]byte, 40), append([]byte{0x60}, make([]byte, 60)...), ip(99, "x"),
		append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8}, "x"...),
	} {
		_, err := unix.Write(ends[1].far, b)
		must(t, err)
	}
	_, err := unix.Write(ends[1].far, ip(2, "last"))
	must(t, err)
	buf := make([]byte, 100)
	n, err := unix.Read(ends[2].far, buf)
	must(t, err)
	if string(buf[20:n]) != "last" {
		t.Errorf("arrived: %q", buf[:n])
	}
	// It counts just after it has written.
	for deadline := time.Now().Add(2 * time.Second); r.Counters().Path("a", "b").Bytes != 24; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r.Counters())
		}
	}
	if c := r.Counters(); c.Strays != 2 || c.Path("a", "b").Forwarded != 1 {
		t.Errorf("%+v", c)
	}
}

func TestRouterCountsWhatIsRefusedAndWhatIsTooMuch(t *testing.T) {
	r, ends := wires(t, near())
	must(t, r.Impair("a", "b", Impairment{Delay: 100 * time.Millisecond}))
	// Nobody reads at b, whose buffer is far smaller than the queue, and the queue is smaller than the flood.
	for range maxQueue + 1000 {
		_, err := unix.Write(ends[1].far, ip(2, strings.Repeat("x", 1000)))
		must(t, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for c := r.Counters().Path("a", "b"); c.Forwarded+c.Dropped() < maxQueue+1000; c = r.Counters().Path("a", "b") {
		if time.Now().After(deadline) {
			t.Fatalf("packets are missing: %+v", c)
		}
		time.Sleep(time.Millisecond)
	}
	if c := r.Counters().Path("a", "b"); c.Refused == 0 {
		t.Errorf("nothing was refused: %+v", c)
	}
}

func TestRouterSaysWhenItBreaks(t *testing.T) {
	r, ends := wires(t, near())
	// In the place of the device comes something that is always ready and cannot be read.
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	must(t, unix.Dup3(null, ends[1].tun, unix.O_CLOEXEC))
	_, err = unix.Write(ends[2].far, ip(1, "wake up"))
	must(t, err)
	<-r.done
	if err := r.Close(); err == nil {
		t.Error("a router whose device was gone closed without an error")
	}
}

func TestRouterNeedsASiteForEachPlace(t *testing.T) {
	if _, err := NewRouter(RouterConfig{Profile: near(), Sites: []Site{newWire(t)}}); err == nil {
		t.Error("a router with one site for three places was made")
	}
	if _, err := NewRouter(RouterConfig{}); err == nil {
		t.Error("a router without a profile was made")
	}
}
