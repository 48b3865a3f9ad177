package svg

import (
	"fmt"
	"html/template"
	"math"
)

// Percentiles is the drawing of latency distributions by percentile, with the tail stretched: each step
// to the right is ten times rarer.
type Percentiles struct {
	Limit  float64 // ms
	Series []Distribution
}

// Distribution is one curve.
type Distribution struct {
	Name   string
	Class  string    // of the style sheet
	Values []float64 // ms, ascending: those that arrived
	Lost   int       // infinitely late: the curve ends where they begin
}

// nines is how far the x axis goes: 5 is 99.999 %.
const nines = 5

// Draw draws the curves.
func (p *Percentiles) Draw() template.HTML {
	c := newCanvas(340, 32, 34, "pct", "Latency by percentile",
		"The latency that a given share of deliveries did not exceed. Each step to the right is ten times rarer. A curve that turns straight up has lost messages beyond that point.")
	low, high := math.Inf(1), 0.0
	for _, d := range p.Series {
		if n := len(d.Values); n > 0 {
			low, high = min(low, d.Values[0]), max(high, d.Values[n-1])
		}
	}
	if math.IsInf(low, 1) {
		low = p.Limit / 10
	}
	c.x.to = nines
	c.y.log = true
	c.y.from, c.y.to = latencyRange(low, high, p.Limit)
	c.yAxis(ticks(c.y.from, c.y.to), millis)
	for i, label := range []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"} {
		x := c.x.at(float64(i))
		c.line(x, c.y.end, x, c.y.start, "grid")
		c.text(min(x, c.x.end-14), c.y.start+18, "middle", "tick", label)
	}
	c.line(c.x.start, c.y.at(p.Limit), c.x.end, c.y.at(p.Limit), "limit")
	c.text(c.x.start+6, c.y.at(p.Limit)-6, "start", "limit-label", millis(p.Limit))
	c.line(c.x.start, c.y.start, c.x.end, c.y.start, "axis")
	var entries [][2]string
	for _, d := range p.Series {
		p.curve(c, &d)
		name := fmt.Sprintf("%s (%d", d.Name, len(d.Values)+d.Lost)
		if d.Lost > 0 {
			name += fmt.Sprintf(", %d lost", d.Lost)
		}
		entries = append(entries, [2]string{"s-" + d.Class, name + ")"})
	}
	c.legend(14, entries...)
	return c.done()
}

// curve draws one distribution up to its last value. Beyond one in n there is nothing to draw: the curve
// stops there instead of pretending.
func (p *Percentiles) curve(c *canvas, d *Distribution) {
	n := len(d.Values) + d.Lost
	if n == 0 {
		return
	}
	var line [][2]float64
	const points = 400
	end := min(math.Log10(float64(n)), nines) // where one value is left
	for i := range points + 1 {
		x := end * float64(i) / points
		rank := int(math.Ceil((1 - math.Pow(10, -x)) * float64(n)))
		if rank = max(rank, 1); rank > len(d.Values) {
			break // from here on they are lost
		}
		at := [2]float64{c.x.at(x), c.y.at(d.Values[rank-1])}
		if k := len(line); k > 1 && line[k-1][1] == at[1] && line[k-2][1] == at[1] {
			line[k-1] = at
			continue
		}
		line = append(line, at)
	}
	if d.Lost > 0 {
		x := c.x.at(min(math.Log10(float64(n)/float64(d.Lost)), nines))
		if len(line) > 0 {
			line = append(line, [2]float64{x, line[len(line)-1][1]})
		}
		line = append(line, [2]float64{x, c.y.end})
		c.text(x+5, c.y.end+12, "start", "limit-label", "lost")
	}
	if len(line) > 0 {
		c.polyline(line, "series c-"+d.Class)
	}
}
