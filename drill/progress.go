package drill

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress shows how a drill is doing: a block that is redrawn in place on a terminal, and
// elsewhere a plain line whenever something happens and every few seconds.
type progress struct {
	out      io.Writer
	terminal bool
	every    time.Duration // between plain lines

	mu       sync.Mutex // guards the following
	drill    string
	phase    string
	faults   []string
	ends     time.Time
	status   Status
	drawn    int // lines of the block on the terminal
	lastLine time.Time
}

func newProgress(out io.Writer, terminal bool) *progress {
	return &progress{out: out, terminal: terminal, every: 5 * time.Second}
}

// begin starts showing a drill that will take until ends, at the longest.
func (p *progress) begin(drill string, ends time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drill, p.phase, p.faults, p.ends, p.status, p.drawn = drill, "starting", nil, ends, Status{}, 0
	p.lastLine = time.Time{}
}

// note says something that stays on the screen.
func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintf(p.out, "%s  %s\n", p.drill, fmt.Sprintf(format, args...))
	p.draw()
}

func (p *progress) enter(phase string, ends time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.ends = phase, ends
	p.update(true)
}

// until says when the phase will end after all.
func (p *progress) until(ends time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = ends
	p.update(false)
}

func (p *progress) inForce(faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
	p.update(true)
}

func (p *progress) show(s Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = s
	p.update(false)
}

// end leaves the last state on the screen.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

// update redraws the block, or prints a line if one is due. p.mu is held.
func (p *progress) update(now bool) {
	if p.terminal {
		p.erase()
		p.draw()
		return
	}
	if now || time.Since(p.lastLine) >= p.every {
		p.lastLine = time.Now()
		fmt.Fprintf(p.out, "%s  %s\n", p.drill, strings.Join(p.fields(), "  "))
	}
}

func (p *progress) erase() {
	if p.terminal && p.drawn > 0 {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

func (p *progress) draw() {
	if !p.terminal {
		return
	}
	for _, f := range p.fields() {
		fmt.Fprintf(p.out, "  %s\n", f)
		p.drawn++
	}
}

func (p *progress) fields() []string {
	faults := "none"
	if len(p.faults) > 0 {
		faults = strings.Join(p.faults, ", ")
	}
	left := max(0, time.Until(p.ends)).Round(time.Second)
	s := p.status
	return []string{
		fmt.Sprintf("phase %-9s", p.phase),
		fmt.Sprintf("left <=%-6s", left),
		fmt.Sprintf("vendors %d (sessions %d of %d)", s.Vendors, s.Joined, s.Homes),
		fmt.Sprintf("urgent sent %d delivered %d late %d lost %d", s.Urgent.Sent, s.Urgent.Delivered, s.Urgent.Late, s.Urgent.Lost()),
		"fault " + faults,
	}
}
