package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/reports/svg"
)

// ReadReport reads what WriteJSON has written.
func ReadReport(r io.Reader) (*Report, error) {
	var report Report
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return nil, fmt.Errorf("reading the report of a benchmark (from `wedsync bench --json`): %w", err)
	}
	if slices.Contains(report.Rounds, nil) {
		return nil, errors.New("reading the report of a benchmark: a round is null")
	}
	return &report, nil
}

// costPoint is what one size has cost one subject: the median and the range over its rounds.
type costPoint struct {
	connections int
	memory, cpu svg.Spread // KiB per connection; CPU seconds per million deliveries
	p99, p999   float64    // ms, of urgent messages
}

// cost is the curve of a subject, by size. A size that was not measured soundly is an error: a curve with a hole in it
// would be drawn as if there were none.
func (r *Report) cost(subject string) ([]costPoint, error) {
	of := map[int]*costPoint{}
	var wrong []error
	for _, group := range r.groups() {
		if group[0].Benchmark != CurveName {
			continue
		}
		n := 0
		if _, err := fmt.Sscanf(group[0].Case, "%d connections", &n); err != nil || n < 1 {
			wrong = append(wrong, fmt.Errorf("case %q does not say how many connections it has", group[0].Case))
			continue
		}
		if of[n] == nil {
			of[n] = &costPoint{connections: n}
		}
		if err := of[n].take(group, subject); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(of) == 0 && len(wrong) == 0 {
		wrong = append(wrong, fmt.Errorf("the report has no benchmark %q: run `wedsync bench --only %s --json FILE`", CurveName, CurveName))
	}
	all := make([]costPoint, 0, len(of))
	for _, p := range of {
		if p.memory.X == 0 || p.cpu.X == 0 {
			wrong = append(wrong, fmt.Errorf("%d connections of %s: only half was measured", p.connections, subject))
		}
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b costPoint) int { return a.connections - b.connections })
	return all, errors.Join(wrong...)
}

// take takes in the rounds of a case.
func (p *costPoint) take(group []*Round, subject string) error {
	group = slices.DeleteFunc(slices.Clone(group), func(r *Round) bool { return r.Subject != subject || len(r.Invalid) > 0 })
	if len(group) == 0 {
		return fmt.Errorf("%d connections of %s: no valid round", p.connections, subject)
	}
	spread := func(figure string) svg.Spread {
		all := values(group, subject, figure)
		if len(all) == 0 {
			return svg.Spread{}
		}
		return svg.Spread{X: float64(p.connections), Low: slices.Min(all), V: median(all), High: slices.Max(all)}
	}
	if memory := spread(figureMemory); memory.X > 0 {
		p.memory = memory
		return nil
	}
	p.cpu = spread(figureCPU)
	p.p99, p.p999 = median(values(group, subject, "urgent p99")), median(values(group, subject, "urgent p99.9"))
	return nil
}

// costs are the curves of ours and of the floor.
func (r *Report) costs() (ours, floor []costPoint, err error) {
	if r.Quick {
		return nil, nil, errors.New("the report is of a quick run, which measures nothing")
	}
	ours, err = r.cost(OwnName)
	floor, other := r.cost(FloorName)
	return ours, floor, errors.Join(err, other)
}

// WriteCost draws what a connection and a delivery cost, by the number of connections, as a file of SVG.
func (r *Report) WriteCost(w io.Writer) error {
	ours, floor, err := r.costs()
	if err != nil {
		return err
	}
	curve := func(name, class string, all []costPoint, of func(*costPoint) svg.Spread, times float64) svg.Curve {
		c := svg.Curve{Name: name, Class: class}
		for i := range all {
			s := of(&all[i])
			c.Points = append(c.Points, svg.Spread{X: s.X, Low: s.Low * times, V: s.V * times, High: s.High * times})
		}
		return c
	}
	memory := func(p *costPoint) svg.Spread { return p.memory }
	cpu := func(p *costPoint) svg.Spread { return p.cpu }
	kib, times := aim("connect", figureMemory), aim("wedding", figureCPU)
	target := curve(fmt.Sprintf("%g × the floor", times), "target", floor, cpu, times)
	for i := range target.Points {
		target.Points[i].Low, target.Points[i].High = target.Points[i].V, target.Points[i].V
	}
	e := &r.Environment
	sheet := svg.Sheet{
		Title:  "What a connection costs, from 1,000 to 10,000 of them on one node",
		Desc:   "Left: resident memory per idle joined connection. Right: processor seconds per million deliveries, with load. Each for the server and for the floor, a bare Go server.",
		Note:   fmt.Sprintf("%d CPUs (%s), %s, %s, %s; points are medians, bars the range over the rounds", e.CPUs, e.Arch, e.GoVersion, e.Kernel, e.At.Format("2006-01-02")),
		XLabel: "connections",
		Panels: []svg.Panel{
			{Title: "KiB per idle connection", Limit: kib, Tip: fmt.Sprintf("target %g KiB", kib),
				Curves: []svg.Curve{curve("floor", "other", floor, memory, 1), curve(OwnName, "ours", ours, memory, 1)}},
			{Title: "CPU seconds per million deliveries",
				Curves: []svg.Curve{curve("floor", "other", floor, cpu, 1), target, curve(OwnName, "ours", ours, cpu, 1)}},
		},
	}
	_, err = w.Write(sheet.Draw())
	return err
}

// aim is what a target allows.
func aim(benchmark, figure string) float64 {
	i := slices.IndexFunc(targets, func(t target) bool { return t.benchmark == benchmark && t.figure == figure })
	return targets[i].atMost
}

// WriteCostTable writes the same as a table of Markdown, with what it means for a node: the cores that the load takes.
func (r *Report) WriteCostTable(w io.Writer) error {
	ours, floor, err := r.costs()
	if err != nil {
		return err
	}
	var t strings.Builder
	t.WriteString("| connections | KiB per connection | floor | CPU s per million deliveries | floor | times the floor | cores at this load | urgent p99 / p99.9 ms |\n")
	t.WriteString("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for i := range ours {
		o, f := &ours[i], &floor[i]
		fmt.Fprintf(&t, "| %d | %s | %s | %s | %s | %.2f | %.2f | %s / %s |\n", o.connections, number(o.memory.V), number(f.memory.V), number(o.cpu.V), number(f.cpu.V),
			o.cpu.V/f.cpu.V, o.cpu.V/1e6*curveDeliveries*float64(o.connections), number(o.p99), number(o.p999))
	}
	_, err = io.WriteString(w, t.String())
	return err
}
