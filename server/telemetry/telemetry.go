// Package telemetry is what one node tells its operators: Prometheus metrics and structured logs.
//
// All metric names stand in this file as constants, so that dashboards, alert rules and tests name
// them through the compiler. Labels have few values by construction (lane, form, outcome, reason;
// never a room, a user or an id), and every label set that is known in advance is created at the
// start, so that a rate exists, at zero, before the first event.
//
// A metric is a field of Metrics. The packages of the server get the whole struct and touch the
// fields that are theirs.
package telemetry

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/wedsync/wedsync/protocol"
)

// The metric names of the front. The backbone registers its own next to them.
const (
	BuildInfo           = "wedsync_build_info"
	NodeInfo            = "wedsync_node_info"
	FlawActive          = "wedsync_flaw_active"
	Connections         = "wedsync_connections"
	ConnectionsAccepted = "wedsync_connections_accepted_total"
	ConnectionsRefused  = "wedsync_connections_refused_total"
	ConnectionsClosed   = "wedsync_connections_closed_total"
	SlowConsumers       = "wedsync_slow_consumer_disconnects_total"
	Subscriptions       = "wedsync_subscriptions"
	ChannelJoins        = "wedsync_channel_joins_total"
	FramesMalformed     = "wedsync_frames_malformed_total"
	MessagesPublished   = "wedsync_messages_published_total"
	MessagesDelivered   = "wedsync_messages_delivered_total"
	MessagesDropped     = "wedsync_messages_dropped_total"
	MessagesReplayed    = "wedsync_replay_messages_total"
	DeliveryLatency     = "wedsync_delivery_latency_seconds"
	QueueWait           = "wedsync_send_queue_wait_seconds"
	FanoutRecipients    = "wedsync_fanout_recipients"
	RESTRequests        = "wedsync_rest_requests_total"
)

// The label values that are known in advance.
var (
	CloseReasons   = []string{"client", "disconnect", "empty", "idle", "limit", "lost", "overflow", "protocol", "shutdown", "stalled", "too_big"}
	RefusalReasons = []string{"busy", "error", "gone", "header", "joins", "restart", "token", "users", "vsn"}
	JoinOutcomes   = []string{"ok", "refused"}
	Outcomes       = []string{"ok", "unknown"}
	DropReasons    = []string{"denied", "encoding", "flaw", "rate", "shed", "size"}
	RESTEndpoints  = []string{"batch", "single", "admin_log", "admin_disconnect", "admin_receipts"}
	lanes          = []string{protocol.Normal.String(), protocol.Urgent.String(), protocol.Bulk.String()}
)

// latencyBuckets has an edge at exactly 200 ms, the promise, so that the share of deliveries
// within it is read off a bucket and not interpolated.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .25, .3, .5, 1, 2.5, 5, 10}

// Metrics is every metric of the front of one node.
type Metrics struct {
	Connections         prometheus.Gauge
	ConnectionsAccepted prometheus.Counter
	ConnectionsRefused  *prometheus.CounterVec // reason
	ConnectionsClosed   *prometheus.CounterVec // reason
	SlowConsumers       prometheus.Counter
	Subscriptions       prometheus.Gauge
	ChannelJoins        *prometheus.CounterVec // outcome
	FramesMalformed     prometheus.Counter
	MessagesPublished   *prometheus.CounterVec // lane, outcome
	MessagesDropped     *prometheus.CounterVec // reason
	MessagesReplayed    prometheus.Counter
	FanoutRecipients    prometheus.Histogram
	UrgentQueueWait     prometheus.Observer
	RESTRequests        *prometheus.CounterVec // endpoint, code
	Flaw                *prometheus.GaugeVec   // flaw
	Shed                prometheus.Counter     // of MessagesDropped

	// By lane, resolved once because they are touched for every event.
	Delivered       [protocol.Lanes]prometheus.Counter
	DeliveryLatency [protocol.Lanes]prometheus.Observer
}

// New registers the metrics of a node. A registry takes them once.
func New(reg prometheus.Registerer, node, region string) (*Metrics, error) {
	b := builder{reg: reg}
	m := &Metrics{
		Connections:         b.gauge(Connections, "Open WebSocket connections."),
		ConnectionsAccepted: b.counter(ConnectionsAccepted, "WebSocket handshakes that were accepted."),
		ConnectionsRefused:  b.counters(ConnectionsRefused, "WebSocket handshakes that were refused, by reason.", []string{"reason"}, RefusalReasons),
		ConnectionsClosed:   b.counters(ConnectionsClosed, "WebSocket connections that ended, by reason.", []string{"reason"}, CloseReasons),
		SlowConsumers:       b.counter(SlowConsumers, "Connections closed because the peer did not read fast enough."),
		Subscriptions:       b.gauge(Subscriptions, "Joined channels."),
		ChannelJoins:        b.counters(ChannelJoins, "Channel joins, by outcome.", []string{"outcome"}, JoinOutcomes),
		FramesMalformed:     b.counter(FramesMalformed, "Frames that could not be parsed and were dropped."),
		MessagesPublished:   b.counters(MessagesPublished, "Broadcasts accepted from publishers; unknown means that two regions did not hold it in time, or that it did not leave the node.", []string{"lane", "outcome"}, lanes, Outcomes),
		MessagesDropped:     b.counters(MessagesDropped, "Broadcasts that were dropped, by reason: shed counts bulk that a socket's queue had no room for, once per recipient.", []string{"reason"}, DropReasons),
		MessagesReplayed:    b.counter(MessagesReplayed, "Broadcasts sent again to members that resumed or asked for a replay."),
		FanoutRecipients:    b.histogram(FanoutRecipients, "Local recipients per broadcast.", []float64{0, 1, 2, 5, 10, 20, 50, 100, 250, 500, 1000}),
		RESTRequests:        b.counters(RESTRequests, "REST requests, by endpoint and status code.", []string{"endpoint", "code"}, RESTEndpoints, []string{"202"}),
		Flaw:                b.gauges(FlawActive, "1 while the node misbehaves on purpose (--flaw). Never in production.", "flaw"),
	}
	m.Shed = m.MessagesDropped.WithLabelValues("shed")
	delivered := b.counters(MessagesDelivered, "Broadcasts queued for local members.", []string{"lane"}, lanes)
	latency := b.histograms(DeliveryLatency, "From acceptance by the first node to the write queues of this one, by wall clock.", "lane")
	wait := b.histograms(QueueWait, "How long the oldest urgent frame of a batch waited in a socket's write queue.", "lane")
	for lane := range protocol.Lane(protocol.Lanes) {
		m.Delivered[lane] = delivered.WithLabelValues(lane.String())
		m.DeliveryLatency[lane] = latency.WithLabelValues(lane.String())
	}
	m.UrgentQueueWait = wait.WithLabelValues(protocol.Urgent.String())

	version, revision := build()
	b.info(BuildInfo, "What was built; always 1.", prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()})
	b.info(NodeInfo, "Which node this is; always 1.", prometheus.Labels{"node": node, "region": region})
	b.register(collectors.NewGoCollector())
	b.register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, b.err
}

// build reads the module version and revision that the linker left in the binary.
func build() (version, revision string) {
	version, revision = "devel", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision
	}
	if info.Main.Version != "" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}
