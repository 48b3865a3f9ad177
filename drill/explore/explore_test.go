package explore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/chaos"
	"github.com/wedsync/wedsync/drill"
	"github.com/wedsync/wedsync/reports/claim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var space = Space{Regions: []string{"eu-west", "us-east", "ap-southeast"}, Faults: 5, Length: 30 * time.Second}

// TestDrawnSchedulesAreWithinThePromise, begin and end in time, and come again with their seed.
func TestDrawnSchedulesAreWithinThePromise(t *testing.T) {
	sizes := map[int]int{}
	kinds := map[Kind]int{}
	rapid.Check(t, func(t *rapid.T) {
		seed, n := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 1000).Draw(t, "n")
		s := space.Draw(seed, n)
		if len(s) == 0 || len(s) > space.Faults || s.Check() != nil || s.End() > space.Length {
			t.Fatalf("%v: %v", s, s.Check())
		}
		if diff := cmp.Diff(s, space.Draw(seed, n)); diff != "" {
			t.Fatalf("the same seed draws another schedule:\n%s", diff)
		}
		sizes[len(s)]++
		for _, f := range s {
			kinds[f.Kind]++
		}
	})
	if len(kinds) != len(Kinds) || len(sizes) < 3 {
		t.Errorf("drawn: %v faults, sizes %v", kinds, sizes)
	}
}

func TestCheck(t *testing.T) {
	const s = time.Second
	down := Fault{Kind: Down, Region: "a", At: 10 * s, Hold: 5 * s}
	slow := Fault{Kind: Slow, Region: "b", Peer: "c", At: 11 * s, Hold: 4 * s, Delay: 20 * time.Millisecond}
	for name, tt := range map[string]struct {
		with Fault
		want string // "": within the promise
	}{
		"another region at the same time":   {Fault{Kind: Silent, Region: "b", At: 12 * s, Hold: 5 * s}, "two regions"},
		"another region right after":        {Fault{Kind: Silent, Region: "b", At: 15*s + apart - 1, Hold: 5 * s}, "two regions"},
		"another region later":              {Fault{Kind: Silent, Region: "b", At: 15*s + apart, Hold: 5 * s}, ""},
		"another region well before":        {Fault{Kind: Frozen, Region: "b", At: 0, Hold: 7 * s}, ""},
		"the same region in two ways":       {Fault{Kind: Frozen, Region: "a", At: 12 * s, Hold: 5 * s}, "two regions"},
		"a link of the region that is away": {Fault{Kind: Lossy, Region: "b", Peer: "a", At: 12 * s, Hold: 5 * s, Loss: 2}, "cannot be probed"},
		"the same link":                     {Fault{Kind: Lossy, Region: "c", Peer: "b", At: 12 * s, Hold: 5 * s, Loss: 2}, "neither could be proved"},
		"nothing":                           {Fault{Kind: Down, Region: "b"}, "no duration"},
		"before the beginning":              {Fault{Kind: Down, Region: "b", At: -s, Hold: s}, "before the schedule"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Schedule{down, slow, tt.with}.Check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestShrinksToWhatMatters: whatever else is in the schedule, what remains is the cause, as small as can be.
func TestShrinksToWhatMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := space.Draw(rapid.Uint64().Draw(t, "seed"), 0)
		culprit := s[rapid.IntRange(0, len(s)-1).Draw(t, "culprit")]
		fails := func(s Schedule) bool {
			return slices.ContainsFunc(s, func(f Fault) bool {
				return f.Kind == culprit.Kind && f.Region == culprit.Region && f.Peer == culprit.Peer && f.Hold >= min(culprit.Hold, 3*time.Second)
			})
		}
		got := shrink(s, fails)
		if len(got) != 1 || !fails(got) || got[0].At != 0 || got[0].Hold >= 2*min(culprit.Hold, 3*time.Second) && got[0].Hold > minHold ||
			got[0].Delay > culprit.Delay || got[0].Loss > culprit.Loss {
			t.Fatalf("%v\nis what is left of\n%v\nwhose cause is %v", got, s, culprit)
		}
	})
}

