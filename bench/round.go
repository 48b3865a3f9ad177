package bench

import (
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Names of figures that targets are set for.
const (
	figureMemory = "RSS per connection over that"
	figureCPU    = "CPU per million deliveries"
	figureStorm  = "until all have joined again"
)

// Figure is one measured value. The names of the figures of a benchmark are the same in all of its rounds.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// Round is one play of a case on one subject.
type Round struct {
	Benchmark string   `json:"benchmark"`
	Case      string   `json:"case"`
	Subject   string   `json:"subject"`
	Number    int      `json:"round"` // from 1
	Figures   []Figure `json:"figures"`
	Expected  int      `json:"expected"` // deliveries, or joins
	Delivered int      `json:"delivered"`
	// SendLagMS is the 99th percentile of how late the generator was by itself; 0 where nothing is sent on schedule.
	SendLagMS float64 `json:"send_lag_p99_ms"`
	// Others is the share of the machine that other programs have used meanwhile, 0 to 1.
	Others float64 `json:"others"`
	// Invalid says why the round proves nothing; empty: it does.
	Invalid []string `json:"invalid,omitempty"`

	began, ended time.Time
	latencies    []latency // for the histogram log
}

// latency is a named distribution.
type latency struct {
	name string
	hist *hdr.Histogram
}

// Key is what rounds that are compared with each other have in common.
func (r *Round) Key() string { return r.Benchmark + " " + r.Case }

func (r *Round) add(name, unit string, value float64) {
	r.Figures = append(r.Figures, Figure{Name: name, Unit: unit, Value: value})
}

// spoil says that the round proves nothing.
func (r *Round) spoil(format string, args ...any) {
	r.Invalid = append(r.Invalid, fmt.Sprintf(format, args...))
}

// figure finds a figure by its name.
func (r *Round) figure(name string) (Figure, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f, true
		}
	}
	return Figure{}, false
}

// newHistogram holds nanoseconds, from a microsecond to a minute, to three digits.
func newHistogram() *hdr.Histogram {
	return hdr.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// record counts a latency; one above the range counts as the end of the range.
func record(h *hdr.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 0), int64(time.Minute))) // refuses nothing within the range
}

// addLatency adds percentiles of a distribution, in milliseconds, and keeps it for the log. 100 is the maximum.
func (r *Round) addLatency(name string, h *hdr.Histogram, percentiles ...float64) {
	r.latencies = append(r.latencies, latency{name, h})
	for _, p := range percentiles {
		label := fmt.Sprintf("p%g", p)
		if p == 100 {
			label = "max"
		}
		r.add(name+" "+label, "ms", milliseconds(h, p))
	}
}

func milliseconds(h *hdr.Histogram, percentile float64) float64 {
	return float64(h.ValueAtPercentile(percentile)) / 1e6
}
