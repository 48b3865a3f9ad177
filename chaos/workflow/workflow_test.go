package workflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/chaos/experiment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary are hands that write down what they are asked to do, and when, in a bubble of synctest.
type diary struct {
	begun time.Time
	well  func(at time.Duration) bool // what a status check sees

	mu      sync.Mutex // guards the following
	lines   []string
	inForce int
}

func (d *diary) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%v ", time.Since(d.begun))+fmt.Sprintf(format, args...))
}

var errStuck = errors.New("stuck")

func (d *diary) Strike(_ context.Context, e *experiment.Experiment) (func() error, error) {
	if e.Name == "impossible" {
		return nil, fmt.Errorf("%s: %w", e.Name, context.DeadlineExceeded) // of its own, not the caller's
	}
	d.say("%s", e.Name)
	d.mu.Lock()
	d.inForce++
	d.mu.Unlock()
	return func() error {
		d.say("%s over", e.Name)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inForce--
		if e.Name == "stuck" {
			return errStuck
		}
		return nil
	}, nil
}

func (d *diary) Ask(context.Context, *experiment.StatusCheck) error {
	if d.well(time.Since(d.begun)) {
		return nil
	}
	return fmt.Errorf("503: %w", context.DeadlineExceeded) // as a request that was too slow
}

func (d *diary) Note(text string) { d.say("note: %s", text) }

const s = time.Second

func fault(name string, hold time.Duration) *experiment.Step {
	return &experiment.Step{Name: name, Kind: experiment.Strike, Deadline: hold, Fault: &experiment.Experiment{Name: name, Action: experiment.PodFailure}}
}

func suspend(d time.Duration) *experiment.Step {
	return &experiment.Step{Name: "pause", Kind: experiment.Suspend, Deadline: d}
}

func serial(deadline time.Duration, steps ...*experiment.Step) *experiment.Step {
	return &experiment.Step{Name: "serial", Kind: experiment.Serial, Deadline: deadline, Children: steps}
}

func parallel(deadline time.Duration, steps ...*experiment.Step) *experiment.Step {
	return &experiment.Step{Name: "parallel", Kind: experiment.Parallel, Deadline: deadline, Children: steps}
}

func check(deadline time.Duration, continuous, abort bool) *experiment.Step {
	return &experiment.Step{Name: "healthy", Kind: experiment.CheckStatus, Deadline: deadline,
		Check: &experiment.StatusCheck{Every: s, Timeout: s, Failures: 2, Successes: 2, Continuous: continuous, Abort: abort}}
}

func TestRun(t *testing.T) {
	kill := &experiment.Step{Name: "kill", Kind: experiment.Strike, Fault: &experiment.Experiment{Name: "kill", Action: experiment.PodKill}}
	for name, tt := range map[string]struct {
		step *experiment.Step
		well func(time.Duration) bool
		want []string
		err  string // a part of it; "": none
	}{
		"one after the other": {step: serial(0, fault("a", 2*s), suspend(3*s), fault("b", s)),
			want: []string{"0s a", "2s a over", "5s b", "6s b over"}},
		"all at once": {step: parallel(0, fault("a", 2*s), serial(0, suspend(s), fault("b", 4*s))),
			want: []string{"0s a", "1s b", "2s a over", "5s b over"}},
		"a deadline cuts what is below it": {step: serial(0, serial(3*s, fault("a", s), fault("b", 9*s), fault("never", s)), fault("c", s)),
			want: []string{"0s a", "1s a over", "1s b", "3s b over", "3s note: the deadline of serial (3s) has ended what was under way", "3s c", "4s c over"}},
		"a deadline that is not reached":                    {step: serial(30*s, fault("a", s)), want: []string{"0s a", "1s a over"}},
		"a kill is an instant":                              {step: serial(0, kill, fault("a", s)), want: []string{"0s kill", "0s kill over", "0s a", "1s a over"}},
		"a fault without an end":                            {step: fault("a", 0), err: "would never end"},
		"a Task":                                            {step: serial(0, &experiment.Step{Name: "job", Kind: "Task"}), err: "job: a Task cannot be played"},
		"a fault that cannot be done":                       {step: parallel(0, fault("a", 9*s), serial(0, suspend(s), fault("impossible", s))), want: []string{"0s a", "1s a over"}, err: "impossible"},
		"a fault that cannot be undone":                     {step: serial(2*s, fault("stuck", 9*s)), want: []string{"0s stuck", "2s stuck over"}, err: "a fault could not be taken back"},
		"a fault that cannot be undone beside one that can": {step: parallel(2*s, fault("stuck", 9*s)), want: []string{"0s stuck", "2s stuck over"}, err: "stuck"},

		"waits until all is well": {step: serial(0, check(9*s, false, true), fault("a", s)), well: func(at time.Duration) bool { return at != 0 },
			want: []string{"2s a", "3s a over"}},
		"all is not well, and it goes on": {step: serial(0, check(9*s, false, false), fault("a", s)), well: func(time.Duration) bool { return false },
			want: []string{"1s note: status check healthy has failed: 503: context deadline exceeded", "1s a", "2s a over"}},
		"not well in time": {step: serial(0, check(2500*time.Millisecond, false, true), fault("never", s)),
			well: func(at time.Duration) bool { return at == s }, want: []string{"2.5s note: status check healthy has failed: not well until its deadline: 503: context deadline exceeded"}, err: "aborted"},
		"a watch that ends in peace": {step: parallel(0, check(4*s, true, true), fault("a", s)), well: func(at time.Duration) bool { return at != 2*s },
			want: []string{"0s a", "1s a over"}},
		"a watch that aborts": {step: parallel(20*s, check(15*s, true, true), fault("a", 10*s)), well: func(at time.Duration) bool { return at < 3*s },
			want: []string{"0s a", "4s note: status check healthy has failed: 503: context deadline exceeded", "4s a over"}, err: "aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{begun: time.Now(), well: tt.well}
				err := Run(t.Context(), tt.step, d)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				if diff := cmp.Diff(tt.want, d.lines); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if d.inForce != 0 {
					t.Errorf("%d faults are left in force", d.inForce)
				}
			})
		})
	}
}

