package local

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/cluster"
)

// match returns the nodes that fit the selector, whatever its mode, in their order. It refuses a
// label that no node has: on a cluster that is a selector that finds nobody, or everybody.
func match(s *experiment.Selector, all []*cluster.Node) ([]*cluster.Node, error) {
	if len(s.Addresses) > 0 {
		return named(s.Addresses, all)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		if err := known(key, all); err != nil {
			return nil, err
		}
	}
	for _, e := range s.Expressions {
		if err := known(e.Key, all); err != nil && e.Operator != experiment.DoesNotExist {
			return nil, err
		}
	}
	var found []*cluster.Node
	for _, c := range all {
		if fits(s, c) {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the selector (%s) matches no node; %s", describe(s), labels(all))
	}
	return found, nil
}

// named returns the nodes that stand in an address list, with or without a port.
func named(addresses []string, all []*cluster.Node) (found []*cluster.Node, err error) {
	for _, address := range addresses {
		name, _, _ := strings.Cut(address, ":")
		i := slices.IndexFunc(all, func(c *cluster.Node) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("address %q is not a node of this cluster: here an address is the name of a node; %s", address, labels(all))
		}
		if !slices.Contains(found, all[i]) {
			found = append(found, all[i])
		}
	}
	return found, nil
}

func known(key string, all []*cluster.Node) error {
	for _, c := range all {
		if _, ok := c.Labels()[key]; ok {
			return nil
		}
	}
	return fmt.Errorf("no node has the label %s; %s", key, labels(all))
}

func fits(s *experiment.Selector, c *cluster.Node) bool {
	labels := c.Labels()
	for key, want := range s.Labels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	for _, e := range s.Expressions {
		got, ok := labels[e.Key]
		in := ok && slices.Contains(e.Values, got)
		switch e.Operator {
		case experiment.In:
			ok = in
		case experiment.NotIn: // as in Kubernetes, also without the label
			ok = !in
		case experiment.Exists:
		case experiment.DoesNotExist:
			ok = !ok
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// choose applies the mode, as Chaos Mesh does: percentages are rounded down.
func choose(s *experiment.Selector, matched []*cluster.Node, rng *rand.Rand) ([]*cluster.Node, error) {
	n := len(matched)
	switch {
	case len(s.Addresses) > 0 || s.Mode == experiment.All: // an address list is taken whole
	case s.Mode == experiment.One:
		n = 1
	case s.Mode == experiment.Fixed:
		n = min(n, s.Value)
	case s.Mode == experiment.FixedPercent:
		n = n * s.Value / 100
	case s.Mode == experiment.RandomMaxPercent:
		n = n * rng.IntN(s.Value+1) / 100
	default:
		return nil, fmt.Errorf("mode %q is not known", s.Mode)
	}
	if n == 0 {
		return nil, fmt.Errorf("mode %s with value %d takes none of the %d matching nodes (%s); raise the value or use mode: one",
			s.Mode, s.Value, len(matched), strings.Join(names(matched), ", "))
	}
	chosen := make([]*cluster.Node, n)
	for i, j := range rng.Perm(len(matched))[:n] {
		chosen[i] = matched[j]
	}
	slices.SortFunc(chosen, func(a, b *cluster.Node) int { return slices.Index(matched, a) - slices.Index(matched, b) })
	return chosen, nil
}

// stream returns the random numbers of the nth plan of an experiment. They do not depend on the
// order in which different experiments are planned, so that a drill can be repeated.
func stream(seed uint64, e *experiment.Experiment, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s/%d", e.Kind, e.Name, n)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// describe says what a selector asks for.
func describe(s *experiment.Selector) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, key+"="+s.Labels[key])
	}
	for _, e := range s.Expressions {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Key, e.Operator, strings.Join(e.Values, "|"))))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// labels says which labels there are, for people whose selector found nothing.
func labels(all []*cluster.Node) string {
	values := make(map[string][]string)
	for _, c := range all {
		for key, v := range c.Labels() {
			if !slices.Contains(values[key], v) {
				values[key] = append(values[key], v)
			}
		}
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, key+" ("+strings.Join(values[key], ", ")+")")
	}
	return "the nodes have the labels " + strings.Join(parts, "; ")
}

func names(cs []*cluster.Node) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Name
	}
	return out
}

// regionsOf returns the regions of the nodes, in their order, each once.
func regionsOf(cs []*cluster.Node) (regions []string) {
	for _, c := range cs {
		if !slices.Contains(regions, c.Region) {
			regions = append(regions, c.Region)
		}
	}
	return regions
}
