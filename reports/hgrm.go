package reports

import (
	"bytes"
	"fmt"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/reports/claim"
)

// The range and precision of the histograms behind the percentile files.
const (
	hgrmLowest  = 1_000          // 1 µs
	hgrmHighest = 60_000_000_000 // 1 min
	hgrmDigits  = 3
	hgrmTicks   = 5 // per half distance to 100 %, like everybody's
)

// hgrm renders the percentile files of the urgent lane, by name: values in ms, in the form that the
// HdrHistogram plotters read. Lost messages cannot stand in a histogram; a comment counts them.
func hgrm(s *Summary) (map[string][]byte, error) {
	all := map[string][]byte{}
	for i := range s.Latency {
		c := &s.Latency[i]
		if c.Lane != claim.Urgent {
			continue
		}
		text, err := hgrmOf(c)
		if err != nil {
			return nil, err
		}
		all[curveFile(c)] = text
	}
	return all, nil
}

func hgrmOf(c *Curve) ([]byte, error) {
	h := hdrhistogram.New(hgrmLowest, hgrmHighest, hgrmDigits)
	for _, v := range c.latencies.Finite() {
		if err := h.RecordValue(min(max(v, 0), hgrmHighest)); err != nil {
			return nil, fmt.Errorf("percentiles of %s: %w", c.Population, err)
		}
	}
	var text bytes.Buffer
	text.WriteString("       Value     Percentile TotalCount 1/(1-Percentile)\n\n")
	for _, b := range h.CumulativeDistributionWithTicks(hgrmTicks) {
		q := b.Quantile / 100
		// The library's own printer stops at six digits, which a million samples outgrow.
		fmt.Fprintf(&text, "%12.3f %.12f %10d", millis(b.ValueAt), q, b.Count)
		if q < 1 {
			fmt.Fprintf(&text, " %14.2f\n", 1/(1-q))
		} else {
			text.WriteString("            inf\n")
		}
	}
	mean, deviation := h.Mean()/1e6, h.StdDev()/1e6
	if math.IsNaN(mean) {
		mean, deviation = 0, 0
	}
	fmt.Fprintf(&text, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean, deviation)
	fmt.Fprintf(&text, "#[Max     = %12.3f, Total count    = %12d]\n", millis(h.Max()), h.TotalCount())
	fmt.Fprintf(&text, "#[Lost    = %12d, Due            = %12d]\n", c.Lost, c.Due)
	return text.Bytes(), nil
}
