// Package lab gives a program private networks of its own: one network namespace per region, on this machine,
// with nothing to install, nothing to clean up, and no way to harm the host's network.
//
// A process cannot enter a new user namespace once it has threads, and a Go program always has. So Enter runs
// the same command again (/proc/self/exe, same arguments) inside new user and network namespaces, as root
// there and nobody special outside, and waits for it:
//
//	host            wedsync drill run …            waits, relays signals, returns the exit code
//	  lab           └─ wedsync drill run …         orchestrator, packet router; the venue: its namespace is where vendors are
//	    region 1       ├─ wedsync-server …         started from the thread that owns the namespace of region 1
//	    region 2       ├─ wedsync-server …
//	    venue          └─ k6 run …
//
// A region's namespace has no name: it exists because a thread, its processes and some descriptors are in it.
// Every process is killed by the kernel when the one that started it dies (PR_SET_PDEATHSIG), so that SIGKILL
// of any of them takes down everything below it, and the namespaces go with their last process.
//
// A command uses it like this; what stands before Enter happens twice, outside and inside:
//
//	func run() error {
//		l, err := lab.Enter(lab.Config{Choice: lab.Auto, Logger: logger})
//		if err != nil {
//			return err // outside: *lab.Exit with the exit code of the process inside
//		}
//		network, err := l.Network(profile)
//		…
//	}
//
// Where namespaces or TUN devices are refused, Auto stays outside and Network returns the user-space proxies
// of package wan, with a warning that says why.
package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

// Choice is what a user asks for.
type Choice string

const (
	Auto   Choice = "auto"   // packet where the kernel allows it, else proxy
	Packet Choice = "packet" // or an error that says what is missing
	Proxy  Choice = "proxy"
)

// Config says how to enter the lab.
type Config struct {
	Choice Choice // default Auto
	// Listen are addresses of the host's own network on which the lab is to accept connections.
	Listen []string
	// TUNDevice is where the kernel's TUN device is; default /dev/net/tun.
	TUNDevice string
	Logger    *slog.Logger // default slog.Default()
}

func (c Config) withDefaults() Config {
	if c.Choice == "" {
		c.Choice = Auto
	}
	if c.TUNDevice == "" {
		c.TUNDevice = "/dev/net/tun"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch c.Choice {
	case "", Auto, Packet, Proxy:
		return nil
	}
	return fmt.Errorf("network %q: choose auto, packet or proxy", c.Choice)
}

// Lab is where networks can be made.
type Lab struct {
	Kind wan.Kind
	// Why says why it is not the packet-level network, if that was not the user's choice.
	Why string
	// Listeners are on the addresses of Config.Listen, in that order. The caller closes them.
	Listeners []net.Listener

	tunDevice string
	logger    *slog.Logger
}

// Exit is what Enter returns outside, when the process inside has ended: there is nothing left to do but to
// end with the same code.
type Exit struct{ Code int }

// Error is empty: the process inside has said what there was to say.
func (e *Exit) Error() string { return "" }

// ExitCode is the code to end with.
func (e *Exit) ExitCode() int { return e.Code }

// Enter moves the command into the lab, and returns there. Outside, it returns *Exit when the lab has ended.
func Enter(cfg Config) (*Lab, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if Inside() {
		listeners, err := inherited(len(cfg.Listen))
		if err != nil {
			return nil, err
		}
		kind := wan.Packet
		if cfg.Choice == Proxy { // tests try both
			kind = wan.Proxy
		}
		return &Lab{Kind: kind, Listeners: listeners, tunDevice: cfg.TUNDevice, logger: cfg.Logger}, nil
	}
	if n, err := RaiseFiles(); err != nil {
		cfg.Logger.Warn("the limit on open files is low; a full wedding day needs a descriptor for each socket", "limit", n, "wanted", FilesWanted, "error", err)
	}
	why := ""
	if cfg.Choice != Proxy {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := Probe(ctx, cfg.TUNDevice)
		if err == nil {
			return nil, outside(cfg)
		}
		if cfg.Choice == Packet {
			return nil, fmt.Errorf("the packet-level network is not possible here: %w", err)
		}
		why = err.Error()
		cfg.Logger.Warn("NO PACKET-LEVEL NETWORK: user-space proxies stand in, and the report will say so", "why", why)
	}
	listeners, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	return &Lab{Kind: wan.Proxy, Why: why, Listeners: listeners, tunDevice: cfg.TUNDevice, logger: cfg.Logger}, nil
}

// Network makes a network between the regions of a profile. Several may exist one after the other, not at once.
func (l *Lab) Network(profile wan.Profile) (wan.Network, error) {
	if l.Kind == wan.Proxy {
		proxies, err := wan.NewProxies(profile, l.logger)
		if err != nil {
			return nil, err // and no interface around a nil pointer
		}
		return proxies, nil
	}
	network, err := newPacketNetwork(profile, l.tunDevice, l.logger)
	if err != nil {
		return nil, err
	}
	return network, nil
}

// listen opens listeners, all or none.
func listen(addrs []string) (listeners []net.Listener, err error) {
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			err = errors.Join(err, closeListeners(listeners))
			return nil, fmt.Errorf("%w: another program may be using this port, or another cluster is up; choose others (--port-base)", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func closeListeners(listeners []net.Listener) (err error) {
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// firstListener is the descriptor of the first inherited listener; the one before is priorityFD.
const firstListener = priorityFD + 1

// inherited are the listeners that the process outside has opened and handed on.
func inherited(n int) (listeners []net.Listener, err error) {
	for i := range n {
		f := os.NewFile(uintptr(firstListener+i), "listener")
		l, err := net.FileListener(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("taking over listener %d from outside: %w", i, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}
