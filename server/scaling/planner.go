package scaling

import (
	"maps"
	"slices"
	"time"
)

// Decision is how many nodes a region should have.
type Decision struct {
	Region   string
	Replicas int
	Reason   Reason
	Need     int // what the load and the calendar alone ask for
}

// Planner decides, and remembers what it has decided: it is the hysteresis. It has no clock and no lock.
type Planner struct {
	policy  *Policy
	started time.Time // of the first decision
	regions map[string]*region
}

// region is what the planner knows of one.
type region struct {
	replicas int
	low      time.Time // since when fewer would do; zero if they would not
}

// NewPlanner returns a planner without a past.
func NewPlanner(p *Policy) *Planner { return &Planner{policy: p, regions: map[string]*region{}} }

// Use follows another policy from now on, without forgetting what has been decided.
func (p *Planner) Use(policy *Policy) { p.policy = policy }

// settle is how long a planner looks before it believes that nodes which it has not heard do not exist: until
// then a region needs at least the nodes that it has, as if it had needed them before.
const settle = HeardFor

// Desired decides for every region of the policy, and every one that has a load, in the order of their names.
// now must not go back.
func (p *Planner) Desired(now time.Time, loads []Load) []Decision {
	if p.started.IsZero() {
		p.started = now
	}
	byRegion := map[string][]Load{}
	for name := range p.policy.Regions {
		byRegion[name] = nil
	}
	for name := range p.regions {
		byRegion[name] = nil
	}
	for _, l := range loads {
		byRegion[l.Region] = append(byRegion[l.Region], l)
	}
	var all []Decision
	for _, name := range slices.Sorted(maps.Keys(byRegion)) {
		all = append(all, p.decide(name, now, byRegion[name]))
	}
	return all
}

// decide is one step of a region's state machine.
func (p *Planner) decide(name string, now time.Time, loads []Load) Decision {
	need := p.policy.need(name, now, loads)
	r := p.regions[name]
	if r == nil {
		r = &region{}
		p.regions[name] = r
	}
	young := now.Sub(p.started) < settle
	if young {
		r.replicas = max(r.replicas, serving(loads))
	}
	r.replicas = min(r.replicas, p.policy.Capacity(name).Max) // which may have been lowered
	d := Decision{Region: name, Need: need.Replicas, Reason: need.Reason}
	switch {
	case need.Replicas >= r.replicas: // up, at once
		r.replicas, r.low = need.Replicas, time.Time{}
	case len(loads) == 0:
		r.low, d.Reason = time.Time{}, Unheard
	case need.spare >= r.replicas, young: // one node less would do, but only just, or nobody knows yet
		r.low, d.Reason = time.Time{}, Stabilizing
	case r.low.IsZero():
		r.low, d.Reason = now, Stabilizing
	case now.Sub(r.low) >= p.policy.StabilizeFor:
		r.replicas--
		r.low = now // the next one has to wait as long
		if r.replicas > need.Replicas {
			d.Reason = Stabilizing
		}
	default:
		d.Reason = Stabilizing
	}
	d.Replicas = r.replicas
	return d
}

// serving counts the nodes that stay.
func serving(loads []Load) (n int) {
	for _, l := range loads {
		if !l.Draining {
			n++
		}
	}
	return n
}
