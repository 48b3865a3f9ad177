package receipt

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The metric names.
const (
	metricUntold      = "wedsync_urgent_untold"
	metricEscalations = "wedsync_escalations_total"
	metricReceipt     = "wedsync_receipt_seconds"
	metricMembers     = "wedsync_receipt_members"
	metricForgotten   = "wedsync_receipt_forgotten_total"
	metricMalformed   = "wedsync_receipt_malformed_total"
)

// buckets go from the promise, 200 ms, to the time in which people look at their phones.
var buckets = []float64{.01, .025, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300}

type metrics struct {
	escalations prometheus.Counter
	failed      prometheus.Counter
	receipt     prometheus.Histogram
	forgotten   prometheus.Counter
	malformed   prometheus.Counter
}

// newMetrics registers them; untold and members are asked for when somebody looks.
func newMetrics(r prometheus.Registerer, untold, members func() float64) (*metrics, error) {
	escalations := prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricEscalations,
		Help: "Escalations that this node has published, by outcome."}, []string{"outcome"})
	m := &metrics{
		escalations: escalations.WithLabelValues("ok"), failed: escalations.WithLabelValues("unknown"),
		receipt: prometheus.NewHistogram(prometheus.HistogramOpts{Name: metricReceipt, Buckets: buckets,
			Help: "From the publication of an urgent message on this node to each of its receipts, from all nodes."}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: metricForgotten,
			Help: "Urgent messages whose tally was given up before its time, because there were too many."}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{Name: metricMalformed,
			Help: "Messages of other nodes about receipts that could not be read."}),
	}
	for _, c := range []prometheus.Collector{
		escalations, m.receipt, m.forgotten, m.malformed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metricUntold,
			Help: "Expected recipients who have not confirmed an urgent message of the last minutes; every node counts all."}, untold),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metricMembers,
			Help: "Members of the roster, with those who have left; the same on every node."}, members),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics of receipts: %w", err)
		}
	}
	return m, nil
}
