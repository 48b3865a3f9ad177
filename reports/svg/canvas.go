// Package svg draws the charts of a report: time lines with fault bands, and percentile curves.
//
// The drawings are made here, on the side that has the data, and not by a script in the page. So a
// report is one file that opens anywhere, prints, is readable under a content security policy that
// forbids everything, and has the same bytes each time it is drawn, which is what lets `wedsync verify`
// compare them. Colours come from the page's style sheet by class, so that the same drawing serves light
// and dark. Every drawing has a title and a description for people who hear it instead of seeing it; the
// numbers themselves stand in the tables beside it.
package svg

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// canvas is a drawing with a plot area in it, and the scales of its axes.
type canvas struct {
	b                        strings.Builder
	width, height            float64
	left, right, top, bottom float64 // margins around the plot area
	x, y                     scale
}

// scale maps values to a range of coordinates, linearly or by logarithm.
type scale struct {
	from, to   float64 // values
	start, end float64 // coordinates
	log        bool
}

func (s scale) at(v float64) float64 {
	from, to := s.from, s.to
	if s.log {
		from, to, v = math.Log10(from), math.Log10(to), math.Log10(max(v, s.from))
	}
	if to == from {
		return s.start
	}
	return s.start + (v-from)/(to-from)*(s.end-s.start)
}

const (
	width = 960
	left  = 62
	right = 16
)

// newCanvas begins a drawing of the common width, so that drawings stacked on a page share their x axis.
func newCanvas(height, top, bottom float64, id, title, desc string) *canvas {
	c := &canvas{width: width, height: height, left: left, right: right, top: top, bottom: bottom}
	c.x.start, c.x.end = left, width-right
	c.y.start, c.y.end = height-bottom, top
	fmt.Fprintf(&c.b, `<svg viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		num(c.width), num(c.height), id, id, id, esc(title), id, esc(desc))
	return c
}

// done ends the drawing.
func (c *canvas) done() template.HTML {
	c.b.WriteString("</svg>\n")
	return template.HTML(c.b.String()) // all texts went through esc
}

func esc(s string) string { return template.HTMLEscapeString(s) }

// num writes a coordinate with at most one decimal: a tenth of a pixel is enough, and keeps the file small.
func num(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" text-anchor="%s" class="%s">%s</text>`, num(x), num(y), anchor, class, esc(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, num(x1), num(y1), num(x2), num(y2), class)
}

// rect draws a rectangle with a tooltip, which may be empty.
func (c *canvas) rect(x1, y1, x2, y2 float64, class, tip string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" class="%s">`, num(x1), num(y1), num(max(x2-x1, 0)), num(max(y2-y1, 0)), class)
	if tip != "" {
		fmt.Fprintf(&c.b, `<title>%s</title>`, esc(tip))
	}
	c.b.WriteString(`</rect>`)
}

// dots draws points as one path of zero-length strokes with round caps: twelve bytes a point.
func (c *canvas) dots(points [][2]float64, class string) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(&c.b, `<path class="%s" d="`, class)
	for _, p := range points {
		fmt.Fprintf(&c.b, "M%s %sh0", num(p[0]), num(p[1]))
	}
	c.b.WriteString(`"/>`)
}

// polyline draws points joined by lines.
func (c *canvas) polyline(points [][2]float64, class string) {
	fmt.Fprintf(&c.b, `<polyline class="%s" points="`, class)
	for i, p := range points {
		if i > 0 {
			c.b.WriteByte(' ')
		}
		fmt.Fprintf(&c.b, "%s,%s", num(p[0]), num(p[1]))
	}
	c.b.WriteString(`"/>`)
}

// legend writes swatches and names from the left, above the plot area.
func (c *canvas) legend(y float64, entries ...[2]string) {
	x := c.left
	for _, e := range entries {
		class, name := e[0], e[1]
		fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="10" height="10" rx="2" class="swatch %s"/>`, num(x), num(y-9), class)
		c.text(x+15, y, "start", "legend", name)
		x += 15 + 6.4*float64(len([]rune(name))) + 18
	}
}

// yAxis draws grid lines with labels.
func (c *canvas) yAxis(values []float64, label func(float64) string) {
	for _, v := range values {
		y := c.y.at(v)
		c.line(c.x.start, y, c.x.end, y, "grid")
		c.text(c.x.start-8, y+4, "end", "tick", label(v))
	}
}

// millis labels a latency in milliseconds.
func millis(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'f', -1, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'f', -1, 64) + " ms"
}

// ticks lists the values 1, 2 and 5 of each power of ten within a range.
func ticks(from, to float64) []float64 {
	var all []float64
	for e := math.Floor(math.Log10(from)); e <= math.Log10(to); e++ {
		for _, k := range []float64{1, 2, 5} {
			if v := k * math.Pow(10, e); v >= from && v <= to {
				all = append(all, v)
			}
		}
	}
	return all
}

// latencyRange is the range of a logarithmic axis in ms that holds the values and shows the limit with air
// around it.
func latencyRange(low, high, limit float64) (from, to float64) {
	return min(max(low, 0.1), limit/10) * 0.8, max(high, limit*2) * 1.2
}
