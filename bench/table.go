package bench

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
)

// WriteTable prints a row per figure: medians over the rounds, and how many times the floor that is. A ratio is taken
// within a round and then over the rounds, because the two were measured right after one another.
func (r *Report) WriteTable(w io.Writer) error {
	e := &r.Environment
	fmt.Fprintf(w, "%d CPUs (%s), %s, %s, load %.2f before the run\n", e.CPUs, e.Arch, e.GoVersion, e.Kernel, e.Load)
	for _, s := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(w, "%s: version %s\n", s, r.Versions[s])
	}
	others := 0.0
	for _, round := range r.Rounds {
		others = max(others, round.Others)
	}
	if others > maxOthers {
		fmt.Fprintf(w, "Other programs used up to %.0f%% of the machine: believe the ratios, not the absolute figures.\n", others*100)
	}
	subjects, peers := r.subjects(), r.peers()
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, group := range r.groups() {
		fmt.Fprintf(table, "\n%s\t", group[0].Key())
		for _, s := range subjects {
			fmt.Fprintf(table, "%s\t", s)
			if s != FloorName {
				fmt.Fprint(table, "x floor (min..max)\t")
			}
		}
		if len(peers) > 0 {
			fmt.Fprintf(table, "%s x best peer (min..max)\t", OwnName)
		}
		fmt.Fprintln(table)
		for _, f := range group[0].Figures {
			fmt.Fprintf(table, "  %s%s\t", f.Name, unit(f.Unit))
			for _, s := range subjects {
				fmt.Fprintf(table, "%s\t", number(median(values(group, s, f.Name))))
				if s != FloorName {
					fmt.Fprintf(table, "%s\t", spread(ratios(group, s, FloorName, f.Name)))
				}
			}
			if len(peers) > 0 {
				name, all := bestPeer(group, peers, f)
				fmt.Fprintf(table, "%s %s\t", spread(all), name)
			}
			fmt.Fprintln(table)
		}
		writeSoundness(table, group, subjects)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := r.writeVerdicts(w); err != nil {
		return err
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "\nskipped: %s %s: %s\n", s.Benchmark, s.Case, s.Why)
	}
	for _, why := range r.Invalid() {
		fmt.Fprintf(w, "\nINVALID: %s\n", why)
	}
	return nil
}

// writeSoundness prints what says whether the rows above it can be believed: each the worst of the rounds.
func writeSoundness(w io.Writer, group []*Round, subjects []string) {
	lag, invalid := false, false
	for _, r := range group {
		lag, invalid = lag || r.SendLagMS > 0, invalid || len(r.Invalid) > 0
	}
	row := func(name string, of func(worst *worst) string) {
		fmt.Fprintf(w, "  %s\t", name)
		for _, s := range subjects {
			fmt.Fprintf(w, "%s\t", of(worstOf(group, s)))
			if s != FloorName {
				fmt.Fprint(w, "\t")
			}
		}
		fmt.Fprintln(w)
	}
	row("delivered of expected", func(x *worst) string { return fmt.Sprintf("%d of %d", x.delivered, x.expected) })
	if lag {
		row("generator's own lag p99 ms", func(x *worst) string { return number(x.lagMS) })
	}
	row("used by other programs %", func(x *worst) string { return number(x.others * 100) })
	if invalid {
		row("INVALID rounds", func(x *worst) string { return strconv.Itoa(x.invalid) })
	}
}

// worst is how sound the rounds of a case on a subject are, at worst.
type worst struct {
	delivered, expected int
	lagMS               float64
	others              float64
	invalid             int // rounds
}

func worstOf(group []*Round, subject string) *worst {
	var x worst
	for _, r := range group {
		if r.Subject != subject {
			continue
		}
		if x.expected == 0 || r.Expected-r.Delivered > x.expected-x.delivered {
			x.delivered, x.expected = r.Delivered, r.Expected
		}
		x.lagMS = max(x.lagMS, r.SendLagMS)
		x.others = max(x.others, r.Others)
		if len(r.Invalid) > 0 {
			x.invalid++
		}
	}
	return &x
}

// subjects are the names in the order of play, the floor last.
func (r *Report) subjects() (names []string) {
	for _, round := range r.Rounds {
		if round.Subject != FloorName && !slices.Contains(names, round.Subject) {
			names = append(names, round.Subject)
		}
	}
	return append(names, FloorName)
}

// groups are the rounds of each case.
func (r *Report) groups() (all [][]*Round) {
	for _, round := range r.Rounds {
		i := slices.IndexFunc(all, func(g []*Round) bool { return g[0].Key() == round.Key() })
		if i < 0 {
			i, all = len(all), append(all, nil)
		}
		all[i] = append(all[i], round)
	}
	return all
}

// values are one figure of a subject in all rounds.
func values(group []*Round, subject, name string) (all []float64) {
	for _, r := range group {
		if f, ok := r.figure(name); ok && r.Subject == subject {
			all = append(all, f.Value)
		}
	}
	return all
}

// ratios are one figure of a subject, divided by that of another in the same round. Where the other has nothing to
// divide by, there is no ratio.
func ratios(group []*Round, subject, to, name string) (all []float64) {
	for _, r := range group {
		f, ok := r.figure(name)
		if !ok || r.Subject != subject {
			continue
		}
		for _, other := range group {
			if g, ok := other.figure(name); ok && other.Subject == to && other.Number == r.Number && g.Value > 0 {
				all = append(all, f.Value/g.Value)
			}
		}
	}
	return all
}

// median is the middle value, or the mean of the two in the middle; NaN of nothing.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread is a median with the ends of the range.
func spread(all []float64) string {
	if len(all) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f..%.2f)", median(all), slices.Min(all), slices.Max(all))
}

// number has about three digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// unit follows a name or a value.
func unit(u string) string {
	if u == "" {
		return ""
	}
	return " " + u
}
