package xk6wedsync

import (
	"fmt"

	"go.k6.io/k6/metrics"

	"github.com/wedsync/wedsync/protocol"
)

// instruments are the metrics, as k6 knows them. Latencies count from the intended instant.
type instruments struct {
	lanes                         [protocol.Lanes]laneInstruments
	ok                            *metrics.Metric // from the intended instant to the server's ok
	duplicates, strays, failovers *metrics.Metric
	moves, stalls, escalations    *metrics.Metric
	vendors                       *metrics.Metric
	arrival                       *metrics.Metric // from the instant at which a vendor was due to its first join
}

// laneInstruments are those of one lane. Bulk is never late, and what it loses was shed.
type laneInstruments struct {
	latency                            *metrics.Metric
	sent, delivered, late, lost, noAck *metrics.Metric
}

// register registers every metric. It is called for each virtual user; k6 hands out the same metric each time.
func register(r *metrics.Registry) (*instruments, error) {
	i := &instruments{}
	for _, d := range []struct {
		to   **metrics.Metric
		name string
		kind metrics.MetricType
		is   []metrics.ValueType
	}{
		{&i.ok, "wedsync_ok_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&i.duplicates, "wedsync_duplicates", metrics.Counter, nil},
		{&i.strays, "wedsync_strays", metrics.Counter, nil},
		{&i.failovers, "wedsync_failovers", metrics.Counter, nil},
		{&i.escalations, "wedsync_escalations", metrics.Counter, nil},
		{&i.moves, "wedsync_moves", metrics.Counter, nil},
		{&i.stalls, "wedsync_stalls", metrics.Counter, nil},
		{&i.vendors, "wedsync_vendors", metrics.Gauge, nil},
		{&i.arrival, "wedsync_arrival_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&i.lanes[protocol.Urgent].latency, "wedsync_urgent_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&i.lanes[protocol.Urgent].sent, "wedsync_urgent_sent", metrics.Counter, nil},
		{&i.lanes[protocol.Urgent].delivered, "wedsync_urgent_delivered", metrics.Counter, nil},
		{&i.lanes[protocol.Urgent].late, "wedsync_urgent_late", metrics.Counter, nil},
		{&i.lanes[protocol.Urgent].lost, "wedsync_urgent_lost", metrics.Counter, nil},
		{&i.lanes[protocol.Urgent].noAck, "wedsync_urgent_failed", metrics.Counter, nil},
		{&i.lanes[protocol.Normal].latency, "wedsync_update_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&i.lanes[protocol.Normal].sent, "wedsync_update_sent", metrics.Counter, nil},
		{&i.lanes[protocol.Normal].delivered, "wedsync_update_delivered", metrics.Counter, nil},
		{&i.lanes[protocol.Normal].late, "wedsync_update_late", metrics.Counter, nil},
		{&i.lanes[protocol.Normal].lost, "wedsync_update_lost", metrics.Counter, nil},
		{&i.lanes[protocol.Normal].noAck, "wedsync_update_failed", metrics.Counter, nil},
		{&i.lanes[protocol.Bulk].latency, "wedsync_bulk_latency", metrics.Trend, []metrics.ValueType{metrics.Time}},
		{&i.lanes[protocol.Bulk].sent, "wedsync_bulk_sent", metrics.Counter, nil},
		{&i.lanes[protocol.Bulk].delivered, "wedsync_bulk_delivered", metrics.Counter, nil},
		{&i.lanes[protocol.Bulk].lost, "wedsync_bulk_shed", metrics.Counter, nil},
		{&i.lanes[protocol.Bulk].noAck, "wedsync_bulk_failed", metrics.Counter, nil},
	} {
		m, err := r.NewMetric(d.name, d.kind, d.is...)
		if err != nil {
			return nil, fmt.Errorf("registering the metric %s: %w", d.name, err)
		}
		*d.to = m
	}
	return i, nil
}
