package svg

import (
	"fmt"
	"html/template"
	"math"
	"slices"
)

// Lines is the drawing of one figure of several nodes over time, from 0 up.
type Lines struct {
	ID, Title, Desc string
	Label           func(float64) string // of a value, on the axis
	Lines           []Line
	Trends          []Trend
}

// Line is one series. Where a value is NaN the line is broken.
type Line struct {
	Name   string // for whoever points at it
	Group  string // names the colour in the legend; groups are coloured in the order of their first line
	Points []Point
}

// Trend is a fitted line, drawn dashed over the values.
type Trend struct{ From, To Point }

// grain is how many pixels wide a stretch of a line is of which only the extremes are drawn: what happens within it is
// seen, and half an hour of samples stays small.
const grain = 3.0

// Draw draws the lines.
func (l *Lines) Draw(t *Timeline) template.HTML {
	c := newCanvas(150, 30, 30, l.ID, l.Title, l.Desc)
	most := 0.0
	for _, line := range l.Lines {
		for _, p := range line.Points {
			if !math.IsNaN(p.V) {
				most = max(most, p.V)
			}
		}
	}
	if most == 0 {
		most = 1
	}
	c.x.from, c.x.to = t.From, t.To
	c.y.to = most * 1.08
	t.bands(c, false)
	c.yAxis(rounds(c.y.to, 3), l.Label)
	var groups []string
	for _, line := range l.Lines {
		if !slices.Contains(groups, line.Group) {
			groups = append(groups, line.Group)
		}
	}
	var entries [][2]string
	for i, group := range groups {
		n := 0
		for _, line := range l.Lines {
			if line.Group == group {
				c.broken(line.Points, line.Name, fmt.Sprintf("series thin r%d", i%colours))
				n++
			}
		}
		name := group
		if n > 1 {
			name = fmt.Sprintf("%s (%d nodes)", group, n)
		}
		entries = append(entries, [2]string{fmt.Sprintf("s-r%d", i%colours), name})
	}
	for _, trend := range l.Trends {
		c.line(c.x.at(trend.From.T), c.y.at(trend.From.V), c.x.at(trend.To.T), c.y.at(trend.To.V), "trend")
	}
	c.legend(14, entries...)
	t.xAxis(c)
	return c.done()
}

// broken draws the stretches of a series between its gaps.
func (c *canvas) broken(points []Point, name, class string) {
	var stretch []Point
	end := func() {
		if len(stretch) > 0 {
			c.named(c.coarse(stretch), name, class)
		}
		stretch = nil
	}
	for _, p := range points {
		if math.IsNaN(p.V) {
			end()
			continue
		}
		if p.T >= c.x.from && p.T <= c.x.to {
			stretch = append(stretch, p)
		}
	}
	end()
}

// coarse turns points into coordinates, at most six for each grain of the x axis: the first, the last, and where the
// extremes begin and end, so that a step stays upright.
func (c *canvas) coarse(points []Point) [][2]float64 {
	var line, grainOf [][2]float64
	current := 0
	end := func() {
		low, high := grainOf[0][1], grainOf[0][1]
		for _, p := range grainOf {
			low, high = min(low, p[1]), max(high, p[1])
		}
		keep := []int{0, len(grainOf) - 1}
		for _, extreme := range []float64{low, high} {
			first := slices.IndexFunc(grainOf, func(p [2]float64) bool { return p[1] == extreme })
			last := first
			for last+1 < len(grainOf) && grainOf[last+1][1] == extreme {
				last++
			}
			keep = append(keep, first, last)
		}
		for _, i := range slices.Compact(slices.Sorted(slices.Values(keep))) {
			line = append(line, grainOf[i])
		}
		grainOf = grainOf[:0]
	}
	for _, p := range points {
		x := c.x.at(p.T)
		if k := int((x - c.x.start) / grain); k != current && len(grainOf) > 0 {
			end()
			current = k
		}
		grainOf = append(grainOf, [2]float64{x, c.y.at(p.V)})
	}
	end()
	return line
}

// named is a polyline with a tooltip. A single point becomes a dot, which a line is too short for.
func (c *canvas) named(points [][2]float64, name, class string) {
	if len(points) == 1 {
		points = append(points, [2]float64{points[0][0] + 1, points[0][1]})
	}
	fmt.Fprintf(&c.b, `<g><title>%s</title>`, esc(name))
	c.polyline(points, class)
	c.b.WriteString(`</g>`)
}

// rounds lists round values from 0 up to most, about n of them.
func rounds(most float64, n int) []float64 {
	unit := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, k := range []float64{1, 2, 5, 10} {
		if most/(unit*k) <= float64(n)+1 {
			unit *= k
			break
		}
	}
	var all []float64
	for i := 0; float64(i)*unit <= most; i++ {
		all = append(all, float64(i)*unit)
	}
	return all
}
