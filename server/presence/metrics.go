package presence

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a Tracker. Every label set exists from the start, so that rates exist at zero.
type metrics struct {
	local, remote    prometheus.Gauge
	sent, received   prometheus.Counter
	repairs, down    prometheus.Counter
	diffs, malformed prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	entries := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wedsync_presence_entries",
		Help: "Entries shown to clients, of channels of this node (local) and of other nodes (remote)."}, []string{"origin"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_presence_gossip_bytes_total",
		Help: "Bytes of presence messages between nodes; one to all peers counts once for each."}, []string{"direction"})
	m := &metrics{
		local: entries.WithLabelValues("local"), remote: entries.WithLabelValues("remote"),
		sent: bytes.WithLabelValues("sent"), received: bytes.WithLabelValues("received"),
		repairs: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_presence_repairs_total",
			Help: "Times that a peer was asked for its full state, because a message of it was missed or it is new."}),
		down: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_presence_nodes_down_total",
			Help: "Times that a peer was silent for so long that its entries left."}),
		diffs: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_presence_diffs_total",
			Help: "Diffs handed to the rooms of this node."}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_presence_malformed_total",
			Help: "Presence messages that could not be read, or were of no known node."}),
	}
	for _, c := range []prometheus.Collector{entries, bytes, m.repairs, m.down, m.diffs, m.malformed} {
		if err := r.Register(c); err != nil {
			if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
				return nil, fmt.Errorf("registering metrics: %w; give each tracker its own registry", err)
			}
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
