// Package wan puts distance between the regions of a cluster that runs on one machine.
//
// There are places: the regions, and the venue, where the vendors are (the load generator). Every
// ordered pair of places is a path with a delay of its own, taken from a Profile, and can be made
// worse at any time by an Impairment: slower, unsteady, lossy, or cut. A whole region can be
// isolated, which is the network's half of a region that dies: all its packets are dropped and
// nothing is closed.
//
// Two networks implement this.
//
// Router carries IP packets. Each place has a network namespace of its own with a TUN device, and
// one thread moves packets between the devices, each packet after the delay of its path. The TCP
// above is the kernel's own: a lost packet is retransmitted by it, a cut is noticed by nobody, and
// after a heal connections come back when their retransmission timers say so. It needs namespaces
// (package lab makes them).
//
// Proxies carries TCP byte streams, through one listener per place and node on loopback. It needs no
// privilege, delays and stalls like the real thing, and cannot lose packets: see its documentation.
// It stands in where namespaces are refused, and Describe says so in every report.
package wan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"
)

// Venue is the place of the vendors: every region is an access round trip away from it.
const Venue = "venue"

// Kind tells the two networks apart, in flags and in reports.
type Kind string

const (
	Packet Kind = "packet"
	Proxy  Kind = "proxy"
)

// Impairment makes one directed path worse than its profile: the delay is added to the path's own.
type Impairment struct {
	Delay  time.Duration `json:"delay_ns"`  // added to each packet, 0 or more
	Jitter time.Duration `json:"jitter_ns"` // the delay varies evenly by up to this, to both sides; order is kept
	Loss   float64       `json:"loss"`      // share of packets lost, 0 to 1
	Cut    bool          `json:"cut"`       // nothing passes, nothing is closed

	// What byte streams do not have (Proxies refuse it):
	Duplicate float64 `json:"duplicate,omitempty"` // share of packets that come twice, 0 to 1
	Corrupt   float64 `json:"corrupt,omitempty"`   // share of packets with one bit wrong, 0 to 1
	Reorder   float64 `json:"reorder,omitempty"`   // share of packets that pass over the others because Delay is not for them, 0 to 1

	Rate  int64 `json:"rate,omitempty"`  // bytes a second; 0: as many as there are
	Burst int64 `json:"burst,omitempty"` // bytes that pass at once after a rest; default 10,000
	Queue int64 `json:"queue,omitempty"` // bytes that wait for the rate before packets are dropped; default 256 KiB
}

// Validate says what is wrong with the impairment.
func (im Impairment) Validate() error {
	switch {
	case im.Delay < 0 || im.Jitter < 0:
		return fmt.Errorf("delay %v and jitter %v must not be negative", im.Delay, im.Jitter)
	case !(im.Loss >= 0 && im.Loss <= 1): // written so that NaN is wrong too
		return fmt.Errorf("loss %v must be a share between 0 and 1", im.Loss)
	case !(im.Duplicate >= 0 && im.Duplicate <= 1) || !(im.Corrupt >= 0 && im.Corrupt <= 1) || !(im.Reorder >= 0 && im.Reorder <= 1):
		return fmt.Errorf("duplicate %v, corrupt %v and reorder %v must be shares between 0 and 1", im.Duplicate, im.Corrupt, im.Reorder)
	case im.Reorder > 0 && im.Delay == 0:
		return errors.New("reorder needs a delay: the packets that are spared it overtake the others")
	case im.Rate < 0 || im.Burst < 0 || im.Queue < 0:
		return fmt.Errorf("rate %d, burst %d and queue %d must not be negative", im.Rate, im.Burst, im.Queue)
	}
	return nil
}

// Carries says why a kind of network cannot do an impairment.
func Carries(k Kind, im Impairment) error {
	if k == Proxy && (im.Duplicate > 0 || im.Corrupt > 0 || im.Reorder > 0) {
		return errors.New("proxies carry byte streams, in which nothing comes twice, damaged or out of order; use the packet network (as root, or where user namespaces are allowed)")
	}
	return nil
}

