package wan

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Profile says how far apart the places are.
type Profile struct {
	Name   string
	Source string // where the figures come from
	// Regions in the order in which a smaller cluster takes them.
	Regions []string
	// Access is the round trip between the venue and any region.
	Access time.Duration
	// RoundTrips between regions; one entry per pair, in either order.
	RoundTrips map[Pair]time.Duration
}

// Pair is two regions.
type Pair struct{ A, B string }

// maxRegions bounds a profile: regions are numbered in one byte of their addresses, and the router
// looks at every path each time it wakes.
const maxRegions = 16

//go:embed default.yaml
var defaultProfile []byte

// DefaultProfile is three regions on three continents with public round-trip times.
func DefaultProfile() Profile {
	p, err := ParseProfile("default.yaml", defaultProfile)
	if err != nil {
		panic("the embedded profile: " + err.Error()) // a test parses it
	}
	return p
}

// RoundTrip is the distance between two places: a region and itself are 0 apart.
func (p Profile) RoundTrip(a, b string) time.Duration {
	switch {
	case a == b:
		return 0
	case a == Venue || b == Venue:
		return p.Access
	}
	if d, ok := p.RoundTrips[Pair{a, b}]; ok {
		return d
	}
	return p.RoundTrips[Pair{b, a}]
}

// Only returns the profile of some of its regions, in the given order.
func (p Profile) Only(regions ...string) (Profile, error) {
	var unknown []string
	for _, r := range regions {
		if !slices.Contains(p.Regions, r) {
			unknown = append(unknown, r)
		}
	}
	if len(unknown) > 0 {
		return Profile{}, fmt.Errorf("profile %q has no region %s: it has %s", p.Name, strings.Join(unknown, ", "), strings.Join(p.Regions, ", "))
	}
	q := p
	q.Regions = slices.Clone(regions)
	q.RoundTrips = make(map[Pair]time.Duration)
	for i, a := range regions {
		for _, b := range regions[i+1:] {
			q.RoundTrips[Pair{a, b}] = p.RoundTrip(a, b)
		}
	}
	return q, q.Validate()
}

// Validate says everything that is wrong with the profile.
func (p Profile) Validate() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(p.Regions) == 0 {
		say("regions: name at least one")
	}
	if len(p.Regions) > maxRegions {
		say("regions: %d, at most %d are possible", len(p.Regions), maxRegions)
	}
	for i, r := range p.Regions {
		if err := validRegion(r); err != nil {
			wrong = append(wrong, fmt.Errorf("regions: %w", err))
		}
		if slices.Contains(p.Regions[:i], r) {
			say("regions: %q is there twice", r)
		}
	}
	if p.Access < 0 {
		say("access: %v must not be negative", p.Access)
	}
	for i, a := range p.Regions {
		for _, b := range p.Regions[i+1:] {
			ab, okAB := p.RoundTrips[Pair{a, b}]
			ba, okBA := p.RoundTrips[Pair{b, a}]
			switch {
			case !okAB && !okBA:
				say("round_trip: the pair %s, %s is missing", a, b)
			case okAB && okBA && ab != ba:
				say("round_trip: %s to %s is %v, but %s to %s is %v: a round trip is the same both ways, give it once", a, b, ab, b, a, ba)
			case ab < 0 || ba < 0:
				say("round_trip: %s to %s must not be negative", a, b)
			}
		}
	}
	for pair := range p.RoundTrips {
		for _, r := range []string{pair.A, pair.B} {
			if !slices.Contains(p.Regions, r) {
				say("round_trip: %q is not one of the regions", r)
			}
		}
		if pair.A == pair.B {
			say("round_trip: %s to itself: leave it out, it is 0", pair.A)
		}
	}
	return errors.Join(wrong...)
}

// validRegion keeps region names usable as a part of node names, paths and labels.
func validRegion(name string) error {
	if name == "" || len(name) > 40 {
		return fmt.Errorf("%q must have 1 to 40 characters", name)
	}
	if name == Venue {
		return fmt.Errorf("%q is the name of the vendors' place, choose another", name)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%q: only a-z, 0-9 and '-' are allowed", name)
		}
	}
	if name[0] == '-' || name[len(name)-1] == '-' {
		return fmt.Errorf("%q must not begin or end with '-'", name)
	}
	return nil
}
