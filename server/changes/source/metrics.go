package source

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reading    prometheus.Gauge
	lag        prometheus.Gauge
	reconnects prometheus.Counter
	repeated   prometheus.Counter
	// Changes read, by outcome.
	published, known, refused prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	read := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_changes_read_total",
		Help: "Row changes read from PostgreSQL: published here, known from an earlier reader, or refused because they can never be published."},
		[]string{"outcome"})
	m := &metrics{
		reading: prometheus.NewGauge(prometheus.GaugeOpts{Name: "wedsync_changes_reader",
			Help: "1 while this node reads the changes of the database; the sum over all nodes should be 1."}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{Name: "wedsync_changes_lag_seconds",
			Help: "Age, since its commit by the clock of PostgreSQL, of the oldest change that has been read here and is not held; 0 if there is none."}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_changes_reconnects_total",
			Help: "Attempts to reach the database again after an error."}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_changes_republished_total",
			Help: "Changes published again because they were not held in time."}),
		published: read.WithLabelValues("published"), known: read.WithLabelValues("known"), refused: read.WithLabelValues("refused"),
	}
	for _, c := range []prometheus.Collector{m.reading, m.lag, m.reconnects, m.repeated, read} {
		if err := r.Register(c); err != nil {
			if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
				return nil, fmt.Errorf("registering metrics: %w; give each reader its own registry", err)
			}
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
