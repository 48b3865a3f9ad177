package wan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster/osthread"
)

// Proxies is the Network that works anywhere: TCP proxies in this process, on loopback.
//
// A node serves on an address of its own in 127.0.0.0/8, and a place that is not the node's region
// reaches it through a listener of that place (Reach), so that the path is known. It differs from the
// packet network, and Describe says so:
//
//   - A connection is delayed by its path, its first byte also by the round trip of the handshake; but the
//     kernel of the caller has seen it established at once, as between any two processes on loopback.
//   - Cut stops forwarding and closes nothing. New connections are accepted and never answered. What was sent
//     is kept, up to 1 MiB per direction and what the kernel buffers, and flows at once after the heal; real TCP
//     would first wait for a retransmission timer, for seconds after a long cut.
//   - Loss cannot be had from a byte stream. It is imitated by what loss does to TCP: with the given chance, a
//     chunk (one read, often one message) waits for a retransmission timeout (200 ms and a round trip, doubling),
//     and everything behind it waits too. A loss of 1 is a cut.
//   - A process that dials a Bind address of another region goes past the network. Hand it Reach addresses.
type Proxies struct {
	*paths
	logger *slog.Logger
	counts []pathCount
	block  byte         // nodes serve on 127.block.0.0/16
	claim  net.Listener // keeps other clusters on this machine off the block
	thread *osthread.Thread

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // everything that must have ended when Close returns

	mu sync.Mutex // guards the following
	// doors are the listeners, behind maps the address of each to the node it leads to.
	doors  map[doorKey]*door
	behind map[string]string
	closed bool
}

type doorKey struct{ from, addr string }

// door is where one place reaches one node.
type door struct {
	listener net.Listener
	from, to int
	addr     string // of the node
}

// firstBlock to lastBlock are the second bytes of the loopback addresses to choose from.
const firstBlock, lastBlock = 77, 126

// NewProxies makes a proxy network.
func NewProxies(profile Profile, logger *slog.Logger) (*Proxies, error) {
	paths, err := newPaths(profile)
	if err != nil {
		return nil, err
	}
	block, claim, err := claimBlock()
	if err != nil {
		return nil, err
	}
	p := &Proxies{
		paths: paths, logger: logger, counts: make([]pathCount, paths.n*paths.n), block: block, claim: claim, thread: osthread.New(),
		doors: make(map[doorKey]*door), behind: make(map[string]string),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// claimBlock finds loopback addresses that no other proxy network of this machine uses.
func claimBlock() (byte, net.Listener, error) {
	var last error
	for block := firstBlock; block <= lastBlock; block++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.%d.255.254:4999", block))
		if err == nil {
			return byte(block), l, nil
		}
		last = err
	}
	return 0, nil, fmt.Errorf("no loopback addresses are free between 127.%d and 127.%d: %w", firstBlock, lastBlock, last)
}

// Kind implements Network.
func (p *Proxies) Kind() Kind { return Proxy }

// Describe implements Network.
func (p *Proxies) Describe() string {
	return "user-space TCP proxies on loopback: delay and stalls are real, packet loss is imitated, and connections resume faster after a cut than real ones"
}

// Facts implements Network.
func (p *Proxies) Facts() map[string]string {
	return map[string]string{"loss": "imitated by stalls", "tcp": "loopback"}
}

// Bind implements Network.
func (p *Proxies) Bind(region string, node, port int) (string, error) {
	i, err := p.index(region)
	if err != nil {
		return "", err
	}
	if i == 0 {
		return "", fmt.Errorf("the venue has no nodes")
	}
	if node < 0 || node >= NodesPerRegion {
		return "", fmt.Errorf("node %d of %s: a region has at most %d nodes", node, region, NodesPerRegion)
	}
	ip := netip.AddrFrom4([4]byte{127, p.block, byte(i), byte(node + 1)})
	return netip.AddrPortFrom(ip, uint16(port)).String(), nil
}

// Reach implements Network. The first call for a place and a node opens their listener.
func (p *Proxies) Reach(from, addr string) (string, error) {
	i, err := p.index(from)
	if err != nil {
		return "", err
	}
	addr, to, err := p.node(addr)
	if err != nil {
		return "", err
	}
	if i == to {
		return addr, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", net.ErrClosed
	}
	key := doorKey{from, addr}
	if d := p.doors[key]; d != nil {
		return d.listener.Addr().String(), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening the proxy from %s to %s: %w", from, addr, err)
	}
	d := &door{listener: l, from: i, to: to, addr: addr}
	p.doors[key] = d
	p.behind[l.Addr().String()] = addr
	p.tasks.Go(func() { p.serve(d) }) // owned by p; ends when Close closes the listener
	return l.Addr().String(), nil
}

// node resolves an address of Bind or Reach to the node's own, and says where that is.
func (p *Proxies) node(addr string) (string, int, error) {
	p.mu.Lock()
	if real, ok := p.behind[addr]; ok {
		addr = real
	}
	p.mu.Unlock()
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q: an IP address with a port is wanted: %w", addr, err)
	}
	b := ap.Addr().As16() // the last four bytes are the IPv4 address
	if !ap.Addr().Is4() || b[12] != 127 || b[13] != p.block || b[14] == 0 || int(b[14]) >= p.n {
		return "", 0, fmt.Errorf("%s is not an address of this network", addr)
	}
	return addr, int(b[14]), nil
}

