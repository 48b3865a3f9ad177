package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/cluster/osthread"
)

// Config is one run.
type Config struct {
	Subjects []Subject // one of them is the floor
	Only     []string  // benchmarks to run, of Names or CurveName; default: all of Names
	Rounds   int       // of every case on every subject; default 3
	Quick    bool      // small and short: shows that it works, measures nothing
	Progress io.Writer // a line a round; default: none
}

// Validate says everything that is wrong with the configuration.
func (c *Config) Validate() error {
	var wrong []error
	names := map[string]bool{}
	for _, s := range c.Subjects {
		if names[s.Name] {
			wrong = append(wrong, fmt.Errorf("two subjects are called %q: give the target another name", s.Name))
		}
		names[s.Name] = true
	}
	if !names[FloorName] {
		wrong = append(wrong, errors.New("there is no floor among the subjects to compare with"))
	}
	for _, name := range c.Only {
		if !slices.Contains(known(), name) {
			wrong = append(wrong, fmt.Errorf("there is no benchmark %q: choose from %s", name, strings.Join(known(), ", ")))
		}
	}
	if c.Rounds < 1 {
		wrong = append(wrong, fmt.Errorf("%d rounds: there must be at least one", c.Rounds))
	}
	return errors.Join(wrong...)
}

// Run plays every case on every subject in turns. Its error says that measuring failed; the report then has the
// rounds that were played before.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	limits, err := raiseLimits()
	if err != nil {
		return nil, err
	}
	report := &Report{Environment: environment(), Quick: c.Quick, Versions: map[string]string{}}
	for _, s := range c.Subjects {
		if s.Version != "" {
			report.Versions[s.Name] = s.Version
		}
	}
	thread := osthread.New() // what it starts dies with it
	defer thread.Close()
	for _, one := range c.cases() {
		if why := limits.lacks(one.sockets); why != "" {
			report.Skipped = append(report.Skipped, Skipped{Benchmark: one.Benchmark, Case: one.Name, Why: why})
			fmt.Fprintf(c.Progress, "%s %s: skipped: %s\n", one.Benchmark, one.Name, why)
			continue
		}
		for number := range c.Rounds {
			for i := range c.Subjects {
				r, err := play(ctx, thread, &one, &c.Subjects[i], number+1, c.Quick)
				if err != nil {
					return report, fmt.Errorf("%s %s on %s, round %d: %w", one.Benchmark, one.Name, c.Subjects[i].Name, number+1, err)
				}
				report.Rounds = append(report.Rounds, r)
				fmt.Fprintln(c.Progress, r)
			}
		}
	}
	return report, nil
}

// play is one round. It starts the subject and stops it.
func play(ctx context.Context, thread *osthread.Thread, one *Case, s *Subject, number int, quick bool) (r *Round, err error) {
	settle := time.Second
	if quick {
		settle = 50 * time.Millisecond
	}
	subject, err := s.start(ctx, thread, settle)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, subject.stop()) }()
	r = &Round{Benchmark: one.Benchmark, Case: one.Name, Subject: s.Name, Number: number, began: time.Now()}
	m, err := watch(subject.pid, runtime.NumCPU())
	if err != nil {
		return nil, err
	}
	if err := one.load.measure(ctx, subject, r); err != nil {
		return nil, err
	}
	if r.Others, err = m.others(); err != nil {
		return nil, err
	}
	r.ended = time.Now()
	if r.Delivered != r.Expected && len(r.Invalid) == 0 {
		r.spoil("%d of %d have joined", r.Delivered, r.Expected)
	}
	return r, nil
}

// String is the round in one line.
func (r *Round) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, round %d, %s:", r.Key(), r.Number, r.Subject)
	for _, f := range r.Figures {
		fmt.Fprintf(&b, " %s %s%s;", f.Name, number(f.Value), unit(f.Unit))
	}
	for _, why := range r.Invalid {
		b.WriteString(" INVALID: " + why)
	}
	return strings.TrimSuffix(b.String(), ";")
}
