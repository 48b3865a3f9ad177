package scaling

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The metric names.
const (
	MetricDesired = "wedsync_desired_replicas"
	MetricNeeded  = "wedsync_needed_replicas"
	MetricReason  = "wedsync_scaling_reason"

	metricMalformed = "wedsync_scaling_malformed_total"
)

type metrics struct {
	desired, needed *prometheus.GaugeVec // region
	reason          *prometheus.GaugeVec // region, reason
	malformed       prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		desired: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: MetricDesired,
			Help: "Nodes that a region should have; every node says it for all regions, take the maximum."}, []string{"region"}),
		needed: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: MetricNeeded,
			Help: "Nodes that the load and the calendar of a region ask for now, without hysteresis."}, []string{"region"}),
		reason: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: MetricReason,
			Help: "1 for the reason why a region should have as many nodes as it should, 0 for the others."}, []string{"region", "reason"}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{Name: metricMalformed,
			Help: "Messages of other nodes about their load that could not be read."}),
	}
	for _, c := range []prometheus.Collector{m.desired, m.needed, m.reason, m.malformed} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics of scaling: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) set(d Decision) {
	m.desired.WithLabelValues(d.Region).Set(float64(d.Replicas))
	m.needed.WithLabelValues(d.Region).Set(float64(d.Need))
	for _, reason := range Reasons {
		is := 0.0
		if reason == d.Reason {
			is = 1
		}
		m.reason.WithLabelValues(d.Region, string(reason)).Set(is)
	}
}
