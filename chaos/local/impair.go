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

// impair is a fault of the network: directed paths that are cut, slower or lossy.
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

// effect shows what the links of one pair do.
func (f *impair) effect(ctx context.Context, p pair) (string, error) {
	var cut bool
	var late, unsteady time.Duration
	var lossy []link
	for _, l := range p.links {
		cut = cut || l.impair.Cut
		late += l.impair.Delay
		unsteady += l.impair.Jitter
		if l.impair.Loss > 0 {
			lossy = append(lossy, l)
		}
	}
	var text string
	var err error
	switch {
	case cut:
		text, err = f.cut(ctx, p)
	case late > 0:
		text, err = f.slower(ctx, p, late, unsteady)
	default:
		text, err = f.lossy(ctx, p, lossy)
	}
	if err != nil {
		return text, err
	}
	return text, f.asAsked(p)
}

// asAsked compares each direction with the plan. A request and its answer are silent already when
// one direction is cut, so a probe cannot tell half a cut from a whole one; the network can.
func (f *impair) asAsked(p pair) error {
	for _, l := range p.links {
		now, err := f.network.Path(l.from, l.to)
		if err != nil {
			return err
		}
		if l.impair.Cut && !now.Cut || now.Loss < l.impair.Loss || now.Delay < l.impair.Delay || now.Jitter < l.impair.Jitter {
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

// lossy shows that the network has dropped packets by chance on each path, sending some until it has.
func (f *impair) lossy(ctx context.Context, p pair, lossy []link) (string, error) {
	lost := func() (n []uint64) {
		c := f.network.Counters()
		for _, l := range lossy {
			n = append(n, c.Path(l.from, l.to).Lost)
		}
		return n
	}
	before := lost()
	more := func() bool {
		for i, n := range lost() {
			if n == before[i] {
				return false
			}
		}
		return true
	}
	for !more() {
		one, cancel := context.WithTimeout(ctx, lookFor)
		err := p.burst(one, burstSize)
		cancel()
		// A burst that times out has lost packets, most likely. The counters say.
		if ctx.Err() != nil || err != nil && !silent(err) {
			return "nothing is lost", errors.Join(fmt.Errorf("%s: the network has dropped no packet by chance", p), err)
		}
	}
	return "packets are lost" + f.dropped(p), nil
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
		if now.Cut || now.Loss > 0 || now.Jitter > 0 {
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
