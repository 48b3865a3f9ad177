package limit

import (
	"sync"
	"time"
)

// How a pace follows the strain of its node.
const (
	// paceStep is how long is looked at before the rate changes: long enough that one pause of the garbage
	// collector is not taken for strain, short enough that a storm has not passed before it is noticed.
	paceStep = 100 * time.Millisecond
	// strain is how late a timer fires, on average, on a node that is short of CPU. Everything else on the node,
	// urgent messages too, waits about as long for its turn, several times on its way.
	strain = 10 * time.Millisecond
	// slowdown is the share of the rate that is left after a step under strain.
	slowdown = 0.7
	// speedups is how many steps without strain lead from nothing to the full rate.
	speedups = 20
	// leastRate is what a node under strain still lets in each second: who waits must get in some day.
	leastRate = 50
)

// pace is how many handshakes a second a node can bear: all that are allowed, and fewer while it is
// short of CPU. It goes up by steps and down by shares (AIMD), so that it finds the rate which the
// node sustains whatever the machine, and comes back soon when the strain is over.
//
// The measure of strain is how late timers fire. Whoever is at the head of the line waits on a timer anyway, so
// measuring costs nothing, and happens only while a storm is on.
type pace struct {
	most, least float64 // handshakes a second

	mu    sync.Mutex // guards the following
	rate  float64
	began time.Time     // of the present step
	late  time.Duration // of all timers of the step
	fired int           // timers
}

func newPace(most int) *pace {
	return &pace{most: float64(most), least: min(leastRate, float64(most)), rate: float64(most)}
}

// fire notes that a timer fired late, and returns the rate from now on.
func (p *pace) fire(late time.Duration, now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge(now)
	p.late += late
	p.fired++
	return p.rate
}

// at returns the rate at a time.
func (p *pace) at(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge(now)
	return p.rate
}

// judge ends the step if it is over. Steps in which nobody waited are without strain. mu is held.
func (p *pace) judge(now time.Time) {
	steps := float64(now.Sub(p.began) / paceStep)
	if steps < 1 {
		return
	}
	if p.fired > 0 && p.late/time.Duration(p.fired) >= strain {
		p.rate *= slowdown
		steps--
	}
	p.rate = min(p.most, max(p.least, p.rate)+steps*p.most/speedups)
	p.began, p.late, p.fired = now, 0, 0
}
