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
// A claim is judged with one of five verdicts, of which only PASS opens a gate (see Verdict), and
// the verdict of a drill is the worst of its claims and of the checks of the run itself (see Worst).
package claim

import (
	"fmt"
	"slices"
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
)

// Population is the set of recipients a claim is about.
type Population string

// The populations. Connected and Displaced divide the deliveries of a run; DualHomed and SingleHomed
// divide its vendors.
const (
	All         Population = "all"
	Connected   Population = "connected"    // not displaced: had a session in a region no fault touched, or no fault took it away
	Displaced   Population = "displaced"    // its only sessions were in a region under fault while the message was due
	DualHomed   Population = "dual-homed"   // keeps sockets in two regions
	SingleHomed Population = "single-homed" // keeps one socket and fails over
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

// The lanes of messages. The empty lane of a claim means both.
const (
	Urgent = "urgent"
	Normal = "normal"
)

// Claim is one refutable sentence about a run.
type Claim struct {
	ID   string `json:"id"`   // short, unique in the drill: [a-z0-9-]
	Says string `json:"says"` // the sentence, for people
	Kind Kind   `json:"kind"`

	Lane       string        `json:"lane,omitempty"`      // urgent, normal; empty: both
	Population Population    `json:"population"`          // delivery and none; default all
	Within     time.Duration `json:"within_ns,omitempty"` // delivery and ok: the limit, inclusive. 0 for delivery: no limit, it only has to arrive
	Of         []Flaw        `json:"of,omitempty"`        // none: the classes; default all
	Phases     []Phase       `json:"phases,omitempty"`    // default: the whole measured span
	AtLeast    int           `json:"at_least"`            // least number of messages (of injections for faults) that must have been observed; default 1

	Line int `json:"-"` // line in the drill file
}

var (
	kinds       = []Kind{Delivery, None, OK, Held, Faults}
	populations = []Population{All, Connected, Displaced, DualHomed, SingleHomed}
	lanes       = []string{Urgent, Normal}
)

// In reports whether the claim is about phase p of the run.
func (c *Claim) In(p Phase) bool {
	if len(c.Phases) == 0 {
		return p.Measured()
	}
	return slices.Contains(c.Phases, p)
}

// About reports whether the claim is about messages of lane.
func (c *Claim) About(lane string) bool { return c.Lane == "" || c.Lane == lane }

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
	}
	return ""
}

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
	if c.Within < 0 {
		bad("within", "%v is negative", c.Within)
	}
	if c.Kind == OK && c.Within == 0 {
		bad("within", "missing; a claim of kind ok needs a limit such as 200ms")
	}
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
		{"within", c.Within != 0, []Kind{Delivery, OK}},
		{"population", c.Population != All, []Kind{Delivery, None}},
		{"of", len(c.Of) > 0, []Kind{None}},
		{"phases", len(c.Phases) > 0, []Kind{Delivery, OK}},
	} {
		if pointless.given && !slices.Contains(pointless.kinds, c.Kind) {
			bad(pointless.field, "has no meaning for a claim of kind %s", c.Kind)
		}
	}
}

func among[T ~string](v T, known []T, field string, bad func(field, format string, args ...any)) {
	if !slices.Contains(known, v) {
		bad(field, "%q is not one of %v", v, known)
	}
}
