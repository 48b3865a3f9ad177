package wan

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// paths is what every directed pair of places does now: the one set of decisions that both networks follow.
// Writers take the lock; the network's hot path loads one pointer.
type paths struct {
	profile Profile
	places  []string // the venue first, then the regions
	n       int
	now     []atomic.Pointer[path] // from*n + to

	mu sync.Mutex // guards the following
	// impaired and isolated are what was asked for; now follows from them and the profile.
	impaired []Impairment
	isolated []bool
}

// path is one directed pair of places. It is never changed, only replaced.
type path struct {
	delay, jitter time.Duration
	loss          float64
	cut           bool
	odd           *odd          // what few paths do; nil: nothing of it
	replaced      chan struct{} // closed when another path has taken its place
}

// odd is what a path does besides delay, loss and cuts.
type odd struct {
	duplicate, corrupt, reorder float64
	spared                      time.Duration // of the delay, for packets that overtake
	bucket                      *bucket       // nil: no limit on the rate
	asked                       Impairment
}

func newOdd(im Impairment) *odd {
	if im.Duplicate == 0 && im.Corrupt == 0 && im.Reorder == 0 && im.Rate == 0 {
		return nil
	}
	return &odd{duplicate: im.Duplicate, corrupt: im.Corrupt, reorder: im.Reorder, spared: im.Delay, bucket: newBucket(im), asked: im}
}

func newPaths(profile Profile) (*paths, error) {
	if err := profile.Validate(); err != nil {
		return nil, fmt.Errorf("the network profile: %w", err)
	}
	places := append([]string{Venue}, profile.Regions...)
	n := len(places)
	p := &paths{
		profile: profile, places: places, n: n, now: make([]atomic.Pointer[path], n*n),
		impaired: make([]Impairment, n*n), isolated: make([]bool, n),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for from := range n {
		for to := range n {
			p.settle(from, to)
		}
	}
	return p, nil
}

// load returns what the path does now.
func (p *paths) load(from, to int) *path { return p.now[from*p.n+to].Load() }

// settle works out a path again. The caller holds the lock.
func (p *paths) settle(from, to int) {
	im := p.impaired[from*p.n+to]
	fresh := &path{
		delay:  p.profile.RoundTrip(p.places[from], p.places[to])/2 + im.Delay,
		jitter: im.Jitter,
		loss:   im.Loss,
		odd:    newOdd(im),
		// A place is never cut from itself: its nodes talk over their own loopback.
		cut:      from != to && (im.Cut || p.isolated[from] || p.isolated[to]),
		replaced: make(chan struct{}),
	}
	if old := p.now[from*p.n+to].Swap(fresh); old != nil {
		close(old.replaced)
	}
}

func (p *paths) index(place string) (int, error) {
	if i := slices.Index(p.places, place); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("there is no place %q in this network: there are %s", place, strings.Join(p.places, ", "))
}

func (p *paths) pair(from, to string) (i, j int, err error) {
	if i, err = p.index(from); err != nil {
		return 0, 0, err
	}
	if j, err = p.index(to); err != nil {
		return 0, 0, err
	}
	if i == j {
		return 0, 0, fmt.Errorf("the path from %s to itself is its own loopback, which the network does not carry", from)
	}
	return i, j, nil
}

// Regions implements Network.
func (p *paths) Regions() []string { return slices.Clone(p.places[1:]) }

// Impair implements Network.
func (p *paths) Impair(from, to string, im Impairment) error {
	if err := im.Validate(); err != nil {
		return fmt.Errorf("impairing %s to %s: %w", from, to, err)
	}
	i, j, err := p.pair(from, to)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.impaired[i*p.n+j] = im
	p.settle(i, j)
	return nil
}

// Isolate implements Network.
func (p *paths) Isolate(region string, on bool) error {
	i, err := p.index(region)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isolated[i] = on
	for other := range p.n {
		if other != i {
			p.settle(i, other)
			p.settle(other, i)
		}
	}
	return nil
}

// Path implements Network.
func (p *paths) Path(from, to string) (Impairment, error) {
	i, j, err := p.pair(from, to)
	if err != nil {
		return Impairment{}, err
	}
	now := p.load(i, j)
	im := Impairment{Delay: now.delay, Jitter: now.jitter, Loss: now.loss, Cut: now.cut}
	if now.odd != nil {
		asked := now.odd.asked
		im.Duplicate, im.Corrupt, im.Reorder, im.Rate, im.Burst, im.Queue = asked.Duplicate, asked.Corrupt, asked.Reorder, asked.Rate, asked.Burst, asked.Queue
	}
	return im, nil
}

// due is when what was sent at a time arrives, given the random number r in [0, 1).
func (p *path) due(sent int64, r float64) int64 {
	d := p.delay
	if p.jitter > 0 {
		d = max(0, d+time.Duration((2*r-1)*float64(p.jitter)))
	}
	return sent + int64(d)
}
