package bench

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	round := func(subject string, number int, cpu, refused float64) *Round {
		return &Round{Benchmark: "storm", Case: "10 sockets", Subject: subject, Number: number, Expected: 10, Delivered: 10,
			Figures: []Figure{{"CPU", "s", cpu}, {"refused", "", refused}}}
	}
	bad := round("wedsync", 3, 9, 1)
	bad.Delivered, bad.SendLagMS, bad.Others = 9, 12.34, 0.4
	bad.spoil("1 of 10 have joined")
	r := &Report{
		Environment: Environment{CPUs: 2, Arch: "amd64", GoVersion: "go1.26", Kernel: "Linux 6.18", Load: 2},
		Rounds: []*Round{
			round("wedsync", 1, 2, 0), round("floor", 1, 1, 0),
			round("wedsync", 2, 3, 0), round("floor", 2, 2, 0),
			bad, round("floor", 3, 3, 0),
		},
		Skipped: []Skipped{{"connect", "10000 sockets", "too few files"}},
	}
	var out strings.Builder
	if err := r.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	want := `2 CPUs (amd64), go1.26, Linux 6.18, load 2.00 before the run
Other programs used up to 40% of the machine: believe the ratios, not the absolute figures.

storm 10 sockets              wedsync  x floor (min..max)  floor
  CPU s                       3.00     2.00 (1.50..3.00)   2.00
  refused                     0.00     -                   0.00
  delivered of expected       9 of 10                      10 of 10
  generator's own lag p99 ms  12.3                         0.00
  used by other programs %    40.0                         0.00
  INVALID rounds              1                            0

skipped: connect 10000 sockets: too few files

INVALID: storm 10 sockets, round 3, wedsync: 1 of 10 have joined`
	if d := cmp.Diff(want, strings.Join(lines, "\n")); d != "" {
		t.Error(d)
	}
}

// A machine that allows no case at all is told so.
func TestTableOfNothing(t *testing.T) {
	r := &Report{Skipped: []Skipped{{"connect", "10000 sockets", "too few files"}}}
	var out strings.Builder
	if err := r.WriteTable(&out); err != nil || !strings.Contains(out.String(), "skipped: connect 10000 sockets: too few files") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1}, 2.5}, {[]float64{7}, 7}} {
		if got := median(c.all); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.all, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) || spread(nil) != "-" || number(median(nil)) != "-" {
		t.Error("nothing has a median")
	}
}
