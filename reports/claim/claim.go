// Package claim says what a drill promises and how a promise is judged.
//
// A claim is one sentence about a run that can be refuted: "while a region dies, every connected
// recipient has every urgent message within 200 ms". It names a kind of measurement, whom and which
// messages it is about, in which phases of the run, and its limit. Claims stand in the drill file
// under `claims:`; this package reads that block strictly, because a claim with a misspelt limit
// would hold trivially.
//
//	claims:
//	  - id: urgent-connected
//	    says: every connected recipient has every urgent message within 200 ms
//	    kind: delivery
//	    lane: urgent
//	    population: connected
//	    within: 200ms
//	    phases: [before, fault, recovery, after]
//
//	  - {id: memory-flat, says: no node's memory grows, kind: flat, metric: rss, at_most: 0.05}
//	  - {id: scaled, says: nodes come and go with the load, kind: scaled, from: 3, at_least: 5, back: 3}
//	  - {id: photos, says: how many photos were shed, kind: shed, at_least: 1000}
//	  - {id: back-soon, says: vendors with one home are back within 3 s, kind: failover, within: 3s}
//
// A claim is judged with one of five verdicts, of which only PASS opens a gate (see Verdict), and
// the verdict of a drill is the worst of its claims and of the checks of the run itself (see Worst).
package claim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is the measurement behind a claim.
type Kind string

// The kinds of claims.
const (
	Delivery Kind = "delivery" // every due delivery happened, and within the limit
	None     Kind = "none"     // no flaw of the listed classes happened
	OK       Kind = "ok"       // every publish got its ok within the limit, and none was refused or left unanswered
	Held     Kind = "held"     // what was acknowledged was in two regions before the ok, and is on every node of a region that came back
	Faults   Kind = "faults"   // the faults happened: injected, proved, reverted, proved gone, with messages under way
	Flat     Kind = "flat"     // a figure of every node, such as its memory, did not grow
	Scaled   Kind = "scaled"   // nodes were added under load and taken away again
	Shed     Kind = "shed"     // how much of the bulk lane was shed
	Failover Kind = "failover" // single-homed vendors that a fault displaced came back and caught up
)

// The metrics of a flat claim.
const (
	RSS        = "rss"        // resident memory of a node, bytes
	Goroutines = "goroutines" // of a node
)

// FlatBlocks is the least number of blocks (of package trend) from which a flat claim can be judged.
const FlatBlocks = 20

// Population is the set of recipients a claim is about.
type Population string

// The populations. Connected, Displaced and Stalled divide the deliveries of a run; DualHomed and SingleHomed
// divide its vendors.
const (
	All         Population = "all"
	Connected   Population = "connected"    // not displaced: had a session in a region no fault touched, or no fault took it away
	Displaced   Population = "displaced"    // its only sessions were in a region under fault while the message was due
	DualHomed   Population = "dual-homed"   // keeps sockets in two regions
	SingleHomed Population = "single-homed" // keeps one socket and fails over
	Stalled     Population = "stalled"      // had stopped reading, or was catching up with what it had not read; neither connected nor displaced
)

// Flaw is a class of incorrect delivery.
type Flaw string

// The flaws, in the order in which reports list them.
const (
	Lost       Flaw = "lost"       // acknowledged, due, and not received by the end of the drain
	Duplicated Flaw = "duplicated" // shown twice by the client, or sent twice live on one session by the server
	Phantom    Flaw = "phantom"    // refused, and delivered all the same
	Crosstalk  Flaw = "crosstalk"  // delivered to somebody who had not subscribed
	Invented   Flaw = "invented"   // never published by anybody of this run
	Reordered  Flaw = "reordered"  // live, after a later message of the same publisher and lane
)

// Flaws lists every class, in report order.
var Flaws = []Flaw{Lost, Duplicated, Phantom, Crosstalk, Invented, Reordered}

// Phase is a part of a run.
type Phase string

// The phases. Only the measured ones can be claimed; warm-up and drain lie outside the measured span.
const (
	WarmUp   Phase = "warm-up"
	Before   Phase = "before"
	Fault    Phase = "fault"
	Recovery Phase = "recovery"
	After    Phase = "after"
	Drain    Phase = "drain"
)

