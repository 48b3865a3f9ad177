package svg

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
)

// Timeline is what all drawings over time share. Times are seconds.
type Timeline struct {
	From, To float64
	Phases   []Phase
	Bands    []Band
}

// Phase is a stretch of the run with a name.
type Phase struct {
	Name     string
	From, To float64
}

// Band is one fault, from the intent to inject it to the end of its revert. Marks that did not happen are
// NaN.
type Band struct {
	From, To     float64
	Proved, Gone float64
	Label        string
	Tip          string
}

// Point is a value at a time.
type Point struct{ T, V float64 }

// Latency is the drawing of delivery latencies, in ms, against the time they were scheduled for.
type Latency struct {
	Limit     float64
	Connected []Point // drawn as density, those over the limit as points
	Displaced []Point
	Stalled   []Point   // to recipients that did not read
	Lost      []float64 // when they were scheduled
}

const (
	cell = 5.0 // pixels: width and height of a cell of density
	tone = 5   // number of tones of density
)

// Draw draws the latencies.
func (l *Latency) Draw(t *Timeline) template.HTML {
	c := newCanvas(380, 64, 30, "lat", "Latency of urgent deliveries over time",
		"Each urgent delivery at the time it was scheduled for. Darker cells hold more deliveries. The red line is the limit. Shaded bands are faults.")
	low, high := math.Inf(1), 0.0
	for _, p := range slices.Concat(l.Connected, l.Displaced, l.Stalled) {
		low, high = min(low, p.V), max(high, p.V)
	}
	if math.IsInf(low, 1) {
		low = l.Limit / 10
	}
	c.x.from, c.x.to = t.From, t.To
	c.y.log = true
	c.y.from, c.y.to = latencyRange(low, high, l.Limit)
	t.bands(c, true)
	c.yAxis(ticks(c.y.from, c.y.to), millis)

	var over, displaced, stalled [][2]float64
	density := map[[2]int]int{}
	for _, p := range l.Connected {
		x, y := c.x.at(p.T), c.y.at(p.V)
		if p.V > l.Limit {
			over = append(over, [2]float64{x, y})
			continue
		}
		density[[2]int{int((x - c.x.start) / cell), int((c.y.start - y) / cell)}]++
	}
	for _, p := range l.Displaced {
		displaced = append(displaced, [2]float64{c.x.at(p.T), c.y.at(p.V)})
	}
	for _, p := range l.Stalled {
		stalled = append(stalled, [2]float64{c.x.at(p.T), c.y.at(p.V)})
	}
	c.density(density)
	c.line(c.x.start, c.y.at(l.Limit), c.x.end, c.y.at(l.Limit), "limit")
	c.text(c.x.end-4, c.y.at(l.Limit)-6, "end", "limit-label", millis(l.Limit))
	c.dots(thin(stalled), "dot stalled")
	c.dots(thin(displaced), "dot displaced")
	c.dots(thin(over), "dot over")
	var lost [][2]float64
	for _, at := range l.Lost {
		lost = append(lost, [2]float64{c.x.at(at), c.y.end + 4})
	}
	c.dots(thin(lost), "dot lost")
	entries := [][2]string{{"s-connected", fmt.Sprintf("connected recipients (%d)", len(l.Connected))},
		{"s-displaced", fmt.Sprintf("displaced (%d)", len(l.Displaced))},
		{"s-over", fmt.Sprintf("connected, over %s (%d)", millis(l.Limit), len(over))},
		{"s-lost", fmt.Sprintf("lost (%d)", len(l.Lost))}}
	if n := len(l.Stalled); n > 0 {
		entries = append(entries, [2]string{"s-stalled", fmt.Sprintf("not reading (%d)", n)})
	}
	c.legend(14, entries...)
	t.xAxis(c)
	return c.done()
}

