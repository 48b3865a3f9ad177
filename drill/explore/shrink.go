package explore

import (
	"slices"
	"time"
)

// shrink looks for a smaller schedule that still fails, until none of its own variations does or fails has had enough
// (it then answers false to everything). First whole faults go, by halves, quarters, and one by one (delta debugging:
// Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002); then what is left gets shorter,
// earlier and milder.
func shrink(s Schedule, fails func(Schedule) bool) Schedule {
	s = fewer(s, fails)
	for changed := true; changed; {
		changed = false
		for _, smaller := range variations(s) {
			if smaller.Check() == nil && fails(smaller) {
				s, changed = smaller, true
				break
			}
		}
	}
	return s
}

// fewer removes faults.
func fewer(s Schedule, fails func(Schedule) bool) Schedule {
	for parts := 2; len(s) > 1; {
		parts = min(parts, len(s))
		size := (len(s) + parts - 1) / parts
		removed := false
		for from := 0; from < len(s); from += size {
			rest := slices.Delete(slices.Clone(s), from, min(from+size, len(s)))
			if len(rest) > 0 && fails(rest) {
				s, removed = rest, true
				break
			}
		}
		switch {
		case removed:
			parts = 2
		case parts == len(s):
			return s
		default:
			parts *= 2
		}
	}
	return s
}

// variations are the schedules that are one step simpler, the boldest step first. Every one of them is smaller in some
// respect and larger in none, so that shrinking ends.
func variations(s Schedule) (all []Schedule) {
	with := func(i int, change func(*Fault)) {
		v := slices.Clone(s)
		change(&v[i])
		if v[i] != s[i] {
			all = append(all, v.sorted())
		}
	}
	if first := s[0].At; first > 0 { // all of it earlier
		v := slices.Clone(s)
		for i := range v {
			v[i].At -= first
		}
		all = append(all, v)
	}
	for i := range s {
		with(i, func(f *Fault) { f.Hold = halved(f.Hold, minHold, grain) })
		with(i, func(f *Fault) { f.Delay = halved(f.Delay, min(f.Delay, minDelay), 10*time.Millisecond) })
		with(i, func(f *Fault) { f.Loss = float64(max(min(int(f.Loss), minLoss), int(f.Loss)/2)) })
		if i > 0 {
			with(i, func(f *Fault) { f.At -= halved(f.At-s[i-1].At, 0, grain) })
		}
	}
	return all
}

// halved is half of d in whole steps, and not less than least.
func halved(d, least, step time.Duration) time.Duration { return max(least, (d / 2).Truncate(step)) }