// Phases lists the measured phases in the order of a run.
var Phases = []Phase{Before, Fault, Recovery, After}

// Measured reports whether p belongs to the measured span.
func (p Phase) Measured() bool { return slices.Contains(Phases, p) }

// The lanes of messages. The empty lane of a claim means urgent and normal, and for a claim of kind none
// bulk too: bulk may be shed, so it is not due, but it may not be doubled or made up either.
const (
	Urgent = "urgent"
	Normal = "normal"
	Bulk   = "bulk"
)

// Claim is one refutable sentence about a run.
type Claim struct {
	ID   string `json:"id"`   // short, unique in the drill: [a-z0-9-]
	Says string `json:"says"` // the sentence, for people
	Kind Kind   `json:"kind"`

	Lane       string        `json:"lane,omitempty"`      // urgent, normal, for none also bulk; empty: see the lanes
	Population Population    `json:"population"`          // delivery and none; default all
	Within     time.Duration `json:"within_ns,omitempty"` // delivery, ok and failover: the limit, inclusive. 0: no limit, it only has to happen
	Of         []Flaw        `json:"of,omitempty"`        // none: the classes; default all
	Phases     []Phase       `json:"phases,omitempty"`    // default: the whole measured span
	AtMost     *float64      `json:"at_most,omitempty"`   // share. flat: of its level by which the metric may have grown. shed: of the deliveries; nil: a figure without a limit
	Metric     string        `json:"metric,omitempty"`    // flat: rss or goroutines
	Region     string        `json:"region,omitempty"`    // scaled: whose nodes; empty: all
	From       int           `json:"from,omitempty"`      // scaled: nodes at the beginning
	Back       int           `json:"back,omitempty"`      // scaled: nodes at the end
	// AtLeast is how much must have been observed: messages, injections (faults), displaced sessions (failover),
	// blocks of each process (flat; default FlatBlocks). For scaled it is the nodes to reach under load. Default 1.
	AtLeast int `json:"at_least"`

	Line int `json:"-"` // line in the drill file
}

var (
	kinds       = []Kind{Delivery, None, OK, Held, Faults, Flat, Scaled, Shed, Failover}
	populations = []Population{All, Connected, Displaced, DualHomed, SingleHomed, Stalled}
	lanes       = []string{Urgent, Normal, Bulk}
	metrics     = []string{RSS, Goroutines}
)

// In reports whether the claim is about phase p of the run.
func (c *Claim) In(p Phase) bool {
	if len(c.Phases) == 0 {
		return p.Measured()
	}
	return slices.Contains(c.Phases, p)
}

// About reports whether the claim is about messages of lane.
func (c *Claim) About(lane string) bool {
	if c.Lane == "" {
		return lane != Bulk || c.Kind == None
	}
	return c.Lane == lane
}

// Limit is the claim's limit in words.
func (c *Claim) Limit() string {
	switch c.Kind {
	case Delivery:
		if c.Within == 0 {
			return "all arrive"
		}
		return "≤ " + Words(c.Within)
	case OK:
		return "≤ " + Words(c.Within)
	case Held:
		return "2 regions before ok"
	case Faults:
		return fmt.Sprintf("≥ %d proved", c.AtLeast)
	case None:
		return "0"
	case Flat:
		return "growth ≤ " + share(*c.AtMost)
	case Scaled:
		return fmt.Sprintf("%d to ≥ %d to %d nodes", c.From, c.AtLeast, c.Back)
	case Shed:
		if c.AtMost == nil {
			return "none set"
		}
		return "≤ " + share(*c.AtMost) + " shed"
	case Failover:
		if c.Within == 0 {
			return "all come back"
		}
		return "≤ " + Words(c.Within) + " until caught up"
	}
	return ""
}

// share writes a limit as people do: 5 %, not 0.05.
func share(v float64) string { return strconv.FormatFloat(100*v, 'g', 6, 64) + " %" }

