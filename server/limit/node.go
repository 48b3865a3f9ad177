package limit

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/protocol"
)

// The metric names of this package.
const (
	MetricReached = "wedsync_limit_reached_total"
	MetricWaiting = "wedsync_connections_waiting"
	MetricWait    = "wedsync_admission_wait_seconds"
	MetricRate    = "wedsync_admission_rate"
	MetricUsers   = "wedsync_users"
)

// Name is a limit, as the label of MetricReached.
type Name string

// The names of the limits.
const (
	Joins         Name = "joins"          // a join or handshake was refused: too many joins per second
	Events        Name = "events"         // a channel was shut down or a message refused: too many events per second
	Presence      Name = "presence"       // a channel was shut down: too many presence events per second
	Changes       Name = "changes"        // a Postgres change was skipped
	Channels      Name = "channels"       // a join was refused: too many channels on its socket
	PresenceCalls Name = "presence_calls" // a channel was shut down: too many calls in its window
	Payload       Name = "payload"        // a payload was too large
	Frame         Name = "frame"          // a socket was closed: its client sent a message over the limit
	Idle          Name = "idle"           // a socket was closed: its client said nothing
	NoChannel     Name = "no_channel"     // a socket was closed: it had no channel left
	UserCount     Name = "users"          // a join or handshake was refused: too many connected users
	Connections   Name = "connections"    // a handshake had to wait for a place
	Connects      Name = "connects"       // a handshake had to wait for its turn
	Waiting       Name = "waiting"        // a handshake was turned away: too many wait, or for too long
)

// Names is every limit.
var Names = []Name{Joins, Events, Presence, Changes, Channels, PresenceCalls, Payload, Frame, Idle, NoChannel,
	UserCount, Connections, Connects, Waiting}

// Node is everything that a node counts.
type Node struct {
	Limits    Limits
	Joins     *Rate
	Events    *Rate
	Bulk      *Rate // as Events, of the bulk lane alone: however much of it there is, it costs the others nothing
	Presence  *Rate
	Changes   *Rate
	Users     *Users
	Admission *Admission

	reached map[Name]prometheus.Counter // constant
}

// NewNode returns a node that has counted nothing yet, and registers its metrics.
func NewNode(l Limits, reg prometheus.Registerer) (*Node, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		Limits: l, Joins: NewRate(l.JoinsPerSecond), Events: NewRate(l.EventsPerSecond), Bulk: NewRate(l.EventsPerSecond),
		Presence: NewRate(l.PresencePerSecond), Changes: NewRate(l.ChangesPerSecond), Users: NewUsers(l.ConcurrentUsers),
		reached: map[Name]prometheus.Counter{},
	}
	reached := prometheus.NewCounterVec(prometheus.CounterOpts{Name: MetricReached,
		Help: "How often a limit was reached, by limit: somebody was refused, shut down or made to wait."}, []string{"limit"})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: MetricWaiting,
		Help: "WebSocket handshakes that wait to be let in."}, func() float64 { return float64(n.Admission.Waiting()) })
	wait := prometheus.NewHistogram(prometheus.HistogramOpts{Name: MetricWait,
		Help: "How long handshakes waited that were let in.", Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}})
	pace := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: MetricRate,
		Help: "WebSocket handshakes that may pass each second now; less than allowed while the node is short of CPU, 0 without a limit."},
		func() float64 { return n.Admission.Rate() })
	users := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: MetricUsers,
		Help: "Sockets that have joined a channel."}, func() float64 { return float64(n.Users.Len()) })
	for _, name := range Names { // at zero before the first time: a rate over nothing is no rate
		n.reached[name] = reached.WithLabelValues(string(name))
	}
	n.Admission = NewAdmission(AdmissionConfig{Connections: l.Connections, ConnectsPerSecond: l.ConnectsPerSecond,
		Reached: n.Reached, Waited: func(d time.Duration) { wait.Observe(d.Seconds()) }})
	var errs []error
	for _, c := range []prometheus.Collector{reached, waiting, wait, pace, users} {
		if err := reg.Register(c); err != nil {
			errs = append(errs, fmt.Errorf("registering a metric of the limits: %w", err))
		}
	}
	return n, errors.Join(errs...)
}

// RoomForBulk says whether the limit on events has room for n more of the bulk lane. The others come first:
// they have their limit for themselves, and bulk has what they leave.
func (n *Node) RoomForBulk(events int) bool {
	most := float64(n.Limits.EventsPerSecond)
	return most == 0 || n.Events.Average()+n.Bulk.Average()+float64(events) <= most
}

// EventsOf is the rate on whose account a broadcast of a lane goes.
func (n *Node) EventsOf(lane protocol.Lane) *Rate {
	if lane == protocol.Bulk {
		return n.Bulk
	}
	return n.Events
}

// Reached counts that a limit bit. It allocates nothing.
func (n *Node) Reached(name Name) { n.reached[name].Inc() }
