package svg

import (
	"fmt"
	"math"
	"strings"
)

// Sheet is a drawing that stands alone, as a file beside a document: it brings its own colours, and paper to be read on.
// Its panels stand side by side and share the x axis.
type Sheet struct {
	Title, Desc string
	Note        string // below the drawing: where the figures come from
	XLabel      string
	Panels      []Panel
}

// Panel is one figure.
type Panel struct {
	Title  string // with its unit
	Limit  float64
	Tip    string // of the limit
	Curves []Curve
}

// Curve is one series of a panel.
type Curve struct {
	Name   string
	Class  string // ours, other or target
	Points []Spread
}

// Spread is a value at x, with the range in which it was seen.
type Spread struct{ X, Low, V, High float64 }

// sheetStyle is that of a page in the light, without what only pages have.
const sheetStyle = `<style>.paper{fill:#fff}text{font:12px ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,Arial,"DejaVu Sans",sans-serif}` +
	`.title{font-size:15px;font-weight:650;fill:#18202b}.head{font-weight:620;fill:#18202b}.tick,.legend{fill:#5a6676}.note{font-size:11px;fill:#8b95a3}` +
	`.grid{stroke:#e3e7ec}.axis{stroke:#8b95a3}.limit{stroke:#d6263a;stroke-width:1.3;stroke-dasharray:6 4}.limit-label{fill:#d6263a;font-weight:600;font-size:11.5px}` +
	`.series{fill:none;stroke-width:2.2;stroke-linejoin:round}.ours{stroke:#2b66d9}.other{stroke:#7a8696}.target{stroke:#d6263a;stroke-width:1.3;stroke-dasharray:6 4}` +
	`.range{stroke-width:1.4;stroke-opacity:.7}.dot{fill:none;stroke-linecap:round;stroke-width:7}.s-ours{fill:#2b66d9}.s-other{fill:#7a8696}.s-target{fill:#d6263a}</style>`

// Draw draws the sheet as a file.
func (s *Sheet) Draw() []byte {
	const gap, head = 70.0, 44.0
	c := newCanvas(400, head+46, 70, "sheet", s.Title, s.Desc)
	text := strings.Replace(c.b.String(), "<svg ", `<svg xmlns="http://www.w3.org/2000/svg" `, 1)
	c.b.Reset()
	c.b.WriteString(text + sheetStyle)
	c.rect(0, 0, c.width, c.height, "paper", "")
	c.text(24, 30, "start", "title", s.Title)
	c.text(24, c.height-14, "start", "note", s.Note)
	each := (c.width - right - gap*float64(len(s.Panels)-1) - left) / float64(max(len(s.Panels), 1))
	for i := range s.Panels {
		c.left = left + float64(i)*(each+gap)
		c.x.start, c.x.end = c.left, c.left+each
		s.Panels[i].draw(c)
		c.text((c.x.start+c.x.end)/2, c.y.start+36, "middle", "tick", s.XLabel)
	}
	return []byte(c.done())
}

func (p *Panel) draw(c *canvas) {
	c.x.from, c.x.to, c.y.from, c.y.to = 0, 0, 0, p.Limit
	var at []float64
	for _, curve := range p.Curves {
		for _, s := range curve.Points {
			c.x.to, c.y.to = max(c.x.to, s.X), max(c.y.to, s.High)
			at = append(at, s.X)
		}
	}
	c.x.to, c.y.to = c.x.to*1.04, max(c.y.to, 1e-9)*1.12
	c.text(c.x.start-38, c.y.end-30, "start", "head", p.Title)
	c.yAxis(rounds(c.y.to, 4), func(v float64) string { return fmt.Sprintf("%.6g", v) })
	c.line(c.x.start, c.y.start, c.x.end, c.y.start, "axis")
	free := math.Inf(-1)
	for _, v := range at {
		x := c.x.at(v)
		c.line(x, c.y.start, x, c.y.start+4, "axis")
		if x >= free {
			c.text(x, c.y.start+18, "middle", "tick", thousands(v))
			free = x + 42
		}
	}
	if p.Limit > 0 {
		c.line(c.x.start, c.y.at(p.Limit), c.x.end, c.y.at(p.Limit), "limit")
		c.text(c.x.end-4, c.y.at(p.Limit)-6, "end", "limit-label", p.Tip)
	}
	var entries [][2]string
	for _, curve := range p.Curves {
		var line, dots [][2]float64
		for _, s := range curve.Points {
			x := c.x.at(s.X)
			line = append(line, [2]float64{x, c.y.at(s.V)})
			if s.Low < s.High {
				c.line(x, c.y.at(s.Low), x, c.y.at(s.High), "range "+curve.Class)
			}
		}
		c.polyline(line, "series "+curve.Class)
		if curve.Class != "target" {
			dots = line
		}
		c.dots(dots, "dot "+curve.Class)
		entries = append(entries, [2]string{"s-" + curve.Class, curve.Name})
	}
	c.legend(c.y.end-10, entries...)
}

// thousands writes 10,000.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
