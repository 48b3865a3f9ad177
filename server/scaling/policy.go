// Package scaling is how many nodes each region should have.
//
// It only says so, in a metric; somebody else acts on it: KEDA or a HorizontalPodAutoscaler on Kubernetes, the
// scaler of the local cluster on a laptop. Every node says the same, because every node knows the same: the policy
// (a file, see Parse), and the load of all nodes, which they tell each other each second (Monitor).
//
// # The decision
//
// For each region, from the load of its nodes:
//
//	work = factor × max(connections / connections_per_replica, messages per second / messages_per_replica)
//	need = ⌈work⌉, at least min and the floor of the season, at most max
//
// The factor and the floor come from the calendar: on a Saturday in June there are nodes before there are guests.
// Factor and floor hold from lead before an entry begins until it ends.
//
// What is said follows the need up at once, because who waits for capacity waits with the storm at the door. It
// follows it down slowly (hysteresis): one node at a time, each after stabilize_for during which one node less would
// have had room to spare (tolerance), because each node less means moving people. So a load that stands still, or
// trembles within the tolerance, moves nothing.
//
// Nothing is decided from silence: a region of which nobody is heard keeps what it has.
//
// # How it is built
//
// Policy, season and Planner are pure: time is an argument. Monitor samples, gossips and exports.
package scaling

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Defaults of a policy.
const (
	DefaultMin          = 1
	DefaultMax          = 10
	DefaultConnections  = 2000
	DefaultMessages     = 20_000
	DefaultStabilizeFor = 5 * time.Minute
	DefaultTolerance    = 0.1
	DefaultLead         = 30 * time.Minute
)

// Policy says how many nodes the regions should have. Make it with Parse.
type Policy struct {
	Default      Capacity            // of regions that are not named
	Regions      map[string]Capacity // by name
	StabilizeFor time.Duration       // a lower need must last that long, for each node less
	Tolerance    float64             // share of a region's capacity that is to be spare before there is one node less
	Calendar     []Season
}

// Capacity of a region.
type Capacity struct {
	Min, Max    int     // nodes
	Connections float64 // that one node is to have
	Messages    float64 // per second that one node is to carry, received and sent
}

// Limits of a policy.
const (
	maxReplicas = 1000
	maxRegions  = 100
	maxSeasons  = 1000
	maxFactor   = 100
	maxLead     = 72 * time.Hour
)

// Validate says all that is wrong at once.
func (p *Policy) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	errs = append(errs, p.Default.validate("default"))
	if n := len(p.Regions); n > maxRegions {
		fail("there are %d regions: the most is %d", n, maxRegions)
	}
	for _, name := range sortedKeys(p.Regions) {
		c := p.Regions[name]
		errs = append(errs, c.validate("region "+name))
	}
	if p.StabilizeFor < 0 || p.StabilizeFor > 24*time.Hour {
		fail("stabilize_for is %v: use 0s to 24h", p.StabilizeFor)
	}
	if !(p.Tolerance >= 0 && p.Tolerance < 1) {
		fail("tolerance is %v: use a share from 0 to below 1, such as 0.1", p.Tolerance)
	}
	if n := len(p.Calendar); n > maxSeasons {
		fail("the calendar has %d entries: the most is %d", n, maxSeasons)
	}
	for i := range p.Calendar {
		errs = append(errs, p.Calendar[i].validate(p))
	}
	return errors.Join(errs...)
}

func (c *Capacity) validate(whose string) error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(whose+": "+format, args...))
	}
	if c.Min < 1 || c.Max > maxReplicas || c.Min > c.Max {
		fail("min is %d and max %d: use 1 ≤ min ≤ max ≤ %d", c.Min, c.Max, maxReplicas)
	}
	if !(c.Connections >= 1) || math.IsInf(c.Connections, 0) {
		fail("connections_per_replica is %v: use a number of at least 1", c.Connections)
	}
	if !(c.Messages >= 1) || math.IsInf(c.Messages, 0) {
		fail("messages_per_replica is %v: use a number of at least 1 (per second)", c.Messages)
	}
	return errors.Join(errs...)
}

// Capacity of a region.
func (p *Policy) Capacity(region string) Capacity {
	if c, ok := p.Regions[region]; ok {
		return c
	}
	return p.Default
}

// Load is what one node has to do.
type Load struct {
	Node        string  `json:"node"`
	Region      string  `json:"region"`
	Connections float64 `json:"connections"`
	Messages    float64 `json:"messages"` // per second, received and sent
	Draining    bool    `json:"draining,omitempty"`
}

// Reason says why a region should have as many nodes as it should.
type Reason string

// The reasons.
const (
	ByMin         Reason = "min"         // nothing asks for more
	ByConnections Reason = "connections" // they need them
	ByMessages    Reason = "messages"    // they need them
	ByCalendar    Reason = "calendar"    // the floor of a season
	ByMax         Reason = "max"         // more are needed than allowed
	Stabilizing   Reason = "stabilizing" // fewer are needed, but not for long enough yet
	Unheard       Reason = "unheard"     // nobody of the region is heard: it keeps what it has
)

// Reasons is all of them.
var Reasons = []Reason{ByMin, ByConnections, ByMessages, ByCalendar, ByMax, Stabilizing, Unheard}

// need is what the load of a region asks for at a time.
type need struct {
	Replicas int
	Reason   Reason
	spare    int // as Replicas, with the tolerance kept free: going down stops here
}

// need is pure and grows with the load. loads are those of the region.
func (p *Policy) need(region string, now time.Time, loads []Load) need {
	c := p.Capacity(region)
	var connections, messages float64
	for _, l := range loads {
		connections += max(0, l.Connections) / c.Connections
		messages += max(0, l.Messages) / c.Messages
	}
	factor, floor := p.season(region, now)
	work, reason := factor*connections, ByConnections
	if messages > connections {
		work, reason = factor*messages, ByMessages
	}
	least := max(c.Min, floor)
	n := need{Replicas: nodes(work), Reason: reason, spare: nodes(work / (1 - p.Tolerance))}
	switch {
	case n.Replicas <= c.Min && floor <= c.Min:
		n.Reason = ByMin
	case n.Replicas <= floor:
		n.Reason = ByCalendar
	}
	n.Replicas, n.spare = max(n.Replicas, least), max(n.spare, least)
	if n.Replicas > c.Max {
		n.Reason = ByMax
	}
	n.Replicas, n.spare = min(n.Replicas, c.Max), min(n.spare, c.Max)
	return n
}

// nodes rounds work up to whole nodes.
func nodes(work float64) int {
	const rounding = 1e-9 // 3 × 0.1 is not quite 0.3
	if !(work < maxReplicas) {
		return maxReplicas
	}
	return int(math.Ceil(work - rounding))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
