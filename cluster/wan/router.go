package wan

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/cluster/osthread"
)

// Site is one place of a packet network: a network namespace with a TUN device.
type Site interface {
	// TUN is the non-blocking descriptor of the site's device (IFF_TUN, IFF_NO_PI).
	TUN() int
	// Do runs f on a thread inside the site, and may do so several times at once.
	Do(f func() error) error
	// Start starts a process inside the site.
	Start(cmd *exec.Cmd) error
	// Overrun counts packets that the device dropped because nobody read them in time.
	Overrun() uint64
	Close() error
}

// lateAfter is how far behind its time a packet must be forwarded to be counted as late.
const lateAfter = 5 * time.Millisecond

// pause is how long the router rests after it has moved packets. Resting lets packets gather, so that a busy network
// costs one wake-up per batch and not one per packet: for 30,000 evenly spaced packets a second, 5 us of processor
// time each instead of 21 (BenchmarkRouter). It adds at most this much to a delay of many milliseconds.
const pause = 250 * time.Microsecond

// Router is the packet-level Network.
//
//	TUN of A --read--> path A->B: cut? lost? --> ring, due = now + delay --> cut? --write--> TUN of B
//
// One goroutine does all of it on one thread: it sleeps until a device is readable or the oldest packet
// of some path is due. So there are no locks and no hand-overs between threads, and packets of a path
// cannot overtake each other. In the steady state it allocates nothing: buffers go round.
type Router struct {
	*paths
	sites  []Site
	facts  map[string]string
	logger *slog.Logger

	start   time.Time
	counts  []pathCount // from*n + to
	strays  atomic.Uint64
	overrun atomic.Uint64 // of all sites, once they are closed
	late    atomic.Uint64
	maxLate atomic.Int64

	thread   *osthread.Thread // the loop's own
	threadID int

	stop     int // eventfd: wakes the loop to end it
	done     chan struct{}
	failed   error // why the loop ended, valid once done is closed
	closing  sync.Once
	closeErr error

	// Only the loop touches the following.
	rings   []ring
	early   []ring // packets that overtake those of rings
	hurried int    // packets in early
	free    []*[packetSize]byte
	random  *rand.Rand
	polls   []unix.PollFd // the sites, then stop
	timeout unix.Timespec
}

// pathCount is what PathCounters reports, written by the loop alone.
type pathCount struct {
	forwarded, bytes, cut, lost, queue, refused atomic.Uint64
	duplicated, corrupted, reordered, shaped    atomic.Uint64
}

// RouterConfig is what a Router is made of.
type RouterConfig struct {
	Profile Profile
	Sites   []Site            // the venue, then the regions in the order of the profile
	Facts   map[string]string // what Facts returns
	Seed    uint64            // of loss and jitter
	Logger  *slog.Logger      // default slog.Default()
}

