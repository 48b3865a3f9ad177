package reports

import (
	"fmt"
	"html/template"
	"math"
	"strconv"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/nodes"
	"github.com/wedsync/wedsync/reports/svg"
)

// nodeChart is one drawing of the section about nodes.
type nodeChart struct {
	Title string
	Chart template.HTML
}

const mib = 1 << 20

// nodeCharts draw what the nodes took, one figure a drawing, all on the time axis of the others.
func (a *analysis) nodeCharts(t *svg.Timeline) []nodeChart {
	if len(a.nodes) == 0 {
		return nil
	}
	var all []nodeChart
	draw := func(l svg.Lines) { all = append(all, nodeChart{l.Title, l.Draw(t)}) }
	if up, varies := a.nodesUp(t); varies {
		draw(up)
	}
	draw(svg.Lines{ID: "nc", Title: "Connections", Desc: "Open connections of each node.", Label: plain,
		Lines: a.nodeLines(func(s *nodes.Sample) (float64, bool) { return float64(s.Connections), s.Goroutines > 0 })})
	draw(svg.Lines{ID: "nu", Title: "Processor seconds per second", Desc: "Processor time that each node took, in seconds per second: 1 is one core.", Label: plain, Lines: a.cpuLines()})
	draw(svg.Lines{ID: "nr", Title: "Resident memory", Desc: "Resident memory of each node. Dashed: the lines that claims are judged by.",
		Label:  func(v float64) string { return plain(v) + " MiB" },
		Lines:  a.nodeLines(func(s *nodes.Sample) (float64, bool) { return float64(s.RSS) / mib, s.RSS > 0 }),
		Trends: a.trendLines(claim.RSS, mib)})
	draw(svg.Lines{ID: "ng", Title: "Goroutines", Desc: "Goroutines of each node. Dashed: the lines that claims are judged by.", Label: plain,
		Lines:  a.nodeLines(func(s *nodes.Sample) (float64, bool) { return float64(s.Goroutines), s.Goroutines > 0 }),
		Trends: a.trendLines(claim.Goroutines, 1)})
	return all
}

func plain(v float64) string { return strconv.FormatFloat(round6(v), 'f', -1, 64) }

// nodeLines makes a line for each node of one figure of its samples.
func (a *analysis) nodeLines(of func(*nodes.Sample) (float64, bool)) []svg.Line {
	return a.processLines(func(p *nodes.Process, add func(mono int64, v float64)) {
		for i := range p.Samples {
			if v, read := of(&p.Samples[i]); read {
				add(p.Samples[i].Mono, v)
			}
		}
	})
}

func (a *analysis) cpuLines() []svg.Line {
	return a.processLines(func(p *nodes.Process, add func(mono int64, v float64)) {
		for _, r := range p.Rates() {
			add(r.Mono, r.CPU)
		}
	})
}

// processLines makes a line for each node of what values adds of its processes. The line is broken where one process
// follows another, and where there was nothing to be seen for a while.
func (a *analysis) processLines(values func(p *nodes.Process, add func(mono int64, v float64))) []svg.Line {
	var all []svg.Line
	for i := range a.nodes {
		n := &a.nodes[i]
		line := svg.Line{Name: n.Name, Group: a.regionOf(n.Name)}
		for _, p := range n.Processes(math.MinInt64, math.MaxInt64) {
			last := p.Samples[0].Mono
			values(&p, func(mono int64, v float64) {
				if mono-last > int64(unseen) {
					line.Points = append(line.Points, svg.Point{V: math.NaN()})
				}
				line.Points = append(line.Points, svg.Point{T: seconds(a.since(mono)), V: v})
				last = mono
			})
			line.Points = append(line.Points, svg.Point{V: math.NaN()})
		}
		all = append(all, line)
	}
	return all
}

// nodesUp counts the nodes of each region that were up; varies is false if all of them were all the time.
func (a *analysis) nodesUp(t *svg.Timeline) (l svg.Lines, varies bool) {
	l = svg.Lines{ID: "nn", Title: "Nodes up", Desc: "The number of nodes of each region that were up.", Label: plain}
	from, to := a.zero+int64(t.From*1e9), a.zero+int64(t.To*1e9)
	var regions []string
	of := map[string][]nodes.Node{}
	for _, n := range a.nodes {
		region := a.regionOf(n.Name)
		if of[region] == nil {
			regions = append(regions, region)
		}
		of[region] = append(of[region], n)
	}
	for _, region := range regions {
		line := svg.Line{Name: region, Group: region}
		counts := nodes.Counts(of[region], from, to)
		for i, n := range counts {
			at := svg.Point{T: seconds(a.since(n.Mono)), V: float64(n.Up)}
			if i > 0 && n.Up != counts[i-1].Up { // a step, not a slope
				varies = true
				line.Points = append(line.Points, svg.Point{T: at.T, V: float64(counts[i-1].Up)})
			}
			line.Points = append(line.Points, at)
		}
		l.Lines = append(l.Lines, line)
	}
	return l, varies
}

// trendLines are the fitted lines of the flat claims about a metric, in its unit.
func (a *analysis) trendLines(metric string, unit float64) []svg.Trend {
	var all []svg.Trend
	for i := range a.trends {
		row := &a.trends[i]
		if row.Metric != metric || row.High == nil {
			continue
		}
		l := row.line
		all = append(all, svg.Trend{From: svg.Point{T: l.From, V: l.At(l.From) / unit}, To: svg.Point{T: l.To, V: l.At(l.To) / unit}})
	}
	return all
}

// cores writes processor seconds per second.
func cores(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", *v)
}