// Or is what two impairments of the same path come to together.
func (im Impairment) Or(other Impairment) Impairment {
	either := func(a, b float64) float64 { return a + b*(1-a) } // of what the one spares, the other takes its share
	all := Impairment{
		Delay: im.Delay + other.Delay, Jitter: im.Jitter + other.Jitter, Cut: im.Cut || other.Cut, Loss: either(im.Loss, other.Loss),
		Duplicate: either(im.Duplicate, other.Duplicate), Corrupt: either(im.Corrupt, other.Corrupt), Reorder: either(im.Reorder, other.Reorder),
		Rate: im.Rate, Burst: im.Burst, Queue: im.Queue,
	}
	if other.Rate > 0 && (im.Rate == 0 || other.Rate < im.Rate) {
		all.Rate, all.Burst, all.Queue = other.Rate, other.Burst, other.Queue
	}
	return all
}

// Network connects the places. Its methods may be called by several goroutines at once.
//
// Node addresses are as given by Bind. They are the same from every place of a packet network; in a
// proxy network each place has its own way to a node, which is what Reach is for.
type Network interface {
	Kind() Kind
	// Describe says in one line what the network is, for people and reports.
	Describe() string
	// Facts are the settings that a reader of results must know, such as the kernel's TCP timers.
	Facts() map[string]string
	Regions() []string

	// Bind returns the address on which a node of a region (counted from 0) is to serve a port.
	Bind(region string, node, port int) (string, error)
	// Reach returns the address under which a place finds what is served at a Bind address.
	Reach(from, addr string) (string, error)
	// DialFrom connects from a place, through the network, to an address from Bind or Reach.
	DialFrom(ctx context.Context, place, addr string) (net.Conn, error)
	// Start starts a process in a place. The kernel kills it if this process dies.
	Start(place string, cmd *exec.Cmd) error

	// Impair sets what is wrong with the path between two places, one way. The zero value heals it.
	// Once it has returned, what it forbids does not happen: a cut also drops what is under way.
	Impair(from, to string, im Impairment) error
	// Isolate cuts a region from every other place, both ways, on top of any impairment.
	Isolate(region string, on bool) error
	// Path returns what a path does now: the profile, its impairment and isolation taken together.
	Path(from, to string) (Impairment, error)
	Counters() Counters
	// Close ends every connection and releases the network. Processes must have ended before.
	Close() error
}

// Counters are totals since the network was made. Proxies count their paths only.
type Counters struct {
	Paths   []PathCounters `json:"paths"`
	Strays  uint64         `json:"strays"`      // packets for no known place
	Overrun uint64         `json:"overrun"`     // packets dropped because the router came too late to its device
	Late    uint64         `json:"late"`        // packets forwarded over 5 ms after their time: the machine was too busy
	MaxLate time.Duration  `json:"max_late_ns"` // the worst of them
	CPU     time.Duration  `json:"cpu_ns"`      // processor time that the router's thread has used
}

// PathCounters count what happened on one directed path. The unit is the packet for a Router and
// the chunk of bytes for Proxies.
type PathCounters struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Forwarded uint64 `json:"forwarded"`
	Bytes     uint64 `json:"bytes"`
	Cut       uint64 `json:"cut"`     // dropped because the path was cut
	Lost      uint64 `json:"lost"`    // dropped by chance, as Loss asks (Proxies: delayed as if retransmitted)
	Queue     uint64 `json:"queue"`   // dropped because the path's queue was full
	Refused   uint64 `json:"refused"` // not taken by the receiving place

	Duplicated uint64 `json:"duplicated,omitempty"` // sent twice
	Corrupted  uint64 `json:"corrupted,omitempty"`  // sent with a wrong bit
	Reordered  uint64 `json:"reordered,omitempty"`  // sent before others that came earlier
	Shaped     uint64 `json:"shaped,omitempty"`     // had to wait for the rate
}

// Dropped is everything that did not arrive.
func (p PathCounters) Dropped() uint64 { return p.Cut + p.Lost + p.Queue + p.Refused }

// Path finds the counters of one path.
func (c Counters) Path(from, to string) PathCounters {
	for _, p := range c.Paths {
		if p.From == from && p.To == to {
			return p
		}
	}
	return PathCounters{From: from, To: to}
}
