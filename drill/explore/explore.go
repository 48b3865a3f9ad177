// Package explore looks for schedules of faults that break a promise, and shrinks what it finds.
//
// A drill strikes where its author thought of; bugs live where nobody did. So explore draws schedules from a seed: some
// faults on some regions, some links, one after the other and side by side, within what the service promises to
// survive (Schedule.Check). Each is written as a Chaos Mesh Workflow and played as a drill with a load and the claims of
// a base file. A schedule whose drill FAILs is shrunk: fewer faults, shorter, earlier, milder, as long as it still
// fails. What remains is a pair of files that `wedsync drill run` plays again, and a workflow that a cluster accepts.
//
// A trial that proves nothing (INCONCLUSIVE, INSUFFICIENT, INVALID: mostly a machine that was too busy) is neither a
// failure nor a pass: it is played again, and then passed over and counted.
package explore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
)

// Result is what a trial showed.
type Result struct {
	Verdict claim.Verdict
	Why     string
	Drill   string // the drill file that plays it again
}

// Trial plays a schedule under a name.
type Trial func(ctx context.Context, name string, s Schedule) (Result, error)

// Config is what an exploration needs.
type Config struct {
	Space Space
	Seed  uint64
	For   time.Duration // no schedule is begun later than this
	// Shrink is how many trials may be spent on making a failing schedule smaller.
	Shrink int
	// Tries is how often a trial is played that has not failed where a failure was expected, or has proved nothing.
	Tries int
	Trial Trial
	Out   io.Writer // progress
}

// Validate says all that is wrong.
func (c Config) Validate() error {
	var errs []error
	if len(c.Space.Regions) < 3 {
		errs = append(errs, fmt.Errorf("%d regions: explore needs three, so that two live while one is away", len(c.Space.Regions)))
	}
	if c.Space.Faults < 1 {
		errs = append(errs, fmt.Errorf("faults is %d: a schedule has at least one", c.Space.Faults))
	}
	if c.Space.Length < minHold {
		errs = append(errs, fmt.Errorf("length is %v: a fault lasts at least %v", c.Space.Length, minHold))
	}
	if c.For <= 0 || c.Tries < 1 || c.Shrink < 0 {
		errs = append(errs, errors.New("for and tries must be more than nothing, shrink not negative"))
	}
	return errors.Join(errs...)
}

// Finding is a schedule that breaks a claim.
type Finding struct {
	Number   int // of the schedule that was drawn
	Drawn    Schedule
	Smallest Schedule
	Result   Result // of the smallest
	Trials   int    // spent on shrinking
}

// Report is what an exploration found.
type Report struct {
	Played  map[claim.Verdict]int // schedules by verdict, without those of shrinking
	Finding *Finding              // nil: nothing was found
}

// Run explores until its time is up, its context ends, or a schedule has failed and been shrunk.
func Run(ctx context.Context, cfg Config) (Report, error) {
	report := Report{Played: map[claim.Verdict]int{}}
	if err := cfg.Validate(); err != nil {
		return report, err
	}
	x := &explorer{cfg: cfg}
	for until := time.Now().Add(cfg.For); time.Now().Before(until); x.number++ {
		s := cfg.Space.Draw(cfg.Seed, x.number)
		x.say("schedule %d of seed %d:\n%s", x.number, cfg.Seed, indent(s))
		result, err := x.play(ctx, s, false)
		if err != nil {
			return report, err
		}
		report.Played[result.Verdict]++
		if result.Verdict == claim.Fail {
			found, err := x.shrink(ctx, s, result)
			report.Finding = found
			return report, err
		}
	}
	return report, nil
}

// explorer is an exploration at work.
type explorer struct {
	cfg    Config
	number int // of the schedule
	played int // trials of it
}

// shrink makes a failing schedule as small as the trials allow. On an error it returns what it has.
func (x *explorer) shrink(ctx context.Context, s Schedule, result Result) (*Finding, error) {
	found := &Finding{Number: x.number, Drawn: s, Smallest: s, Result: result}
	var failed error
	found.Smallest = shrink(s, func(smaller Schedule) bool {
		if failed != nil || found.Trials >= x.cfg.Shrink {
			return false
		}
		x.say("does it still fail? (trial %d of at most %d)\n%s", found.Trials+1, x.cfg.Shrink, indent(smaller))
		found.Trials++
		result, err := x.play(ctx, smaller, true)
		if err != nil {
			failed = err
			return false
		}
		if result.Verdict == claim.Fail {
			found.Result = result
		}
		return result.Verdict == claim.Fail
	})
	return found, failed
}

// play plays a schedule until it has shown what is wanted, or often enough: a failure if one is expected, else anything
// that is a proof.
func (x *explorer) play(ctx context.Context, s Schedule, failing bool) (result Result, err error) {
	for range x.cfg.Tries {
		x.played++
		begun := time.Now()
		result, err = x.cfg.Trial(ctx, fmt.Sprintf("explore-%d-%d-%d", x.cfg.Seed, x.number, x.played), s)
		if err != nil {
			return result, fmt.Errorf("playing schedule %d of seed %d: %w", x.number, x.cfg.Seed, err)
		}
		x.say("  %s after %v: %s", result.Verdict, time.Since(begun).Round(time.Second), result.Why)
		if result.Verdict == claim.Fail || result.Verdict == claim.Pass && !failing {
			break
		}
	}
	return result, nil
}

func (x *explorer) say(format string, args ...any) { fmt.Fprintf(x.cfg.Out, format+"\n", args...) }

func indent(s Schedule) (text string) {
	for i, f := range s {
		if i > 0 {
			text += "\n"
		}
		text += "    " + f.String()
	}
	return text
}
