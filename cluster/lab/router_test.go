package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/cluster/wan"
)

// packets is a network of real packets between the given regions, all as far apart as asked.
func packets(t testing.TB, p wan.Profile) *packetNetwork {
	t.Helper()
	needsLab(t)
	r, err := newPacketNetwork(p, "/dev/net/tun", slog.Default())
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

// udp opens a socket in a place, on an address of its own.
func udp(t testing.TB, r *packetNetwork, place string, addr string) (c *net.UDPConn) {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp4", addr)
	must(t, err)
	must(t, r.Inside(place, func() (err error) { c, err = net.ListenUDP("udp4", a); return err }))
	t.Cleanup(func() { c.Close() })
	return c
}

// flood sends n datagrams of 200 bytes from a place to another, evenly spaced, and returns how many arrived. Sender
// and receiver are processes of their own, as those of a cluster are.
func flood(t testing.TB, r *packetNetwork, from, to string, n, perSecond int) (arrived int) {
	t.Helper()
	addr, err := r.Bind(to, 0, 9)
	must(t, err)
	start := func(place, part string) (*exec.Cmd, *bufio.Reader) {
		cmd := exec.Command("/proc/self/exe", addr, strconv.Itoa(n), strconv.Itoa(perSecond))
		cmd.Env = append(os.Environ(), partVar+"="+part, "GORACE=atexit_sleep_ms=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, r.Start(place, cmd))
		return cmd, bufio.NewReader(out)
	}
	sink, counts := start(to, "sink")
	_, err = counts.ReadString('\n') // it listens
	must(t, err)
	source, _ := start(from, "source")
	must(t, source.Wait())
	text, err := counts.ReadString('\n')
	must(t, err)
	must(t, sink.Wait())
	arrived, err = strconv.Atoi(strings.TrimSpace(text))
	must(t, err)
	return arrived
}

// playSource sends datagrams, evenly spaced: sleeping would be too coarse, and make bursts.
func playSource(addr, count, perSecond string) error {
	n, err1 := strconv.Atoi(count)
	rate, err2 := strconv.Atoi(perSecond)
	c, err3 := net.Dial("udp4", addr)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	payload := make([]byte, 200)
	start := time.Now()
	for i := range n {
		for due := start.Add(time.Duration(i) * time.Second / time.Duration(rate)); time.Now().Before(due); {
		}
		if _, err := c.Write(payload); err != nil {
			return err
		}
	}
	return nil
}

// playSink counts datagrams until none has come for half a second.
func playSink(addr string) error {
	a, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return err
	}
	c, err := net.ListenUDP("udp4", a)
	if err != nil {
		return err
	}
	if err := c.SetReadBuffer(8 << 20); err != nil {
		return err
	}
	fmt.Println("listening")
	buf := make([]byte, 2048)
	for n := 0; ; n++ {
		patience := 500 * time.Millisecond
		if n == 0 {
			patience = 5 * time.Second
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
			fmt.Println(n)
			return nil
		}
	}
}

func TestLossIsTheShareAskedFor(t *testing.T) {
	r := packets(t, profile())
	const n, loss = 4000, 0.2
	must(t, r.Impair("a", "b", wan.Impairment{Loss: loss}))
	arrived := flood(t, r, "a", "b", n, 20000)
	// Five standard deviations of a binomial distribution: 5 * sqrt(4000 * 0.2 * 0.8) = 126.
	if lost := n - arrived; lost < n*loss-126 || lost > n*loss+126 {
		t.Errorf("%d of %d packets were lost, want about %v", lost, n, n*loss)
	}
	c := r.Counters().Path("a", "b")
	if int(c.Lost) != n-arrived || int(c.Forwarded) != arrived || c.Queue+c.Refused+c.Cut > 0 {
		t.Errorf("%d arrived of %d, the router counted %+v", arrived, n, c)
	}
}

func TestCutDropsWhatIsUnderWay(t *testing.T) {
	p := profile()
	p.RoundTrips[wan.Pair{A: "a", B: "b"}] = 400 * time.Millisecond
	r := packets(t, p)
	src, _ := r.Bind("a", 0, 9)
	dst, _ := r.Bind("b", 0, 9)
	out, in := udp(t, r, "a", src), udp(t, r, "b", dst)
	_, err := out.WriteTo([]byte("x"), in.LocalAddr())
	must(t, err)
	time.Sleep(50 * time.Millisecond) // it is in the middle of its 200 ms
	must(t, r.Impair("a", "b", wan.Impairment{Cut: true}))
	must(t, in.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	if _, _, err := in.ReadFrom(make([]byte, 10)); err == nil {
		t.Error("a packet arrived after its path was cut")
	}
	if c := r.Counters().Path("a", "b"); c.Cut != 1 {
		t.Errorf("the router counted %+v, want 1 cut", c)
	}
}

func TestPacketsForNoPlaceAreCounted(t *testing.T) {
	r := packets(t, profile())
	c := udp(t, r, "a", "10.77.1.1:9")
	_, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 77, 99, 1), Port: 9})
	must(t, err)
	for deadline := time.Now().Add(2 * time.Second); r.Counters().Strays == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a packet to 10.77.99.1 was not counted")
		}
	}
}