// density draws counted cells in a few tones, one path a tone.
func (c *canvas) density(counts map[[2]int]int) {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	tones := make([][][2]int, tone)
	for at, n := range counts {
		k := min(int(math.Log1p(float64(n))/math.Log1p(float64(most))*tone), tone-1)
		tones[k] = append(tones[k], at)
	}
	for k, cells := range tones {
		if len(cells) == 0 {
			continue
		}
		slices.SortFunc(cells, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
		fmt.Fprintf(&c.b, `<path class="density d%d" d="`, k)
		for _, at := range cells {
			fmt.Fprintf(&c.b, "M%s %sh%sv-%sh-%sz", num(c.x.start+float64(at[0])*cell), num(c.y.start-float64(at[1])*cell), num(cell), num(cell), num(cell))
		}
		c.b.WriteString(`"/>`)
	}
}

// thin drops points that would be drawn on the same pixel, and orders the rest.
func thin(points [][2]float64) [][2]float64 {
	for i := range points {
		points[i] = [2]float64{math.Round(points[i][0]), math.Round(points[i][1])}
	}
	slices.SortFunc(points, func(a, b [2]float64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return slices.Compact(points)
}

// Sessions is the drawing of joined sessions per region.
type Sessions struct {
	Regions []string
	Counts  map[string][]Point
}

// Draw draws the sessions as steps.
func (s *Sessions) Draw(t *Timeline) template.HTML {
	c := newCanvas(180, 30, 30, "ses", "Joined sessions per region over time", "The number of joined sockets in each region.")
	most := 1.0
	for _, r := range s.Regions {
		for _, p := range s.Counts[r] {
			most = max(most, p.V)
		}
	}
	c.x.from, c.x.to = t.From, t.To
	c.y.to = most * 1.08
	t.bands(c, false)
	c.yAxis(steps(c.y.to, 3), func(v float64) string { return fmt.Sprintf("%.0f", v) })
	var entries [][2]string
	for i, r := range s.Regions {
		var line [][2]float64
		for k, p := range s.Counts[r] {
			x, y := c.x.at(p.T), c.y.at(p.V)
			if k > 0 && line[len(line)-1][1] != y {
				line = append(line, [2]float64{x, line[len(line)-1][1]})
			}
			if k == 0 || line[len(line)-1][1] != y || k == len(s.Counts[r])-1 {
				line = append(line, [2]float64{x, y})
			}
		}
		c.polyline(line, fmt.Sprintf("series r%d", i%colours))
		entries = append(entries, [2]string{fmt.Sprintf("s-r%d", i%colours), r})
	}
	c.legend(14, entries...)
	t.xAxis(c)
	return c.done()
}

// colours is how many series colours the style sheet has.
const colours = 6

// Answers is the drawing of publishers' ok latencies, in ms.
type Answers struct {
	Limit      float64
	OK         []Point
	Unanswered []float64
}

// Draw draws one point an answer.
func (a *Answers) Draw(t *Timeline) template.HTML {
	c := newCanvas(210, 30, 30, "ok", "Time to the publisher's ok over time", "Each urgent publish at its scheduled time, and how long its ok took.")
	low, high := math.Inf(1), 0.0
	for _, p := range a.OK {
		low, high = min(low, p.V), max(high, p.V)
	}
	if math.IsInf(low, 1) {
		low = a.Limit / 10
	}
	c.x.from, c.x.to = t.From, t.To
	c.y.log = true
	c.y.from, c.y.to = latencyRange(low, high, a.Limit)
	t.bands(c, false)
	c.yAxis(ticks(c.y.from, c.y.to), millis)
	c.line(c.x.start, c.y.at(a.Limit), c.x.end, c.y.at(a.Limit), "limit")
	c.text(c.x.end-4, c.y.at(a.Limit)-6, "end", "limit-label", millis(a.Limit))
	var within, over, never [][2]float64
	for _, p := range a.OK {
		at := [2]float64{c.x.at(p.T), c.y.at(p.V)}
		if p.V > a.Limit {
			over = append(over, at)
		} else {
			within = append(within, at)
		}
	}
	for _, at := range a.Unanswered {
		never = append(never, [2]float64{c.x.at(at), c.y.end + 4})
	}
	c.dots(thin(within), "dot answer")
	c.dots(thin(over), "dot over")
	c.dots(thin(never), "dot lost")
	c.legend(14, [2]string{"s-answer", fmt.Sprintf("ok (%d)", len(a.OK))}, [2]string{"s-over", fmt.Sprintf("over %s (%d)", millis(a.Limit), len(over))},
		[2]string{"s-lost", fmt.Sprintf("refused or unanswered (%d)", len(a.Unanswered))})
	t.xAxis(c)
	return c.done()
}

// bands draws the faults behind the data, and, above the plot area, the phases.
func (t *Timeline) bands(c *canvas, named bool) {
	for _, b := range t.Bands {
		from, to := c.x.at(max(b.From, t.From)), c.x.at(min(b.To, t.To))
		c.rect(from, c.y.end, to, c.y.start, "band", b.Tip)
		for _, mark := range []float64{b.Proved, b.Gone} {
			if !math.IsNaN(mark) && mark >= t.From && mark <= t.To {
				c.line(c.x.at(mark), c.y.end, c.x.at(mark), c.y.start, "mark")
			}
		}
	}
	for i, p := range t.Phases {
		from, to := c.x.at(max(p.From, t.From)), c.x.at(min(p.To, t.To))
		if i > 0 {
			c.line(from, c.y.end, from, c.y.start, "phase-edge")
		}
		if !named || to <= from {
			continue
		}
		class := "phase"
		if p.Name == "fault" {
			class = "phase phase-fault"
		}
		c.rect(from+0.5, c.y.end-20, to-0.5, c.y.end-4, class, fmt.Sprintf("%s, %.1f s to %.1f s", p.Name, p.From, p.To))
		if to-from > 6.2*float64(len(p.Name))+4 {
			c.text((from+to)/2, c.y.end-8, "middle", "phase-label", p.Name)
		}
	}
	if !named {
		return
	}
	free := math.Inf(-1) // a label that would run into the one before it is left to the tooltip
	for _, b := range t.Bands {
		if x := c.x.at(max(b.From, t.From)) + 4; x >= free {
			c.text(x, c.y.end-25, "start", "band-label", b.Label)
			free = x + 6.4*float64(len([]rune(b.Label))) + 6
		}
	}
}

// xAxis draws the seconds, or the minutes of a long run.
func (t *Timeline) xAxis(c *canvas) {
	c.line(c.x.start, c.y.start, c.x.end, c.y.start, "axis")
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600} {
		step = s
		if (t.To-t.From)/s <= 14 {
			break
		}
	}
	label := func(v float64) string { return fmt.Sprintf("%.0f s", v) }
	if step >= 60 && t.To >= 600 {
		label = func(v float64) string { return fmt.Sprintf("%.0f min", v/60) }
	}
	for v := math.Ceil(t.From/step) * step; v <= t.To; v += step {
		x := c.x.at(v)
		c.line(x, c.y.start, x, c.y.start+4, "axis")
		c.text(x, c.y.start+18, "middle", "tick", label(v+0)) // +0 turns -0 into 0
	}
}

// steps lists round values from 0 up to most, about n of them.
func steps(most float64, n int) []float64 {
	unit := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, k := range []float64{1, 2, 5, 10} {
		if most/(unit*k) <= float64(n)+1 {
			unit *= k
			break
		}
	}
	unit = max(unit, 1)
	var all []float64
	for v := 0.0; v <= most; v += unit {
		all = append(all, v)
	}
	return all
}
