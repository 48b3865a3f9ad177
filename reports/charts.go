package reports

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/svg"
)

// charts are the drawings of a report, finished.
type charts struct {
	Latency, Sessions, Answers, Percentiles template.HTML
	Nodes                                   []nodeChart
}

// lead is how much of the time before the first measured phase the time axes show.
const lead = 2.0

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
func millis(ns int64) float64  { return float64(ns) / 1e6 }

func (a *analysis) charts() charts {
	t := a.timeline()
	percentiles := svg.Percentiles{Limit: millis(int64(check.SLA))}
	for _, c := range a.curves {
		class := map[string]string{"urgent connected": "connected", "urgent displaced": "displaced", "normal all": "normal"}[c.Lane+" "+string(c.Population)]
		if class == "" {
			continue
		}
		d := svg.Distribution{Name: c.Lane + ", " + string(c.Population), Class: class, Lost: c.Lost}
		for _, v := range c.latencies.Finite() {
			d.Values = append(d.Values, millis(v))
		}
		percentiles.Series = append(percentiles.Series, d)
	}
	return charts{Latency: a.latencies(t), Sessions: a.sessions(t), Answers: a.okTimes(t), Percentiles: percentiles.Draw(), Nodes: a.nodeCharts(t)}
}

// timeline is the common time axis: the measured span with a little before it, and the drain.
func (a *analysis) timeline() *svg.Timeline {
	t := &svg.Timeline{From: -lead, To: seconds(a.since(a.judged.Last()))}
	if !a.anyMeasured() {
		t.From = 0
	}
	marks := a.judged.Phases
	for i, m := range marks {
		end := a.judged.Last()
		if i+1 < len(marks) {
			end = marks[i+1].At
		}
		if from := seconds(a.since(m.At)); from < t.To {
			t.Phases = append(t.Phases, svg.Phase{Name: string(m.Phase), From: from, To: seconds(a.since(end))})
		}
	}
	for i := range a.judged.Injections {
		inj := &a.judged.Injections[i]
		b := svg.Band{From: seconds(a.since(inj.Intent)), To: t.To, Proved: math.NaN(), Gone: math.NaN(),
			Label: fmt.Sprintf("%s %s", inj.Action, strings.Join(inj.Regions, ", ")),
			Tip:   fmt.Sprintf("injection %d: %s %s on %s", inj.Number, inj.Kind, inj.Name, strings.Join(inj.Targets, ", "))}
		if inj.Reverted != 0 {
			b.To = seconds(a.since(inj.Reverted))
		}
		if inj.Proved != 0 {
			b.Proved = seconds(a.since(inj.Proved))
		}
		if inj.Gone != 0 {
			b.Gone = seconds(a.since(inj.Gone))
		}
		t.Bands = append(t.Bands, b)
	}
	return t
}

func (a *analysis) latencies(t *svg.Timeline) template.HTML {
	l := svg.Latency{Limit: millis(int64(check.SLA))}
	a.judged.Due(func(p *check.Pair) {
		at := seconds(a.since(p.Message.Sched))
		if !p.Message.Urgent || at < t.From || at > t.To {
			return
		}
		point := svg.Point{T: at, V: millis(p.Latency())}
		switch {
		case p.Received == 0:
			l.Lost = append(l.Lost, at)
		case p.Displaced():
			l.Displaced = append(l.Displaced, point)
		case p.Stalled():
			l.Stalled = append(l.Stalled, point)
		default:
			l.Connected = append(l.Connected, point)
		}
	})
	return l.Draw(t)
}

// sessionStep is the resolution of the drawing of sessions.
const sessionStep = 100 * time.Millisecond

func (a *analysis) sessions(t *svg.Timeline) template.HTML {
	var instants []int64
	from, to := a.zero+int64(t.From*1e9), a.zero+int64(t.To*1e9)
	step := max(int64(sessionStep), (to-from)/2000)
	for at := from; at <= to; at += step {
		instants = append(instants, at)
	}
	counts := a.judged.JoinedAt(instants)
	s := svg.Sessions{Regions: a.judged.Regions(), Counts: map[string][]svg.Point{}}
	for region, joined := range counts {
		for i, n := range joined {
			s.Counts[region] = append(s.Counts[region], svg.Point{T: seconds(a.since(instants[i])), V: float64(n)})
		}
	}
	return s.Draw(t)
}

func (a *analysis) okTimes(t *svg.Timeline) template.HTML {
	o := svg.Answers{Limit: millis(int64(check.SLA))}
	for i := range a.judged.Messages {
		m := &a.judged.Messages[i]
		at := seconds(a.since(m.Sched))
		if !m.Published || !m.Urgent || at < t.From || at > t.To {
			continue
		}
		if m.Outcome == check.Acknowledged {
			o.OK = append(o.OK, svg.Point{T: at, V: millis(m.Done - m.Sched)})
		} else {
			o.Unanswered = append(o.Unanswered, at)
		}
	}
	return o.Draw(t)
}

// curveFile names the percentile file of a curve.
func curveFile(c *Curve) string {
	if c.Population == claim.All {
		return curvePrefix + curveSuffix
	}
	return curvePrefix + "-" + string(c.Population) + curveSuffix
}
