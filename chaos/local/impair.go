package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// impair is a fault of the network: directed paths that are cut, slower, narrower, or that treat packets badly.
//
// A probe is a request and its answer, so it sees both directions of a pair at once; the router's
// counters, which see one direction, stand beside it in the journal.
type impair struct {
	owner   uint64
	wanted  []link
	regions []string // of the targets
	links   *links
	network wan.Network
	nodes   []*cluster.Node

	healthy map[string]time.Duration // round trip of each pair before the fault
}

// pair is two places with at least one impaired path between them. Probes go from the other place to
// a node of the target's region: they start in different places then, and can run at once.
type pair struct {
	probe
	links []link // one or two
}

// pairs returns the pairs that are touched, in the order of the plan.
func (f *impair) pairs() (all []pair, err error) {
	for _, l := range f.wanted {
		here, there := l.from, l.to
		if !slices.Contains(f.regions, here) {
			here, there = there, here
		}
		same := func(p pair) bool {
			return p.from == there && p.to.Region == here || p.from == here && p.to.Region == there
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i].links = append(all[i].links, l)
			continue
		}
		n, err := f.alive(here)
		if err != nil {
			return nil, err
		}
		all = append(all, pair{probe{f.network, there, n}, []link{l}})
	}
	return all, nil
}

