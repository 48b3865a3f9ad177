package backbone

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
)

// metrics of the backbone. Every label set exists from the start, so that rates exist at zero.
type metrics struct {
	up, rtt, behind                          *prometheus.GaugeVec
	skipped, dropped, resent, slow, repaired *prometheus.CounterVec
	malformed, trimmed                       prometheus.Counter
}

// linkMetrics are the ones of one link.
type linkMetrics struct {
	up, rtt, behind                          prometheus.Gauge
	skipped, dropped, resent, slow, repaired prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	labels := []string{"peer", "lane"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		up:       gauge("wedsync_region_link_up", "Whether the connection to the log of the peer is up (1) or not (0)."),
		rtt:      gauge("wedsync_region_link_rtt_seconds", "Round trip of an echo through the log server of the peer, on the connection of urgent events."),
		behind:   gauge("wedsync_repair_behind_messages", "Messages in the log of the peer that repair has not looked at yet."),
		skipped:  counter("wedsync_link_skipped_total", "Copies not sent because too many were under way to this log; repair brings them."),
		dropped:  counter("wedsync_link_casts_dropped_total", "Messages that are live only (casts, bulk, receipts, gossip) dropped because too much waited for the wire to this peer."),
		resent:   counter("wedsync_link_resent_total", "Copies sent again because the log had not answered."),
		slow:     counter("wedsync_link_slow_consumer_total", "Times that a local subscriber fell behind: stored events come from the log then, others are lost."),
		repaired: counter("wedsync_repaired_total", "Messages found in the log of the peer that the own log did not have, and copied into it."),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_malformed_events_total",
			Help: "Events from other nodes that could not be decoded."}),
		trimmed: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_log_trims_total",
			Help: "Times that the oldest part of the own log was removed because it was nearly full."}),
	}
	for _, c := range []prometheus.Collector{m.up, m.rtt, m.behind, m.skipped, m.dropped, m.resent, m.slow, m.repaired, m.malformed, m.trimmed} {
		if err := r.Register(c); err != nil {
			if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
				return nil, fmt.Errorf("registering metrics: %w; give each node of a process its own registry", err)
			}
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// MetricInterests is the metric that would give it away if a socket ever cost an interest at a log.
const MetricInterests = "wedsync_log_interests"

func watchInterests(r prometheus.Registerer, s *logServer) error {
	err := r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: MetricInterests,
		Help: "Subscriptions at the own log, by all nodes: a few for each node, whatever the number of rooms and sockets."},
		func() float64 { return float64(s.srv.NumSubscriptions()) }))
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// link returns the metrics of a link: those that its lane can have.
func (m *metrics) link(peer string, lane protocol.Lane) *linkMetrics {
	l := []string{peer, lane.String()}
	lm := &linkMetrics{up: m.up.WithLabelValues(l...), dropped: m.dropped.WithLabelValues(l...), slow: m.slow.WithLabelValues(l...)}
	if lane != protocol.Bulk { // which is never stored
		lm.behind, lm.skipped = m.behind.WithLabelValues(l...), m.skipped.WithLabelValues(l...)
		lm.resent, lm.repaired = m.resent.WithLabelValues(l...), m.repaired.WithLabelValues(l...)
	}
	if lane == protocol.Urgent { // only these links are measured
		lm.rtt = m.rtt.WithLabelValues(l...)
	}
	return lm
}

// forget takes a peer that is gone out of all metrics.
func (m *metrics) forget(peer string) {
	gone := prometheus.Labels{"peer": peer}
	for _, g := range []*prometheus.GaugeVec{m.up, m.rtt, m.behind} {
		g.DeletePartialMatch(gone)
	}
	for _, c := range []*prometheus.CounterVec{m.skipped, m.dropped, m.resent, m.slow, m.repaired} {
		c.DeletePartialMatch(gone)
	}
}