// TestEnd: who interrupts a workflow hears so, and nothing is left in force.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*s)
		defer cancel()
		d := &diary{begun: time.Now()}
		if err := Run(ctx, parallel(9*s, fault("a", 8*s), serial(0, suspend(s), fault("b", 8*s))), d); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d.inForce != 0 || len(d.lines) != 4 {
			t.Errorf("%d in force: %v", d.inForce, d.lines)
		}
	})
}

func every(d time.Duration) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.Add(d) }
}

func TestEvery(t *testing.T) {
	down := &experiment.Experiment{Name: "down", Action: experiment.PodFailure, Duration: 3 * s}
	for name, tt := range map[string]struct {
		schedule experiment.Schedule
		want     []string
		err      string
	}{
		"again and again": {experiment.Schedule{Next: every(4 * s), Fault: down}, []string{"4s down", "7s down over", "8s down", "11s down over"}, ""},
		"not before the last one is over": {experiment.Schedule{Next: every(2 * s), Fault: down},
			[]string{"2s down", "4s note: schedule often: the last one is still under way, this time is left out", "5s down over", "6s down",
				"8s note: schedule often: the last one is still under way, this time is left out", "9s down over", "10s down", "11s down over"}, ""},
		"one over the other": {experiment.Schedule{Next: every(2 * s), Fault: &experiment.Experiment{Name: "down", Action: experiment.PodFailure, Duration: 5 * s}, Overlap: true},
			[]string{"2s down", "4s down", "6s down", "7s down over", "8s down", "9s down over", "10s down", "11s down over", "11s down over", "11s down over"}, ""},
		"a workflow":          {experiment.Schedule{Next: every(6 * s), Workflow: serial(0, fault("a", s), suspend(s), fault("b", s))}, []string{"6s a", "7s a over", "8s b", "9s b over"}, ""},
		"what cannot be done": {experiment.Schedule{Next: every(4 * s), Fault: &experiment.Experiment{Name: "impossible", Action: experiment.PodKill}}, nil, "impossible"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 11*s)
				defer cancel()
				d := &diary{begun: time.Now()}
				err := Every(ctx, "often", &tt.schedule, d)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				if diff := cmp.Diff(tt.want, d.lines); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if d.inForce != 0 {
					t.Errorf("%d faults are left in force", d.inForce)
				}
			})
		})
	}
}

// TestScheduleInAWorkflow lasts until its deadline.
func TestScheduleInAWorkflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{begun: time.Now()}
		often := &experiment.Step{Name: "often", Kind: experiment.Repeat, Deadline: 7 * s, Schedule: &experiment.Schedule{Next: every(3 * s),
			Fault: &experiment.Experiment{Name: "down", Action: experiment.PodFailure, Duration: 2 * s}}}
		if err := Run(t.Context(), serial(0, often, fault("a", s)), d); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"3s down", "5s down over", "6s down", "7s down over", "7s a", "8s a over"}, d.lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
