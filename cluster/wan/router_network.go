package wan

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses of a packet network: place i is 10.77.i.0/24, and all of it is local to the place,
// so that each node of a region has its own: the first node of region 2 is 10.77.2.1.
const (
	netA, netB = 10, 77
	// NodesPerRegion is how many nodes a region has addresses for.
	NodesPerRegion = 200
)

// SiteAddr is the first address of a place, by its number (the venue is 0).
func SiteAddr(place int) netip.Addr { return nodeAddr(place, 0) }

func nodeAddr(place, node int) netip.Addr {
	return netip.AddrFrom4([4]byte{netA, netB, byte(place), byte(node + 1)})
}

// Prefix covers all places of a packet network.
func Prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{netA, netB, 0, 0}), 16)
}

// Kind implements Network.
func (r *Router) Kind() Kind { return Packet }

// Describe implements Network.
func (r *Router) Describe() string {
	return "packet-level: a network namespace per region, IP packets delayed and dropped between them, TCP by the kernel"
}

// Facts implements Network.
func (r *Router) Facts() map[string]string { return maps.Clone(r.facts) }

// Bind implements Network.
func (r *Router) Bind(region string, node, port int) (string, error) {
	i, err := r.index(region)
	if err != nil {
		return "", err
	}
	if node < 0 || node >= NodesPerRegion {
		return "", fmt.Errorf("node %d of %s: a region has at most %d nodes", node, region, NodesPerRegion)
	}
	return netip.AddrPortFrom(nodeAddr(i, node), uint16(port)).String(), nil
}

// Reach implements Network: an address is the same from everywhere.
func (r *Router) Reach(from, addr string) (string, error) {
	_, err := r.index(from)
	return addr, err
}

// DialFrom implements Network.
func (r *Router) DialFrom(ctx context.Context, place, addr string) (conn net.Conn, err error) {
	site, err := r.site(place)
	if err != nil {
		return nil, err
	}
	// An address in numbers is dialled on the calling thread, which is the one inside the site.
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("dialling %q from %s: an IP address with a port is wanted: %w", addr, place, err)
	}
	err = site.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", place, err)
	}
	return conn, nil
}

// Inside runs f on a thread that is in the network of a place: what it listens on and dials, it does there.
func (r *Router) Inside(place string, f func() error) error {
	site, err := r.site(place)
	if err != nil {
		return err
	}
	return site.Do(f)
}

// Start implements Network.
func (r *Router) Start(place string, cmd *exec.Cmd) error {
	site, err := r.site(place)
	if err != nil {
		return err
	}
	return site.Start(cmd)
}

// Counters implements Network.
func (r *Router) Counters() Counters {
	c := Counters{Strays: r.strays.Load(), Late: r.late.Load(), MaxLate: time.Duration(r.maxLate.Load()), CPU: r.cpu()}
	if c.Overrun = r.overrun.Load(); !r.stopped() {
		c.Overrun = r.overruns()
	}
	for i := range r.counts {
		from, to := i/r.n, i%r.n
		if from != to {
			c.Paths = append(c.Paths, r.counts[i].read(r.places[from], r.places[to]))
		}
	}
	return c
}

// overruns asks the sites, which must not be closed.
func (r *Router) overruns() (sum uint64) {
	for _, s := range r.sites {
		sum += s.Overrun()
	}
	return sum
}

// site finds a place as long as the network is there.
func (r *Router) site(place string) (Site, error) {
	i, err := r.index(place)
	if err != nil {
		return nil, err
	}
	if r.stopped() {
		return nil, fmt.Errorf("the network of %s: %w", place, net.ErrClosed)
	}
	return r.sites[i], nil
}

func (r *Router) stopped() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// cpu reads the processor-time clock of the loop's thread, whose number the kernel makes from the thread's id
// (MAKE_THREAD_CPUCLOCK in Linux's posix-timers.h).
func (r *Router) cpu() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(int32(^r.threadID<<3|6), &ts) != nil {
		return 0 // the thread has ended
	}
	return time.Duration(ts.Nano())
}

func (c *pathCount) read(from, to string) PathCounters {
	return PathCounters{From: from, To: to, Forwarded: c.forwarded.Load(), Bytes: c.bytes.Load(),
		Cut: c.cut.Load(), Lost: c.lost.Load(), Queue: c.queue.Load(), Refused: c.refused.Load(),
		Duplicated: c.duplicated.Load(), Corrupted: c.corrupted.Load(), Reordered: c.reordered.Load(), Shaped: c.shaped.Load()}
}
