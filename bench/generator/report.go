package generator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is a comparison. Its JSON is what WriteJSON writes.
type Report struct {
	Weddings int       `json:"weddings"`
	Few      int       `json:"few"`
	EveryMS  int64     `json:"every_ms"`
	Measured []Figures `json:"measured"`
}

// Run plays all rounds: in each, every generator with few weddings and with many. What was measured before an error is
// in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Report{Weddings: cfg.Weddings, Few: cfg.Few, EveryMS: cfg.Every.Milliseconds()}
	for round := 1; round <= cfg.Rounds; round++ {
		for _, weddings := range []int{cfg.Few, cfg.Weddings} {
			for _, name := range Generators {
				begun := time.Now()
				f, err := cfg.play(ctx, round, name, weddings)
				if err != nil {
					return r, fmt.Errorf("round %d, %s with %d weddings: %w", round, name, weddings, err)
				}
				r.Measured = append(r.Measured, f)
				fmt.Fprintf(cfg.Progress, "round %d, %s, %d vendors: %.1f MiB, %.2f s CPU for %.0f messages in %.1f s (%v in all)\n",
					round, name, f.Vendors, float64(f.Resident)/(1<<20), f.CPU, f.Messages, f.Seconds, time.Since(begun).Round(time.Second))
			}
		}
	}
	return r, nil
}

// WriteJSON writes the report.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// row is what a generator cost in one round.
type row struct {
	perVendor  float64 // bytes
	perMessage float64 // CPU, µs
	resident   float64 // bytes
	delivered  float64 // share of the messages that were due
}

// rows are those of a generator, a round each.
func (r *Report) rows(name string) (rows []row) {
	few, many := map[int]Figures{}, map[int]Figures{}
	for _, f := range r.Measured {
		if f.Generator == name && f.Vendors == vendors(r.Few) {
			few[f.Round] = f
		} else if f.Generator == name {
			many[f.Round] = f
		}
	}
	for round := 1; ; round++ {
		a, ok1 := few[round]
		b, ok2 := many[round]
		if !ok1 || !ok2 {
			return rows
		}
		rows = append(rows, row{
			perVendor:  float64(b.Resident-a.Resident) / float64(b.Vendors-a.Vendors),
			perMessage: 1e6 * b.CPU / b.Messages, resident: float64(b.Resident), delivered: b.Messages / b.Expected,
		})
	}
}

// WriteTable prints a row per generator: medians over the rounds.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d weddings of %d vendors, a message every %d ms at each\n\n", r.Weddings, VendorsPerWedding, r.EveryMS)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "generator\tRSS MiB\tKiB per vendor\tµs CPU per message\tmessages of those due\t")
	for _, name := range Generators {
		rows := r.rows(name)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%.0f\t%.1f\t%.1f\t%.1f %%\t\n", name, median(rows, func(r row) float64 { return r.resident })/(1<<20),
			median(rows, func(r row) float64 { return r.perVendor })/(1<<10), median(rows, func(r row) float64 { return r.perMessage }),
			100*median(rows, func(r row) float64 { return r.delivered }))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, v := range r.Verdicts() {
		fmt.Fprintln(w, v)
	}
	return nil
}

// Verdict is what the rounds say about a target.
type Verdict struct {
	Says   string // the target
	AtMost float64
	Value  float64 // the median of the ratios of the rounds; NaN: not known
	Why    string  // it is not known
}

// Met reports whether the target was reached.
func (v Verdict) Met() bool { return v.Why == "" && v.Value <= v.AtMost }

// String is the verdict for people.
func (v Verdict) String() string {
	switch {
	case v.Why != "":
		return fmt.Sprintf("UNKNOWN  %s: %s", v.Says, v.Why)
	case v.Met():
		return fmt.Sprintf("MET      %s: %.3f, at most %.3f", v.Says, v.Value, v.AtMost)
	}
	return fmt.Sprintf("MISSED   %s: %.3f, at most %.3f", v.Says, v.Value, v.AtMost)
}

// unequal is by how much the messages of two generators may differ: the timers of a script drift.
const unequal = 0.05

// Verdicts judges the targets. A ratio is taken within a round, and means something only if both generators were sent as
// much as was due.
func (r *Report) Verdicts() []Verdict {
	memory := func(r row) float64 { return r.perVendor }
	cpu := func(r row) float64 { return r.perMessage }
	return []Verdict{
		r.verdict("memory per vendor, fleet to k6/websockets", Fleet, WebSockets, memory, 1./10),
		r.verdict("CPU per message, fleet to k6/websockets", Fleet, WebSockets, cpu, 1./5),
		r.verdict("memory per vendor, fleet to the bare client", Fleet, BareClient, memory, 1.5),
		r.verdict("CPU per message, fleet to the bare client", Fleet, BareClient, cpu, 1.5),
	}
}

func (r *Report) verdict(says, ours, theirs string, of func(row) float64, atMost float64) Verdict {
	v := Verdict{Says: says, AtMost: atMost, Value: math.NaN()}
	a, b := r.rows(ours), r.rows(theirs)
	if len(a) == 0 || len(a) != len(b) {
		v.Why = "not every round was played to its end"
		return v
	}
	var ratios []float64
	for i := range a {
		for _, x := range []row{a[i], b[i]} {
			if math.Abs(x.delivered-1) > unequal {
				v.Why = fmt.Sprintf("in round %d a generator was sent %.1f %% of the messages that were due, so the two did not do the same", i+1, 100*x.delivered)
				return v
			}
		}
		if of(b[i]) <= 0 || of(a[i]) < 0 {
			v.Why = fmt.Sprintf("in round %d a figure is not above nothing: the crowd is too small for this machine's noise", i+1)
			return v
		}
		ratios = append(ratios, of(a[i])/of(b[i]))
	}
	slices.Sort(ratios)
	v.Value = middle(ratios)
	return v
}

// Err says that a target was missed, or could not be judged.
func (r *Report) Err() error {
	var errs []error
	for _, v := range r.Verdicts() {
		if !v.Met() {
			errs = append(errs, errors.New(v.String()))
		}
	}
	return errors.Join(errs...)
}

func median(rows []row, of func(row) float64) float64 {
	var values []float64
	for _, r := range rows {
		values = append(values, of(r))
	}
	slices.SortFunc(values, cmp.Compare)
	return middle(values)
}

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
