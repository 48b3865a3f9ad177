package reports

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/nodes"
	"github.com/wedsync/wedsync/reports/trend"
)

// TrendRow is the line through one metric of one process, for one flat claim. Bytes or goroutines. See package trend for
// how its interval is made.
type TrendRow struct {
	Claim     string        `json:"claim"`
	Node      string        `json:"node"`
	PID       int           `json:"pid"`
	Metric    string        `json:"metric"`
	Blocks    int           `json:"blocks"`
	Effective float64       `json:"effective_blocks"`
	Level     float64       `json:"level"`          // of the line where it begins
	Slope     float64       `json:"slope_per_hour"` //
	Error     *float64      `json:"error_per_hour"` // half of the 95 % interval; null: too few blocks
	Low       *float64      `json:"growth_low"`     // share of the level over the span, with the ends of its interval
	Growth    *float64      `json:"growth"`
	High      *float64      `json:"growth_high"`
	Verdict   claim.Verdict `json:"verdict"`

	line trend.Line
}

// judgeFlat fits a line to the metric of every process within the claim's phases. All of them must be flat: a process
// that lived too briefly to tell makes the claim INSUFFICIENT, whatever the others say.
func (a *analysis) judgeFlat(c *claim.Claim, r *Row, b *bench) {
	r.Unit, r.Source = "blocks a process", []string{NodesFile, ChaosFile}
	r.Measured = "–"
	var worst *TrendRow
	var rows []TrendRow
	for i := range a.nodes {
		for _, p := range a.nodes[i].Processes(math.MinInt64, math.MaxInt64) {
			if row, any := a.trend(c, a.nodes[i].Name, &p); any {
				rows = append(rows, row)
			}
		}
	}
	for i := range rows {
		row := &rows[i]
		if i == 0 || row.Blocks < r.N {
			r.N = row.Blocks
		}
		if row.High != nil && (worst == nil || *row.High > *worst.High) {
			worst = row
		}
		who := fmt.Sprintf("%s, pid %d", row.Node, row.PID)
		switch row.Verdict {
		case claim.Fail:
			r.Missed++
			b.rule(claim.Fail, "%s grew by %s: %s", who, growth(row), slope(row))
		case claim.Inconclusive:
			b.rule(claim.Inconclusive, "%s may have grown by more than %s: %s, %s", who, percent(*c.AtMost), growth(row), slope(row))
		case claim.Insufficient:
			b.rule(claim.Insufficient, "%s was seen for %d blocks of %s, the claim needs at least %d", who, row.Blocks, claim.Words(trend.Block), c.AtLeast)
		}
	}
	if len(rows) == 0 {
		b.rule(claim.Insufficient, "no %s of any node was read", c.Metric)
	}
	if worst != nil {
		r.Measured = fmt.Sprintf("%s: %s, %s", worst.Node, growth(worst), slope(worst))
	}
	a.unprovedFaults(c, b)
	a.trends = append(a.trends, rows...)
}

// trend fits the line of one process; false if the process has no samples in the claim's phases.
func (a *analysis) trend(c *claim.Claim, node string, p *nodes.Process) (TrendRow, bool) {
	var samples []trend.Point
	for i := range p.Samples {
		s := &p.Samples[i]
		v := float64(s.RSS)
		if c.Metric == claim.Goroutines {
			v = float64(s.Goroutines)
		}
		if phase, _ := a.judged.PhaseAt(s.Mono); v > 0 && c.In(phase) {
			samples = append(samples, trend.Point{T: seconds(a.since(s.Mono)), V: v})
		}
	}
	l := trend.Fit(samples)
	row := TrendRow{Claim: c.ID, Node: node, PID: p.PID, Metric: c.Metric, Blocks: l.Blocks, Effective: round6(l.Effective),
		Level: round6(l.Level), Slope: round6(l.Slope * time.Hour.Seconds()), line: l}
	low, share, high := l.Growth()
	if !math.IsInf(high, 1) {
		wide := round6(l.Error * time.Hour.Seconds())
		low, share, high = round6(low), round6(share), round6(high)
		row.Error, row.Low, row.Growth, row.High = &wide, &low, &share, &high
	}
	switch {
	case l.Blocks < c.AtLeast || row.High == nil:
		row.Verdict = claim.Insufficient
	case *row.High <= *c.AtMost:
		row.Verdict = claim.Pass
	case *row.Low > *c.AtMost:
		row.Verdict = claim.Fail
	default:
		row.Verdict = claim.Inconclusive
	}
	return row, len(samples) > 0
}

// growth is by how much a metric grew, with its interval.
func growth(t *TrendRow) string {
	if t.Growth == nil {
		return "–"
	}
	return fmt.Sprintf("%s %% (%s to %s %%)", signed(100**t.Growth, 1), signed(100**t.Low, 1), signed(100**t.High, 1))
}

// slope is the line's slope, with its error.
func slope(t *TrendRow) string {
	if t.Error == nil {
		return "–"
	}
	if t.Metric == claim.RSS {
		return fmt.Sprintf("%s ± %.2f MiB/h", signed(t.Slope/mib, 2), *t.Error/mib)
	}
	return fmt.Sprintf("%s ± %.1f /h", signed(t.Slope, 1), *t.Error)
}

// signed writes a change with its sign, and 0 without one.
func signed(v float64, digits int) string {
	text := fmt.Sprintf("%+.*f", digits, v)
	if strings.Trim(text, "+-0.") == "" {
		return text[1:]
	}
	return text
}