// Words writes a limit as people do: 200 ms, not 200ms.
func Words(d time.Duration) string {
	switch {
	case d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	case d%time.Millisecond == 0:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return d.String()
}

// validate calls bad for everything that is wrong with the claim, with the YAML field that is meant.
func (c *Claim) validate(bad func(field, format string, args ...any)) {
	if c.ID == "" || strings.Trim(c.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		bad("id", "%q must be a short name of a-z, 0-9 and -", c.ID)
	}
	if c.Says == "" {
		bad("says", "missing; write the promise as one sentence")
	}
	if !slices.Contains(kinds, c.Kind) {
		bad("kind", "%q is not one of %v", c.Kind, kinds)
		return // what the other fields mean depends on it
	}
	if c.Lane != "" && !slices.Contains(lanes, c.Lane) {
		bad("lane", "%q is not one of %v", c.Lane, lanes)
	}
	if c.Lane == Bulk && c.Kind != None {
		bad("lane", "bulk messages may be shed, so nothing is promised about their delivery; use kind shed for how many arrived, and kind none for doubled or invented ones")
	}
	if c.Within < 0 {
		bad("within", "%v is negative", c.Within)
	}
	if c.Kind == OK && c.Within == 0 {
		bad("within", "missing; a claim of kind ok needs a limit such as 200ms")
	}
	c.validateNodes(bad)
	if c.AtLeast < 1 {
		bad("at_least", "%d must be at least 1, since no data is never a pass", c.AtLeast)
	}
	among(c.Population, populations, "population", bad)
	for _, f := range c.Of {
		among(f, Flaws, "of", bad)
	}
	for _, p := range c.Phases {
		among(p, Phases, "phases", bad)
	}
	for _, pointless := range []struct {
		field string
		given bool
		kinds []Kind // for which the field means something
	}{
		{"lane", c.Lane != "", []Kind{Delivery, None, OK, Held, Faults}},
		{"within", c.Within != 0, []Kind{Delivery, OK, Failover}},
		{"population", c.Population != All, []Kind{Delivery, None}},
		{"of", len(c.Of) > 0, []Kind{None}},
		{"phases", len(c.Phases) > 0, []Kind{Delivery, OK, Flat, Shed}},
		{"at_most", c.AtMost != nil, []Kind{Flat, Shed}},
		{"metric", c.Metric != "", []Kind{Flat}},
		{"region", c.Region != "", []Kind{Scaled}},
		{"from", c.From != 0, []Kind{Scaled}},
		{"back", c.Back != 0, []Kind{Scaled}},
	} {
		if pointless.given && !slices.Contains(pointless.kinds, c.Kind) {
			bad(pointless.field, "has no meaning for a claim of kind %s", c.Kind)
		}
	}
}

// validateNodes looks at the fields of the kinds that are about nodes and shares.
func (c *Claim) validateNodes(bad func(field, format string, args ...any)) {
	if c.AtMost != nil && !(*c.AtMost >= 0 && *c.AtMost <= 1) { // NaN too
		bad("at_most", "%v is not a share between 0 and 1", *c.AtMost)
	}
	switch c.Kind {
	case Flat:
		if !slices.Contains(metrics, c.Metric) {
			bad("metric", "%q is not one of %v", c.Metric, metrics)
		}
		if c.AtMost == nil || *c.AtMost == 0 {
			bad("at_most", "missing; a claim of kind flat needs the share by which the metric may grow, such as 0.05")
		}
		if c.AtLeast < FlatBlocks {
			bad("at_least", "%d blocks say too little about a slope; at least %d", c.AtLeast, FlatBlocks)
		}
	case Scaled:
		if c.From < 1 {
			bad("from", "%d: name the number of nodes at the beginning", c.From)
		}
		if c.Back < 1 {
			bad("back", "%d: name the number of nodes at the end", c.Back)
		}
		if c.AtLeast <= max(c.From, c.Back) {
			bad("at_least", "%d nodes under load must be more than the %d at the beginning and the %d at the end", c.AtLeast, c.From, c.Back)
		}
	}
}

func among[T ~string](v T, known []T, field string, bad func(field, format string, args ...any)) {
	if !slices.Contains(known, v) {
		bad(field, "%q is not one of %v", v, known)
	}
}