// alive returns a node of the region that can answer.
func (f *impair) alive(region string) (*cluster.Node, error) {
	for _, n := range f.nodes {
		if n.Region == region && n.Alive() && n.State() != stopped {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node of %s is running, so nothing there can be probed", region)
}

// before measures the round trip of each pair.
func (f *impair) before(ctx context.Context) (seen, error) {
	f.healthy = make(map[string]time.Duration)
	var mu sync.Mutex
	return f.look(ctx, func(ctx context.Context, p pair) (string, error) {
		took, err := p.roundTrip(ctx)
		if err != nil {
			return "no answer", err
		}
		mu.Lock()
		defer mu.Unlock()
		f.healthy[p.String()] = took
		return fmt.Sprintf("answered in %v", took.Round(time.Microsecond)), nil
	})
}

func (f *impair) inject(context.Context) error { return f.links.put(f.owner, f.wanted) }
func (f *impair) revert(context.Context) error { return f.links.take(f.owner) }

// prove shows the effect on each pair, and that a pair out of reach of the fault is well: otherwise
// it would be no partition but a network that is down.
func (f *impair) prove(ctx context.Context) (seen, error) {
	saw, err := f.look(ctx, f.effect)
	name, text, cerr := f.control(ctx)
	if saw == nil {
		saw = make(seen)
	}
	saw["control: "+name] = text
	return saw, errors.Join(err, cerr)
}

// effect shows what the links of one pair do: each thing that was asked for.
func (f *impair) effect(ctx context.Context, p pair) (string, error) {
	var cut, chance bool
	var late, unsteady time.Duration
	for _, l := range p.links {
		im := l.impair
		cut = cut || im.Cut
		late += im.Delay
		unsteady += im.Jitter
		chance = chance || len(traces(im)) > 0
	}
	if cut {
		text, err := f.cut(ctx, p)
		return text, errors.Join(err, f.asAsked(p))
	}
	var texts []string
	var errs error
	also := func(text string, err error) {
		texts, errs = append(texts, text), errors.Join(errs, err)
	}
	if late > 0 {
		also(f.slower(ctx, p, late, unsteady))
	}
	if chance {
		also(f.counted(ctx, p))
	}
	for _, l := range p.links {
		if l.impair.Rate > 0 && l.to == p.from { // the way of the answers
			also(f.narrow(ctx, p, l.impair))
		}
	}
	return strings.Join(texts, "; "), errors.Join(errs, f.asAsked(p))
}

// asAsked compares each direction with the plan. A request and its answer are silent already when
// one direction is cut, so a probe cannot tell half a cut from a whole one; the network can.
func (f *impair) asAsked(p pair) error {
	for _, l := range p.links {
		now, err := f.network.Path(l.from, l.to)
		if err != nil {
			return err
		}
		want := l.impair
		if want.Cut && !now.Cut || now.Loss < want.Loss || now.Delay < want.Delay || now.Jitter < want.Jitter || now.Duplicate < want.Duplicate ||
			now.Corrupt < want.Corrupt || now.Reorder < want.Reorder || want.Rate > 0 && (now.Rate == 0 || now.Rate > want.Rate) {
			return fmt.Errorf("%s to %s is not what was asked for: %+v, want at least %+v", l.from, l.to, now, l.impair)
		}
	}
	return nil
}

// cut shows that nothing comes back, and that nothing says why.
func (f *impair) cut(ctx context.Context, p pair) (string, error) {
	wait := 3*f.healthy[p.String()] + 300*time.Millisecond
	switch took, err := p.within(ctx, wait); {
	case err == nil:
		return "answers", fmt.Errorf("%s: answered after %v, although the path is cut", p, took)
	case !silent(err):
		return "is not silent", fmt.Errorf("a cut is silent, but: %w", err)
	}
	return fmt.Sprintf("no answer within %v%s", wait.Round(time.Millisecond), f.dropped(p)), nil
}

// slower shows that the round trip has moved by as much as was added, give or take a quarter.
func (f *impair) slower(ctx context.Context, p pair, added, unsteady time.Duration) (string, error) {
	was, ok := f.healthy[p.String()]
	if !ok {
		return "nothing to compare with", fmt.Errorf("%s: the round trip was not measured before the fault", p)
	}
	tolerance := max(added/4, noise) + unsteady/2
	if tolerance >= added {
		return "too little to prove", fmt.Errorf("%s: a delay of %v cannot be told from the noise (%v) of this network; ask for more", p, added, tolerance)
	}
	// Again and again if need be: a machine that is busy for a moment makes answers late by itself.
	text := "no answer"
	err := eventually(ctx, func(ctx context.Context) error {
		took, err := p.roundTrip(ctx)
		if err != nil {
			return err
		}
		text = fmt.Sprintf("answered in %v, %v before", took.Round(time.Microsecond), was.Round(time.Microsecond))
		if moved := took - was; moved < added-tolerance || moved > added+tolerance {
			return fmt.Errorf("%s: the round trip moved by %v, want %v ± %v", p, moved, added, tolerance)
		}
		return nil
	})
	return text, err
}

// noise is how much a round trip moves by itself on a busy machine.
const noise = 4 * time.Millisecond

// trace is something that the network counts when it does it.
type trace struct {
	what  string
	count func(wan.PathCounters) uint64
}

// traces are what an impairment must leave in the counters of its path.
func traces(im wan.Impairment) (all []trace) {
	for _, t := range []struct {
		asked bool
		trace
	}{
		{im.Loss > 0, trace{"lost", func(c wan.PathCounters) uint64 { return c.Lost }}},
		{im.Duplicate > 0, trace{"doubled", func(c wan.PathCounters) uint64 { return c.Duplicated }}},
		{im.Corrupt > 0, trace{"damaged", func(c wan.PathCounters) uint64 { return c.Corrupted }}},
		{im.Reorder > 0, trace{"sent ahead of others", func(c wan.PathCounters) uint64 { return c.Reordered }}},
		{im.Rate > 0, trace{"held up by the rate", func(c wan.PathCounters) uint64 { return c.Shaped + c.Queue }}},
	} {
		if t.asked {
			all = append(all, t.trace)
		}
	}
	return all
}

// counted shows that the network has done by chance what it should on each path, sending packets until it has.
func (f *impair) counted(ctx context.Context, p pair) (string, error) {
	look := func() map[string]uint64 {
		c := f.network.Counters()
		now := make(map[string]uint64)
		for _, l := range p.links {
			for _, t := range traces(l.impair) {
				now[l.from+" to "+l.to+": "+t.what] = t.count(c.Path(l.from, l.to))
			}
		}
		return now
	}
	before := look()
	missing := func() (names []string) {
		for name, n := range look() {
			if n == before[name] {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	for len(missing()) > 0 {
		one, cancel := context.WithTimeout(ctx, lookFor)
		err := p.burst(one, burstSize)
		cancel()
		// A burst that times out has lost packets, most likely. The counters say.
		if ctx.Err() != nil || err != nil && !silent(err) {
			return "not one packet " + strings.Join(missing(), ", "), errors.Join(fmt.Errorf("%s: no packet was %s", p, strings.Join(missing(), ", ")), err)
		}
	}
	var parts []string
	for name, n := range look() {
		parts = append(parts, fmt.Sprintf("%s: %d", name, n-before[name]))
	}
	slices.Sort(parts)
	return "packets " + strings.Join(parts, ", "), nil
}

// narrow shows that an answer takes as long as its rate says.
func (f *impair) narrow(ctx context.Context, p pair, im wan.Impairment) (string, error) {
	bytes, took, err := p.fetch(ctx, "/metrics")
	if err != nil {
		return "no answer", err
	}
	text := fmt.Sprintf("%d bytes in %v", bytes, took.Round(time.Millisecond))
	least := time.Duration(float64(bytes-im.Burst) / float64(im.Rate) * float64(time.Second))
	if took < least*3/4 {
		return text, fmt.Errorf("%s: %s is faster than %d bytes a second, which take at least %v", p, text, im.Rate, least.Round(time.Millisecond))
	}
	return text, nil
}

// burstSize is small enough for the queues of a path and large enough to show a loss of one per cent.
const burstSize = 50

// dropped says what the network has dropped on the paths of a pair since it was made.
func (f *impair) dropped(p pair) string {
	c := f.network.Counters()
	var parts []string
	for _, l := range p.links {
		k := c.Path(l.from, l.to)
		parts = append(parts, fmt.Sprintf("%s to %s: %d cut, %d lost so far", l.from, l.to, k.Cut, k.Lost))
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// control asks a node over a path that the fault does not touch. A node that is just being started for another fault
// may not answer yet, so any of them will do.
func (f *impair) control(ctx context.Context) (name, text string, err error) {
	name, text = "none", "every path is touched by a fault"
	err = eventually(ctx, func(ctx context.Context) error {
		var failed error
		for _, n := range f.nodes {
			for _, from := range append([]string{wan.Venue}, f.network.Regions()...) {
				if from == n.Region || !n.Alive() || n.State() == stopped || f.links.any(from, n.Region) {
					continue
				}
				p := probe{f.network, from, n}
				took, err := p.within(ctx, lookFor)
				if err == nil {
					name, text = p.String(), fmt.Sprintf("answered in %v", took.Round(time.Microsecond))
					return nil
				}
				name, text = p.String(), "no answer"
				failed = errors.Join(failed, fmt.Errorf("control, out of reach of the fault: %w", err))
			}
		}
		return failed
	})
	return name, text, err
}

// proveGone shows that each pair answers as before. A pair that another injection holds is passed over.
func (f *impair) proveGone(ctx context.Context) (seen, error) {
	return f.look(ctx, func(ctx context.Context, p pair) (string, error) {
		if f.links.others(f.owner, p.from, p.to.Region) {
			return "held by another fault", nil
		}
		var took time.Duration
		err := eventually(ctx, func(ctx context.Context) (err error) {
			if err := f.healed(p); err != nil {
				return err
			}
			if took, err = p.roundTrip(ctx); err != nil {
				return err
			}
			if was, ok := f.healthy[p.String()]; ok && took > was+was/4+noise {
				return fmt.Errorf("%s: answered in %v, %v before the fault", p, took, was)
			}
			return nil
		})
		if err != nil {
			return "not as before", err
		}
		return fmt.Sprintf("answered in %v", took.Round(time.Microsecond)), nil
	})
}

// healed asks the network whether it still does something to the pair by chance, which a few probes
// may not show.
func (f *impair) healed(p pair) error {
	for _, l := range p.links {
		now, err := f.network.Path(l.from, l.to)
		if err != nil {
			return err
		}
		if now.Cut || now.Loss > 0 || now.Jitter > 0 || now.Duplicate > 0 || now.Corrupt > 0 || now.Reorder > 0 || now.Rate > 0 {
			return fmt.Errorf("%s to %s is still impaired: %+v", l.from, l.to, now)
		}
	}
	return nil
}

// look looks at all pairs at once and collects what was seen, by the name of the probe.
func (f *impair) look(ctx context.Context, at func(context.Context, pair) (string, error)) (seen, error) {
	pairs, err := f.pairs()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	saw, errs := make(seen), make([]error, len(pairs))
	for i, p := range pairs {
		all.Go(func() { // owned by this call, which waits for it; ends with ctx
			text, err := at(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			saw[p.String()], errs[i] = text, err
		})
	}
	all.Wait()
	return saw, errors.Join(errs...)
}
