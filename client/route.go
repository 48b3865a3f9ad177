package client

import "time"

// nowhere is the index of no endpoint.
const nowhere = -1

// suspicion is how long an endpoint that failed is tried only after the others.
const suspicion = 3 * time.Second

// choose returns the endpoint for a home that needs one: the first in the order of preference whose
// region is not taken by the other home, passing over those that failed within suspicion as long as
// there is another. If all are suspect it is the one that failed longest ago, and fresh is false:
// the caller should not hurry. Nothing is eligible only if every region is taken.
func choose(endpoints []Endpoint, failed []time.Time, taken map[string]bool, now time.Time) (index int, fresh bool) {
	index = nowhere
	for i, e := range endpoints {
		if taken[e.Region] {
			continue
		}
		if failed[i].IsZero() || now.Sub(failed[i]) >= suspicion {
			return i, true
		}
		if index == nowhere || failed[i].Before(failed[index]) {
			index = i
		}
	}
	return index, false
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
