package changes

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of asking the database whether a bearer may see a row.
const (
	checkVisible = "visible"
	checkHidden  = "hidden"
	checkFailed  = "failed"  // the policy raised an error: hidden
	checkUnknown = "unknown" // no answer within the patience: the subscriber is told that it has lost something
)

type metrics struct {
	delivered     prometheus.Counter
	subscriptions prometheus.Gauge
	lost          prometheus.Counter
	checks        *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, queued func() float64) (*metrics, error) {
	m := &metrics{
		delivered: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_changes_delivered_total",
			Help: "Postgres changes handed to the channels of this node, one per channel and change."}),
		subscriptions: prometheus.NewGauge(prometheus.GaugeOpts{Name: "wedsync_changes_subscriptions",
			Help: "Channels that are subscribed to Postgres changes."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_changes_lost_total",
			Help: "Channels whose subscription ended because a change could not be delivered: this node fell behind, or the database did not say who may see it."}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_changes_checks_total",
			Help: "Questions to row level security, one per change and distinct claims, by outcome."}, []string{"outcome"}),
	}
	queue := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wedsync_changes_queue_length",
		Help: "Postgres changes that wait for being matched with the subscriptions."}, queued)
	for _, c := range []prometheus.Collector{m.delivered, m.subscriptions, m.lost, m.checks, queue} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w; give each feed its own registry", err)
		}
	}
	for _, outcome := range []string{checkVisible, checkHidden, checkFailed, checkUnknown} {
		m.checks.WithLabelValues(outcome)
	}
	return m, nil
}
