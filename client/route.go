package client

import "time"

// nowhere is the index of no endpoint.
const nowhere = -1

// suspicion is how long an endpoint that failed is tried only after the others.
const suspicion = 3 * time.Second

// standing is what speaks against an endpoint.
type standing struct {
	failed time.Time // last; zero: never
	shut   time.Time // its server has asked not to be tried before
}

func (s standing) good(now time.Time) bool {
	return (s.failed.IsZero() || now.Sub(s.failed) >= suspicion) && !now.Before(s.shut)
}

// worse says which of two endpoints, neither of them good, is to be tried later.
func (s standing) worse(o standing, now time.Time) bool {
	mine, others := now.Before(s.shut), now.Before(o.shut)
	switch {
	case mine != others:
		return mine
	case mine:
		return s.shut.After(o.shut)
	}
	return s.failed.After(o.failed)
}

// choose returns the endpoint for a home that needs one: the first in the order of preference whose
// region is not taken by the other home, passing over those that failed within suspicion or asked for a
// pause, as long as there is another. If there is none it is the one that failed longest ago, or the
// first that may be tried again, and fresh is false: the caller should not hurry. Nothing is eligible only if
// every region is taken. The endpoint not, if it is somewhere, is none to choose.
func choose(endpoints []Endpoint, standings []standing, not int, taken map[string]bool, now time.Time) (index int, fresh bool) {
	index = nowhere
	for i, e := range endpoints {
		if i == not || taken[e.Region] {
			continue
		}
		if standings[i].good(now) {
			return i, true
		}
		if index == nowhere || standings[index].worse(standings[i], now) {
			index = i
		}
	}
	return index, false
}

// refuge returns the endpoint for a home whose node sends it away: another one of the same region, because that is as
// near, or else the one that choose finds; nowhere if there is no other.
func refuge(endpoints []Endpoint, standings []standing, from int, taken map[string]bool, now time.Time) int {
	for i, e := range endpoints {
		if i != from && e.Region == endpoints[from].Region && standings[i].good(now) {
			return i
		}
	}
	at, _ := choose(endpoints, standings, from, taken, now)
	return at
}

// better returns the first endpoint of a region that is preferred to that of current and not taken,
// or nowhere. Failures do not count: to try is how a home learns that its region is back.
func better(endpoints []Endpoint, current int, taken map[string]bool) int {
	for i, e := range endpoints {
		if e.Region == endpoints[current].Region {
			return nowhere
		}
		if !taken[e.Region] {
			return i
		}
	}
	return nowhere
}

// rank returns the place of an endpoint's region in the order of preference, from 0.
func rank(endpoints []Endpoint, index int) int {
	seen := map[string]bool{}
	for _, e := range endpoints {
		if e.Region == endpoints[index].Region {
			break
		}
		seen[e.Region] = true
	}
	return len(seen)
}
