package nodes

import "slices"

// Count is how many nodes were up at an instant, and how many connections all of them had.
type Count struct {
	Mono        int64
	Up          int
	Connections int
}

// round is within how long of the first sample every node that is up has been looked at once.
const round = int64(2e9)

// stale is how old a node's sample may be to count: a drill looks once a second, and may be held up by one that does not
// answer.
const stale = int64(5e9)

// Counts says for each instant in [from, to) at which a node was sampled how many were up, by the latest sample of each.
// Connections that could not be read count as they last were. Instants at which some node may not yet have been looked at
// are left out.
func Counts(all []Node, from, to int64) []Count {
	var instants []int64
	for i := range all {
		for _, s := range all[i].Samples {
			if s.Mono >= from && s.Mono < to {
				instants = append(instants, s.Mono)
			}
		}
	}
	if first, any := begin(all); any {
		instants = slices.DeleteFunc(instants, func(at int64) bool { return at < first+round })
	}
	slices.Sort(instants)
	instants = slices.Compact(instants)
	counts := make([]Count, len(instants))
	for k, at := range instants {
		counts[k].Mono = at
	}
	for i := range all {
		samples, next := all[i].Samples, 0
		connections := 0
		for k, at := range instants {
			for ; next < len(samples) && samples[next].Mono <= at; next++ {
				switch s := &samples[next]; {
				case !s.Up:
					connections = 0
				case s.Goroutines > 0:
					connections = s.Connections
				}
			}
			if next == 0 {
				continue
			}
			if s := &samples[next-1]; s.Up && at-s.Mono <= stale {
				counts[k].Up++
				counts[k].Connections += connections
			}
		}
	}
	return counts
}

// begin is the instant of the very first sample.
func begin(all []Node) (first int64, any bool) {
	for i := range all {
		if at := all[i].Samples[0].Mono; !any || at < first {
			first, any = at, true
		}
	}
	return first, any
}
