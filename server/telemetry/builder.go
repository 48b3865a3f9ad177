package telemetry

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// builder registers metrics and keeps every error, so that a double registration names itself.
type builder struct {
	reg prometheus.Registerer
	err error
}

func (b *builder) register(c prometheus.Collector) {
	if err := b.reg.Register(c); err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("registering a metric: %w", err))
	}
}

func (b *builder) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	b.register(c)
	return c
}

// counters creates every combination of the values that are known in advance.
func (b *builder) counters(name, help string, labels []string, values ...[]string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	b.register(c)
	for _, set := range product(values) {
		c.WithLabelValues(set...)
	}
	return c
}

func (b *builder) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	b.register(g)
	return g
}

func (b *builder) gauges(name, help, label string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
	b.register(g)
	return g
}

func (b *builder) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	b.register(h)
	return h
}

func (b *builder) histograms(name, help, label string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets}, []string{label})
	b.register(h)
	return h
}

// info is a gauge that is always 1 and says something in its labels.
func (b *builder) info(name, help string, labels prometheus.Labels) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	g.Set(1)
	b.register(g)
}

// product lists every way to take one value of each list.
func product(lists [][]string) [][]string {
	sets := [][]string{nil}
	for _, list := range lists {
		var next [][]string
		for _, set := range sets {
			for _, value := range list {
				next = append(next, append(set[:len(set):len(set)], value))
			}
		}
		sets = next
	}
	return sets
}