func TestEveryNodeHasItsOwnAddress(t *testing.T) {
	r := packets(t, profile())
	for i := range 3 {
		addr, err := r.Bind("b", i, 4000)
		must(t, err)
		l := listenIn(t, r, "b", addr)
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := r.DialFrom(ctx, "a", addr)
		must(t, err)
		if got := c.RemoteAddr().String(); got != addr {
			t.Errorf("reached %s, want %s", got, addr)
		}
		c.Close()
	}
	if _, err := r.Bind("b", wan.NodesPerRegion, 4000); err == nil {
		t.Error("more nodes than addresses were accepted")
	}
}

func TestNetworksMayFollowEachOther(t *testing.T) {
	needsLab(t)
	for range 2 {
		r, err := newPacketNetwork(profile(), "/dev/net/tun", slog.Default())
		must(t, err)
		must(t, r.Close())
	}
}

func TestFactsTellTheTCPTimers(t *testing.T) {
	facts := packets(t, profile()).Facts()
	for _, name := range []string{"mtu", "tcp_rto_min_us", "tcp_rto_max_ms"} {
		if facts[name] == "" {
			t.Errorf("%s is missing in %v", name, facts)
		}
	}
	t.Log(facts)
}

func TestPriorityIsOfTheNetworkAndNotOfWhatItStarts(t *testing.T) {
	needsLab(t)
	r, err := newPacketNetwork(profile(), "/dev/net/tun", slog.Default())
	must(t, err)
	defer r.Close()
	policy := func(pid int) uint32 {
		a, err := unix.SchedGetAttr(pid, 0)
		must(t, err)
		return a.Policy
	}
	want := uint32(unix.SCHED_RR)
	if r.Facts()["router_priority"] != "real-time" {
		want = unix.SCHED_NORMAL // the user may not
	}
	if got := policy(os.Getpid()); got != want {
		t.Errorf("with a network, the policy is %d, want %d", got, want)
	}
	cmd := exec.Command("sleep", "60")
	must(t, r.Start("a", cmd))
	if got := policy(cmd.Process.Pid); got != unix.SCHED_NORMAL {
		t.Errorf("what it started has the policy %d", got)
	}
	// One thread of normal priority could hold up the others.
	must(t, eachThread(os.Getpid(), func(tid int) error {
		if got := policy(tid); got != want {
			t.Errorf("after a start, thread %d has the policy %d, want %d", tid, got, want)
		}
		return nil
	}))
	must(t, r.Close())
	_ = cmd.Wait() // it was killed with the network
	if got := policy(os.Getpid()); got != unix.SCHED_NORMAL {
		t.Errorf("without a network, the policy is %d", got)
	}
}

// BenchmarkRouter carries packets that come one by one, evenly spaced, which is the dearest way for them to come.
func BenchmarkRouter(b *testing.B) {
	for _, rate := range []int{3000, 30000} {
		b.Run(fmt.Sprintf("%dpps", rate), func(b *testing.B) {
			r := packets(b, profile())
			flood(b, r, "a", "b", rate/2, rate) // fills the pool of buffers
			for b.Loop() {
				var before, after runtime.MemStats
				n := 2 * rate
				runtime.ReadMemStats(&before)
				start := r.Counters()
				arrived := flood(b, r, "a", "b", n, rate)
				end := r.Counters()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64((end.CPU-start.CPU).Nanoseconds())/float64(n), "cpu_ns/packet")
				b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(n), "allocs/packet")
				b.ReportMetric(float64(n-arrived), "lost")
				b.ReportMetric(float64(end.Late-start.Late), "late")
			}
		})
	}
}

// BenchmarkStream carries a TCP stream over 10 ms each way.
func BenchmarkStream(b *testing.B) {
	r := packets(b, profile())
	l := listenIn(b, r, "b", "10.77.2.1:4001")
	defer l.Close()
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		c := dial(b, r, "a", "10.77.2.1:4001")
		far, err := l.Accept()
		must(b, err)
		go func() { far.Write(make([]byte, size)); far.Close() }()
		if n, err := io.Copy(io.Discard, c); err != nil || n != size {
			b.Fatal(n, err)
		}
	}
}

func TestClosedNetworkSaysSo(t *testing.T) {
	onBoth(t, func(t *testing.T, n wan.Network) {
		addr, err := n.Bind("a", 0, 4000)
		must(t, err)
		must(t, n.Close())
		if c, err := n.DialFrom(t.Context(), "b", addr); !errors.Is(err, net.ErrClosed) {
			t.Errorf("DialFrom: %v, %v", c, err)
		}
		if err := n.Start("a", exec.Command("true")); err == nil {
			t.Error("a process was started")
		}
		n.Counters()
		must(t, n.Close())
	})
}
