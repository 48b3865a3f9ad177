package urgent

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
)

// Outcomes of a hold.
const (
	outcomeHeld    = "held"
	outcomeNotHeld = "not_held"
)

// buckets have an edge at exactly the promise, 200 ms.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .25, .3, .5, 1, 2.5}

type metrics struct {
	holdTime  *prometheus.HistogramVec
	holds     *prometheus.CounterVec
	delivered [protocol.Lanes]prometheus.Counter
	repeated  prometheus.Counter
	since     *prometheus.CounterVec
	receipts  *prometheus.CounterVec
	ahead     prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	delivered := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_lane_delivered_total",
		Help: "Events handed to the members of this node, each once."}, []string{"lane"})
	m := &metrics{
		holdTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wedsync_hold_duration_seconds",
			Help: "Time from a publication until two regions held it.", Buckets: buckets}, []string{"lane"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_holds_total",
			Help: "Publications by outcome of their hold."}, []string{"lane", "outcome"}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_publish_repeated_total",
			Help: "Publications of an id that was known: retries, and the second home of a client."}),
		since: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_replays_total",
			Help: "Reads of the history of a room, by where it was found."}, []string{"source"}),
		receipts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_receipts_total",
			Help: "Receipts of recipients here (sent) and on other nodes (received)."}, []string{"direction"}),
		ahead: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_events_from_the_future_total",
			Help: "Events stamped more than a minute ahead of this node's wall clock; set the clocks."}),
	}
	for _, c := range []prometheus.Collector{m.holdTime, m.holds, m.repeated, m.since, m.receipts, m.ahead, delivered} {
		if err := r.Register(c); err != nil {
			if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
				return nil, fmt.Errorf("registering metrics: %w; give each lane its own registry", err)
			}
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	for lane := range protocol.Lane(protocol.Lanes) {
		m.delivered[lane] = delivered.WithLabelValues(lane.String())
		m.holdTime.WithLabelValues(lane.String())
		m.holds.WithLabelValues(lane.String(), outcomeHeld)
		m.holds.WithLabelValues(lane.String(), outcomeNotHeld)
	}
	for _, source := range []string{"ring", "log"} {
		m.since.WithLabelValues(source)
	}
	for _, direction := range []string{"sent", "received"} {
		m.receipts.WithLabelValues(direction)
	}
	return m, nil
}

// held counts one publication.
func (m *metrics) held(lane protocol.Lane, took time.Duration, err error) {
	if err != nil {
		m.holds.WithLabelValues(lane.String(), outcomeNotHeld).Inc()
		return
	}
	m.holds.WithLabelValues(lane.String(), outcomeHeld).Inc()
	m.holdTime.WithLabelValues(lane.String()).Observe(took.Seconds())
}