// NewRouter starts to carry packets between the sites, which it owns from now on.
func NewRouter(cfg RouterConfig) (*Router, error) {
	paths, err := newPaths(cfg.Profile)
	if err != nil {
		return nil, err
	}
	if len(cfg.Sites) != paths.n {
		return nil, fmt.Errorf("%d sites for %d places", len(cfg.Sites), paths.n)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("making the router's event descriptor: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r := &Router{
		paths: paths, sites: cfg.Sites, facts: maps.Clone(cfg.Facts), logger: cfg.Logger, start: time.Now(), thread: osthread.New(), stop: stop, done: make(chan struct{}),
		counts: make([]pathCount, paths.n*paths.n), rings: make([]ring, paths.n*paths.n), early: make([]ring, paths.n*paths.n),
		random: rand.New(rand.NewPCG(cfg.Seed, cfg.Seed^0x9e3779b97f4a7c15)),
	}
	for _, s := range cfg.Sites {
		r.polls = append(r.polls, unix.PollFd{Fd: int32(s.TUN()), Events: unix.POLLIN})
	}
	r.polls = append(r.polls, unix.PollFd{Fd: int32(stop), Events: unix.POLLIN})
	r.thread.Do(func() {
		r.threadID = unix.Gettid()
		// By default the kernel may let a thread's timers be 50 us late, to bundle them. If it refuses, they stay so.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
	})
	go r.thread.Do(r.run) // owned by r, ended by Close
	return r, nil
}

func (r *Router) now() int64 { return int64(time.Since(r.start)) }

func (r *Router) run() {
	defer close(r.done)
	for {
		moved, next := r.forward()
		if moved {
			r.rest()
			next = 0 // look at the devices, and at what has come due meanwhile
		}
		ready, err := r.wait(next)
		if err != nil {
			r.fail(fmt.Errorf("waiting for packets: %w", err))
			return
		}
		if ready == 0 {
			continue
		}
		if r.polls[len(r.sites)].Revents != 0 {
			return
		}
		for site := range r.sites {
			if r.polls[site].Revents == 0 {
				continue
			}
			if err := r.receive(site); err != nil {
				r.fail(fmt.Errorf("reading the device of %s: %w", r.places[site], err))
				return
			}
		}
	}
}

// fail keeps the error for Close and says it at once: without the router, nothing arrives any more.
func (r *Router) fail(err error) {
	r.failed = err
	r.logger.Error("the packet router has stopped; every result from now on is void", "error", err)
}

func (r *Router) rest() {
	r.timeout = unix.NsecToTimespec(int64(pause))
	// A signal may cut the rest short, which does no harm.
	_ = unix.Nanosleep(&r.timeout, nil)
}

// wait sleeps until a device is readable or a time has come; never is math.MaxInt64.
func (r *Router) wait(until int64) (ready int, err error) {
	timeout := &r.timeout
	switch {
	case until == math.MaxInt64:
		timeout = nil
	default:
		r.timeout = unix.NsecToTimespec(max(0, until-r.now()))
	}
	ready, err = unix.Ppoll(r.polls, timeout, nil)
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return ready, err
}

// batch bounds what is read from one device before the others have their turn.
const batch = 256

// receive takes what a site has sent and puts it on its way.
func (r *Router) receive(from int) error {
	for range batch {
		buf := r.buffer()
		n, err := unix.Read(r.sites[from].TUN(), buf[:])
		if err != nil {
			r.free = append(r.free, buf)
			if err == unix.EAGAIN || err == unix.EINTR {
				return nil
			}
			return err
		}
		to, ok := r.destination(buf[:n])
		if !ok {
			r.free = append(r.free, buf)
			continue
		}
		r.send(from, to, buf, n)
	}
	return nil
}

// destination is the place that an IPv4 packet is for. Other protocols (IPv6 announcing itself) are dropped
// without a word.
func (r *Router) destination(b []byte) (int, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return 0, false
	}
	if b[16] != netA || b[17] != netB || int(b[18]) >= r.n {
		r.strays.Add(1)
		return 0, false
	}
	return int(b[18]), true
}

func (r *Router) send(from, to int, buf *[packetSize]byte, n int) {
	i := from*r.n + to
	now := r.paths.now[i].Load()
	count := &r.counts[i]
	switch {
	case now.cut:
		count.cut.Add(1)
	case now.loss > 0 && r.random.Float64() < now.loss:
		count.lost.Add(1)
	case now.odd != nil:
		r.sendOddly(i, now, buf, n)
		return
	default:
		var chance float64
		if now.jitter > 0 {
			chance = r.random.Float64()
		}
		if r.rings[i].push(packet{due: now.due(r.now(), chance), buf: buf, n: n}) {
			return
		}
		count.queue.Add(1)
	}
	r.free = append(r.free, buf)
}

// forward delivers what is due, and returns whether that was anything and when the next packet will be.
func (r *Router) forward() (moved bool, next int64) {
	next = math.MaxInt64
	now := r.now()
	for i := range r.rings {
		q := &r.rings[i]
		for q.len() > 0 && q.first().due <= now {
			p := q.pop()
			r.deliver(i, p, now)
			r.free = append(r.free, p.buf)
			moved = true
		}
		if q.len() > 0 {
			next = min(next, q.first().due)
		}
	}
	if r.hurried > 0 {
		next = min(next, r.forwardEarly(now, &moved))
	}
	return moved, next
}

func (r *Router) deliver(i int, p packet, now int64) {
	count := &r.counts[i]
	if r.paths.now[i].Load().cut {
		count.cut.Add(1)
		return
	}
	if _, err := unix.Write(r.sites[i%r.n].TUN(), p.buf[:p.n]); err != nil {
		count.refused.Add(1)
		return
	}
	count.forwarded.Add(1)
	count.bytes.Add(uint64(p.n))
	if late := now - p.due; late > int64(lateAfter) {
		r.late.Add(1)
		if late > r.maxLate.Load() {
			r.maxLate.Store(late)
		}
	}
}

func (r *Router) buffer() *[packetSize]byte {
	if last := len(r.free) - 1; last >= 0 {
		buf := r.free[last]
		r.free = r.free[:last]
		return buf
	}
	return new([packetSize]byte)
}

// Close implements Network.
func (r *Router) Close() error {
	r.closing.Do(func() {
		var one [8]byte
		one[0] = 1
		if _, err := unix.Write(r.stop, one[:]); err != nil {
			r.closeErr = fmt.Errorf("stopping the router: %w", err)
			return
		}
		<-r.done
		r.thread.Close()
		r.overrun.Store(r.overruns())
		errs := []error{r.failed, unix.Close(r.stop)}
		for _, s := range r.sites {
			errs = append(errs, s.Close())
		}
		r.closeErr = errors.Join(errs...)
	})
	return r.closeErr
}