// TestShrinksToAPair: two faults that fail only together stay.
func TestShrinksToAPair(t *testing.T) {
	s := Schedule{
		{Kind: Slow, Region: "eu-west", Peer: "us-east", At: 0, Hold: 9 * time.Second, Delay: 40 * time.Millisecond},
		{Kind: Down, Region: "ap-southeast", At: 4 * time.Second, Hold: 8 * time.Second},
		{Kind: Silent, Region: "us-east", At: 20 * time.Second, Hold: 6 * time.Second},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	trials := 0
	got := shrink(s, func(s Schedule) bool {
		trials++
		down := slices.IndexFunc(s, func(f Fault) bool { return f.Kind == Down })
		return down >= 0 && slices.ContainsFunc(s[down:], func(f Fault) bool { return f.Kind == Silent })
	})
	if len(got) != 2 || got[0].Kind != Down || got[1].Kind != Silent || got[0].Hold != minHold || got[1].Hold != minHold || got[0].At != 0 {
		t.Errorf("%v", got)
	}
	if trials > 30 {
		t.Errorf("%d trials for three faults", trials)
	}
}

// TestRun plays against an oracle in place of a cluster: it fails whenever us-east goes silent.
func TestRun(t *testing.T) {
	silenced := func(s Schedule) bool {
		return slices.ContainsFunc(s, func(f Fault) bool { return f.Kind == Silent && f.Region == "us-east" })
	}
	moody := 0
	cfg := Config{Space: space, Seed: 3, For: time.Minute, Shrink: 100, Tries: 2, Out: t.Output(),
		Trial: func(_ context.Context, name string, s Schedule) (Result, error) {
			if moody++; moody%2 == 1 { // a machine that is too busy every other time
				return Result{Verdict: claim.Invalid, Why: "the generator was late"}, nil
			}
			if silenced(s) {
				return Result{Verdict: claim.Fail, Why: "1 message lost", Drill: name}, nil
			}
			return Result{Verdict: claim.Pass}, nil
		}}
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := report.Finding
	if f == nil || len(f.Smallest) != 1 || !silenced(f.Smallest) || f.Result.Drill == "" || f.Trials == 0 || report.Played[claim.Fail] != 1 {
		t.Fatalf("%+v, %+v", report, f)
	}

	t.Run("little time to shrink", func(t *testing.T) {
		cfg := cfg
		cfg.Shrink = 1
		report, err := Run(t.Context(), cfg)
		if err != nil || report.Finding == nil || report.Finding.Trials != 1 || !silenced(report.Finding.Smallest) {
			t.Errorf("%+v, %v", report.Finding, err)
		}
	})
	t.Run("nothing to be found", func(t *testing.T) {
		cfg := cfg
		cfg.For = time.Millisecond
		cfg.Trial = func(context.Context, string, Schedule) (Result, error) {
			time.Sleep(2 * time.Millisecond) // longer than there is time
			return Result{Verdict: claim.Pass}, nil
		}
		report, err := Run(t.Context(), cfg)
		if err != nil || report.Finding != nil || report.Played[claim.Pass] != 1 {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("a cluster that does not start", func(t *testing.T) {
		cfg := cfg
		broken := errors.New("no such program")
		cfg.Trial = func(context.Context, string, Schedule) (Result, error) { return Result{}, broken }
		if _, err := Run(t.Context(), cfg); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		if _, err := Run(t.Context(), Config{}); err == nil || strings.Count(err.Error(), "\n") < 3 {
			t.Errorf("not everything is said: %v", err)
		}
	})
}

// TestWorkflowsAreValid: what is drawn passes every layer that a cluster has.
func TestWorkflowsAreValid(t *testing.T) {
	for n := range 20 {
		text, err := space.Draw(1, n).Workflow("explore")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "workflow.yaml")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := chaos.Load(file); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
}

// TestFilesOfATrial can be read again, from wherever they are.
func TestFilesOfATrial(t *testing.T) {
	base, err := drill.Load("base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := space.Draw(2, 1)
	file, err := write(base, t.TempDir(), "explore-2-1-1", s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := drill.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if d.Metadata.Name != "explore-2-1-1" || d.Repeat != 1 || d.Experiment == "" || len(d.Claims) != len(base.Claims) {
		t.Errorf("%+v", d)
	}
	var out bytes.Buffer
	if err := drill.Plan(d, &out); err != nil {
		t.Error(err)
	}
}

func TestBaseWithAFault(t *testing.T) {
	if _, err := Drills(filepath.Join("..", "region-kill.yaml"), t.TempDir(), drill.Config{}); err == nil || !strings.Contains(err.Error(), "no fault of its own") {
		t.Error(err)
	}
}