// serve accepts what comes to a door.
func (p *Proxies) serve(d *door) {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			if p.ctx.Err() != nil {
				return
			}
			// Out of descriptors, most likely. Waiting lets some become free.
			p.logger.Warn("a proxy could not accept a connection", "from", p.places[d.from], "to", d.addr, "error", err)
			if !sleep(p.ctx, 100*time.Millisecond) {
				return
			}
			continue
		}
		p.tasks.Go(func() { p.carry(d, conn) }) // owned by p; ends with the connection, or with p.ctx
	}
}

// carry is one accepted connection, from the caller's handshake to the end.
func (p *Proxies) carry(d *door, caller net.Conn) {
	callee, err := p.connect(p.ctx, d.from, d.to, d.addr)
	if err != nil {
		reset(caller)
		return
	}
	p.join(d.from, d.to, caller, callee)
}

// connect reaches a node as a handshake over the path would: a round trip later, and only when both ways are open.
func (p *Proxies) connect(ctx context.Context, from, to int, addr string) (net.Conn, error) {
	if from != to {
		ctx, stop := p.within(ctx)
		defer stop()
		out, back := p.load(from, to), p.load(to, from)
		if !sleep(ctx, out.delay+back.delay) || !p.open(ctx, from, to) || !p.open(ctx, to, from) {
			return nil, fmt.Errorf("connecting from %s to %s: %w", p.places[from], addr, context.Cause(ctx))
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// within is ctx that also ends with the network.
func (p *Proxies) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { cancel(net.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// open waits until a path carries something; false: ctx has ended.
func (p *Proxies) open(ctx context.Context, from, to int) bool {
	for {
		now := p.load(from, to)
		if !now.closed() {
			return ctx.Err() == nil
		}
		select {
		case <-now.replaced:
		case <-ctx.Done():
			return false
		}
	}
}

// DialFrom implements Network. It waits for the handshake and sees a refusal, as a caller on a packet network does.
func (p *Proxies) DialFrom(ctx context.Context, place, addr string) (net.Conn, error) {
	from, err := p.index(place)
	if err != nil {
		return nil, err
	}
	addr, to, err := p.node(addr)
	if err != nil {
		return nil, err
	}
	callee, err := p.connect(ctx, from, to, addr)
	if err != nil || from == to {
		return callee, err
	}
	near, far, err := socketPair()
	if err != nil {
		return nil, errors.Join(err, callee.Close())
	}
	// The task is owned by p; it ends with the connection, or with p.ctx.
	if !p.task(func() { p.join(from, to, far, callee) }) {
		near.Close()
		far.Close()
		callee.Close()
		return nil, net.ErrClosed
	}
	return near, nil
}

// task runs f on a goroutine that Close waits for; false: the network is closed.
func (p *Proxies) task(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.tasks.Go(f)
	return true
}

// Start implements Network: every place is this machine.
func (p *Proxies) Start(place string, cmd *exec.Cmd) error {
	if _, err := p.index(place); err != nil {
		return err
	}
	return p.thread.Start(cmd)
}

// Impair implements Network.
func (p *Proxies) Impair(from, to string, im Impairment) error {
	if err := Carries(Proxy, im); err != nil {
		return fmt.Errorf("impairing %s to %s: %w", from, to, err)
	}
	return p.paths.Impair(from, to, im)
}

// Counters implements Network.
func (p *Proxies) Counters() Counters {
	var c Counters
	for i := range p.counts {
		if from, to := i/p.n, i%p.n; from != to {
			c.Paths = append(c.Paths, p.counts[i].read(p.places[from], p.places[to]))
		}
	}
	return c
}

// Close implements Network.
func (p *Proxies) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.cancel()
	errs := []error{p.claim.Close()}
	for _, d := range p.doors {
		errs = append(errs, d.listener.Close())
	}
	p.mu.Unlock()
	p.tasks.Wait()
	p.thread.Close()
	return errors.Join(errs...)
}
