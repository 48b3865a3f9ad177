package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/cluster/osthread"
	"github.com/wedsync/wedsync/cluster/wan"
)

// device is the name of the TUN device in each namespace.
const device = "wan0"

// mtu is the size of the packets, as on the internet.
const mtu = 1500

// deviceQueue is how many packets the kernel keeps for the router when it is late.
const deviceQueue = 4096

var errTUN = errors.New("opening the TUN device")

// site is a network namespace with a TUN device; it implements wan.Site.
type site struct {
	name   string
	thread *osthread.Thread // in the namespace; starts the processes of the place
	ns     int              // descriptor of the namespace, for other threads to go there
	home   int              // descriptor of the lab's own namespace, for them to come back
	tun    int
	link   *netlink.Handle // for the device's counters
	index  int             // of the device
}

// packetNetwork is a router, and a priority for this process while there is one.
type packetNetwork struct{ *wan.Router }

// Close implements wan.Network.
func (n packetNetwork) Close() error {
	return errors.Join(n.Router.Close(), relax())
}

// newPacketNetwork makes the namespaces and the router between them. It must run inside the lab.
func newPacketNetwork(profile wan.Profile, tunDevice string, logger *slog.Logger) (*packetNetwork, error) {
	if err := profile.Validate(); err != nil {
		return nil, fmt.Errorf("the network profile: %w", err)
	}
	var sites []wan.Site
	facts := map[string]string{"mtu": fmt.Sprint(mtu)}
	for i, place := range append([]string{wan.Venue}, profile.Regions...) {
		s, err := newSite(place, i, tunDevice)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("making the network of %s: %w", place, err), closeAll(sites))
		}
		sites = append(sites, s)
		if i == 1 {
			s.readFacts(facts)
		}
	}
	facts["router_priority"] = prioritize()
	r, err := wan.NewRouter(wan.RouterConfig{Profile: profile, Sites: sites, Facts: facts, Seed: 1, Logger: logger})
	if err != nil {
		return nil, errors.Join(err, relax(), closeAll(sites))
	}
	return &packetNetwork{r}, nil
}

func closeAll(sites []wan.Site) (err error) {
	for _, s := range sites {
		err = errors.Join(err, s.Close())
	}
	return err
}

// newSite makes place number i. The venue, number 0, is the namespace that the lab is in already.
func newSite(name string, i int, tunDevice string) (*site, error) {
	s := &site{name: name, ns: -1, home: -1, tun: -1}
	var err error
	if s.home, err = unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("opening the lab's namespace: %w", err)
	}
	s.thread = osthread.New()
	s.thread.Do(func() { err = s.furnish(i, tunDevice) })
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// furnish sets the namespace up, on the thread that will own it.
func (s *site) furnish(i int, tunDevice string) (err error) {
	if i > 0 {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
	}
	if s.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening the namespace: %w", err)
	}
	// The device belongs to the namespace in which it is opened.
	if s.tun, err = openTUN(tunDevice); err != nil {
		return err
	}
	if s.link, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("talking to the kernel's network configuration: %w", err)
	}
	return s.connect(i)
}

// connect gives the namespace its addresses and routes. All of 10.77.i.0/24 is local (as with `ip route add
// local … dev lo`), so that each node has an address of its own without anything being added for it.
func (s *site) connect(i int) error {
	lo, err := s.link.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo: %w", err)
	}
	if err := s.link.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	tun, err := s.link.LinkByName(device)
	if err != nil {
		return fmt.Errorf("finding %s: %w", device, err)
	}
	s.index = tun.Attrs().Index
	if err := errors.Join(s.link.LinkSetMTU(tun, mtu), s.link.LinkSetTxQLen(tun, deviceQueue), s.link.LinkSetUp(tun)); err != nil {
		return fmt.Errorf("bringing %s up: %w", device, err)
	}
	own := net.IP(wan.SiteAddr(i).AsSlice())
	if err := s.link.AddrAdd(tun, &netlink.Addr{IPNet: &net.IPNet{IP: own, Mask: net.CIDRMask(32, 32)}}); err != nil {
		return fmt.Errorf("adding the address %s: %w", own, err)
	}
	whole := wan.Prefix()
	for _, r := range []*netlink.Route{
		{LinkIndex: lo.Attrs().Index, Dst: &net.IPNet{IP: own.Mask(net.CIDRMask(24, 32)), Mask: net.CIDRMask(24, 32)},
			Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Table: unix.RT_TABLE_LOCAL},
		{LinkIndex: s.index, Dst: &net.IPNet{IP: whole.Addr().AsSlice(), Mask: net.CIDRMask(whole.Bits(), 32)}, Src: own, Scope: netlink.SCOPE_LINK},
	} {
		// Replace, because an earlier network has left this one in the lab's own namespace.
		if err := s.link.RouteReplace(r); err != nil {
			return fmt.Errorf("adding the route to %s: %w", r.Dst, err)
		}
	}
	return nil
}

func openTUN(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("%w %s: %w", errTUN, path, err)
	}
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return -1, errors.Join(fmt.Errorf("making the network device %s: %w", device, err), unix.Close(fd))
	}
	return fd, nil
}

// readFacts reads the kernel's TCP timers as they are in the namespace: a lost packet costs the first, and
// after a long cut a connection is tried again no more often than the second.
func (s *site) readFacts(facts map[string]string) {
	s.thread.Do(func() {
		for _, name := range []string{"tcp_rto_min_us", "tcp_rto_max_ms"} {
			if v, err := os.ReadFile("/proc/sys/net/ipv4/" + name); err == nil {
				facts[name] = strings.TrimSpace(string(v))
			} else {
				facts[name] = "unknown to this kernel"
			}
		}
	})
}

// TUN implements wan.Site.
func (s *site) TUN() int { return s.tun }

// Start implements wan.Site.
func (s *site) Start(cmd *exec.Cmd) error { return s.thread.Start(cmd) }

// Do implements wan.Site: it borrows any thread, takes it there, and back.
func (s *site) Do(f func() error) error {
	runtime.LockOSThread()
	if err := unix.Setns(s.ns, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering the network of %s: %w", s.name, err)
	}
	defer func() {
		if unix.Setns(s.home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		// Else the thread stays locked, and Go ends it with its goroutine instead of using it elsewhere.
	}()
	return f()
}

// Overrun implements wan.Site.
func (s *site) Overrun() uint64 {
	link, err := s.link.LinkByIndex(s.index)
	if err != nil || link.Attrs().Statistics == nil {
		return 0 // the namespace is closing
	}
	return link.Attrs().Statistics.TxDropped
}

// Close implements wan.Site. What was started here is killed.
func (s *site) Close() error {
	s.thread.Close()
	if s.link != nil {
		s.link.Close()
	}
	var errs []error
	for _, fd := range []int{s.tun, s.ns, s.home} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
