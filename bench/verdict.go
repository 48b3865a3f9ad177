package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// target is what our own server is to reach: a figure of at most so much, or of at most so many times that of another
// subject in the same round.
type target struct {
	benchmark string
	part      string // of the names of the cases that it is set for; empty: all of the benchmark
	figure    string
	to        string // subject to divide by; empty: none
	atMost    float64
}

// targets are set so that whoever meets them is ahead of every server that we know of.
var targets = []target{
	{benchmark: "connect", figure: figureMemory, atMost: 13},
	{benchmark: "fanout", figure: figureCPU, to: FloorName, atMost: 1.5},
	{benchmark: "wedding", figure: figureCPU, to: FloorName, atMost: 1.5},
	{benchmark: "wedding", part: " 90 msg/s", figure: "urgent p99.9", to: CentrifugoName, atMost: 1. / 3},
	{benchmark: "wedding", part: " 130 msg/s", figure: "urgent p99.9", to: CentrifugoName, atMost: 1. / 3},
	{benchmark: "storm", part: "5000 ", figure: figureStorm, to: CentrifugoName, atMost: 1},
}

// Status is what became of a target.
type Status string

// A target that was not measured as it must be is Unknown, never Met.
const (
	Met     Status = "met"
	Missed  Status = "missed"
	Unknown Status = "unknown"
)

// Verdict is what a run says about a target in one case, or about being ahead of the peers in all figures of a case.
type Verdict struct {
	Case   string   `json:"case"` // with its benchmark
	Target string   `json:"target"`
	Status Status   `json:"status"`
	Value  *float64 `json:"value,omitempty"` // median over the rounds
	Why    string   `json:"why,omitempty"`   // it is missed or unknown
}

// Verdicts judges every case that was played: by the targets, and by whether every figure is ahead of the best peer's.
func (r *Report) Verdicts() (all []Verdict) {
	for _, group := range r.groups() {
		for i := range targets {
			if t := &targets[i]; t.benchmark == group[0].Benchmark && strings.Contains(group[0].Case, t.part) {
				f, _ := group[0].figure(t.figure)
				all = append(all, r.sound(group, t.judge(group), f.isTime(), t.to))
			}
		}
		if peers := r.peers(); len(peers) > 0 {
			all = append(all, r.sound(group, ahead(group, peers), true, peers...))
		}
	}
	return all
}

// crowded is the share of the machine that other programs may use in a round whose times are compared. Memory and CPU
// time bear more of them.
const crowded = 0.1

// sound makes a verdict unknown if rounds of ours or of the others prove nothing, or nothing about times.
func (r *Report) sound(group []*Round, v Verdict, times bool, others ...string) Verdict {
	v.Case = group[0].Key()
	if r.Quick {
		v.Status, v.Why = Unknown, "a quick run measures nothing"
		return v
	}
	for _, round := range group {
		switch {
		case round.Subject != OwnName && !slices.Contains(others, round.Subject):
			continue
		case len(round.Invalid) > 0:
			v.Status, v.Why = Unknown, fmt.Sprintf("round %d of %s is INVALID", round.Number, round.Subject)
			return v
		case times && round.Others > crowded:
			v.Status, v.Why = Unknown, fmt.Sprintf("other programs used %.0f%% of the machine in round %d of %s: times prove nothing", round.Others*100, round.Number, round.Subject)
			return v
		}
	}
	return v
}

// judge compares medians: of the figure itself, or of its ratio to that of another subject in the same round.
func (t *target) judge(group []*Round) Verdict {
	measured := values(group, OwnName, t.figure)
	v := Verdict{Target: fmt.Sprintf("%s at most %s", t.figure, number(t.atMost))}
	if t.to != "" {
		v.Target += " x " + t.to
		measured = ratios(group, OwnName, t.to, t.figure)
	}
	value := median(measured)
	switch {
	case math.IsNaN(value) && len(values(group, OwnName, t.figure)) == 0:
		v.Status, v.Why = Unknown, OwnName+" was not measured"
		return v
	case math.IsNaN(value):
		v.Status, v.Why = Unknown, t.to+" was not measured: `make bench-peers`, then --peers run/peers"
		return v
	case value <= t.atMost:
		v.Status = Met
	default:
		v.Status = Missed
	}
	v.Value = &value
	return v
}

// ahead is met if no figure of the case is worse than the best peer's.
func ahead(group []*Round, peers []string) Verdict {
	v := Verdict{Target: "every figure ahead of the best peer's", Status: Met}
	var behind []string
	for _, f := range group[0].Figures {
		name, all := bestPeer(group, peers, f)
		ours, theirs := median(values(group, OwnName, f.Name)), median(values(group, name, f.Name))
		if f.behind(median(all)) || len(all) == 0 && f.behind(ours/theirs) {
			behind = append(behind, fmt.Sprintf("%s is %s, %s of %s", f.Name, number(ours), number(theirs), name))
		}
	}
	if len(behind) > 0 {
		v.Status, v.Why = Missed, strings.Join(behind, "; ")
	}
	return v
}

// bestPeer is the peer with the best median of a figure, and our ratio to it in every round.
func bestPeer(group []*Round, peers []string, f Figure) (name string, ratio []float64) {
	best := math.NaN()
	for _, peer := range peers {
		m := median(values(group, peer, f.Name))
		if !math.IsNaN(m) && (math.IsNaN(best) || f.behind(best/m)) {
			name, best = peer, m
		}
	}
	return name, ratios(group, OwnName, name, f.Name)
}

// isTime says whether a figure suffers from other programs as a whole.
func (f Figure) isTime() bool { return f.Unit == "ms" || f.Unit == "/s" }

// behind says whether a value that is so many times another one is the worse of the two. Of rates more is better, of
// everything else less.
func (f Figure) behind(ratio float64) bool {
	if f.Unit == "/s" {
		return ratio < 1
	}
	return ratio > 1
}

// peers are the subjects that are neither ours nor the floor.
func (r *Report) peers() []string {
	return slices.DeleteFunc(r.subjects(), func(name string) bool { return name == OwnName || name == FloorName })
}

// writeVerdicts prints a line a verdict.
func (r *Report) writeVerdicts(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i, v := range r.Verdicts() {
		if i == 0 {
			fmt.Fprint(table, "\nverdict\tcase\ttarget\tmeasured\n")
		}
		measured := v.Why
		if v.Value != nil {
			measured = strings.TrimSuffix(number(*v.Value)+"; "+v.Why, "; ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", v.Status, v.Case, v.Target, measured)
	}
	return table.Flush()
}
