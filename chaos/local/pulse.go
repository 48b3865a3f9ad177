package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster"
)

// pulse limits a process by stopping and waking it in turns, with nothing of the machine but signals. It takes time, not
// work: half a core is half of every period, for all threads of the process at once, also for one that would be idle.
type pulse struct {
	node *cluster.Node

	pid  int
	runs float64 // share of the time
	work *work
}

func (p *pulse) limit(cores float64) error {
	p.pid, p.runs = p.node.Pid(), min(cores, 1)
	if !p.node.Alive() {
		return fmt.Errorf("limiting %s: it is not running", p.node.Name)
	}
	// A fault outlives the call that injects it: lift ends it.
	p.work = begin(context.Background(), p.beat)
	return nil
}

// beat stops and wakes the process until ctx ends, and leaves it awake.
func (p *pulse) beat(ctx context.Context) error {
	runtime.LockOSThread() // nothing else is to delay the next beat
	defer runtime.UnlockOSThread()
	period := throttlePeriod(p.runs)
	awake := time.Duration(float64(period) * p.runs)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for pause(awake) && p.node.Alive() && p.node.Pid() == p.pid {
		if err := p.node.Signal(syscall.SIGSTOP); err != nil {
			return nil // it has ended by itself just now
		}
		pause(period - awake)
		if err := p.node.Signal(syscall.SIGCONT); err != nil {
			return nil
		}
	}
	return nil
}

// pulseSeen is over how long the state of the process is looked at, once a millisecond.
const pulseSeen = time.Second

// bites shows that the kernel calls the process stopped for about as much of the time as it should be.
func (p *pulse) bites(ctx context.Context) (string, error) {
	share, err := p.stoppedShare(ctx, pulseSeen)
	if err != nil {
		return "not seen", err
	}
	text := fmt.Sprintf("pid %d is stopped for %.0f %% of the time", p.pid, 100*share)
	if want := 1 - p.runs; share < want-0.2 || share > want+0.2 {
		return text, fmt.Errorf("%s: %s, want %.0f %%", p.node.Name, text, 100*want)
	}
	return text, nil
}

func (p *pulse) stoppedShare(ctx context.Context, over time.Duration) (float64, error) {
	var looks, found int
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(over); time.Now().Before(end); looks++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if p.node.State() == stopped {
			found++
		}
	}
	return float64(found) / float64(max(1, looks)), nil
}

func (p *pulse) lift() error {
	p.work.stop()
	if !p.node.Alive() || p.node.Pid() != p.pid {
		return nil
	}
	return p.node.Signal(syscall.SIGCONT)
}

func (p *pulse) lifted(ctx context.Context) (string, error) {
	if !p.node.Alive() {
		return "not running", fmt.Errorf("%s is not running", p.node.Name)
	}
	share, err := p.stoppedShare(ctx, 5*throttlePeriod(p.runs))
	if share > 0 {
		err = errors.Join(err, fmt.Errorf("%s: process %d was stopped again", p.node.Name, p.node.Pid()))
	}
	return fmt.Sprintf("pid %d is no longer stopped", p.node.Pid()), err
}
