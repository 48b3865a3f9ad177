package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// processName is what a PhysicalMachineChaos calls the server.
const processName = "wedsync-server"

// Plan is what an experiment comes to on this cluster: decided, and nothing done yet.
type Plan struct {
	Experiment *experiment.Experiment
	Matched    []string // nodes that the selector fits
	Targets    []string // nodes that are hit: those that the mode takes
	Regions    []string // regions of the targets
	Seed       uint64   // of the choice

	// Hold is how long the fault is to last: what the drill says, else the experiment's duration.
	// The driver does not watch it; who injects, reverts.
	Hold time.Duration
	// Effect says in words what will be done.
	Effect string
	// Notes are what a reader should know about the difference to a cluster.
	Notes []string
	// Serving says that the service must not notice: see journal.Entry.
	Serving bool

	do     mechanism
	limits limits // zero: those of the driver
}

// Match says whom an experiment would hit in a cluster of these nodes, which need not run
// (cluster.Names). It refuses what Plan would refuse.
func Match(e *experiment.Experiment, nodes []*cluster.Node) (string, error) {
	p, err := decide(e, nodes, stream(0, e, 0))
	if err != nil {
		return "", err
	}
	if len(p.Targets) == len(p.Matched) {
		return strings.Join(p.Targets, ", "), nil
	}
	return fmt.Sprintf("%d of %s", len(p.Targets), strings.Join(p.Matched, ", ")), nil
}

// String is the plan for people.
func (p *Plan) String() string {
	e := p.Experiment
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n", e.Kind, e.Name, e.Action)
	fmt.Fprintf(&b, "  targets  %s of %d matching, in %s\n", strings.Join(p.Targets, ", "), len(p.Matched), strings.Join(p.Regions, ", "))
	fmt.Fprintf(&b, "  effect   %s\n", p.Effect)
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "  note     %s\n", n)
	}
	return b.String()
}

// mechanism is how a plan is carried out: exactly one of its parts is set.
type mechanism struct {
	down    *downAction
	freeze  bool
	links   []link
	drain   bool
	upgrade *upgradeAction
	scale   *scaleAction
	quota   *quotaAction
}

// downAction ends processes.
type downAction struct{ grace time.Duration }

// upgradeAction replaces processes by those of a program; empty: the same one.
type upgradeAction struct{ program string }

// scaleAction adds nodes.
type scaleAction struct{ nodes int }

// quotaAction limits processor time.
type quotaAction struct{ cores float64 }

// link is what happens to one directed path between two places.
type link struct {
	from, to string
	impair   wan.Impairment
}

// decide makes the plan. It is a function of its arguments alone.
func decide(e *experiment.Experiment, all []*cluster.Node, rng *rand.Rand) (*Plan, error) {
	p := &Plan{Experiment: e, Hold: e.Duration}
	if e.OneShot() {
		p.Hold = 0 // a kill has no duration of its own
	}
	if err := p.supported(); err != nil {
		return nil, p.errorf("%w", err)
	}
	matched, err := match(&e.Selector, all)
	if err != nil {
		return nil, p.errorf("%w", err)
	}
	chosen, err := choose(&e.Selector, matched, rng)
	if err != nil {
		return nil, p.errorf("%w", err)
	}
	p.Matched, p.Targets, p.Regions = names(matched), names(chosen), regionsOf(chosen)
	if there := regionsOf(all); len(p.Regions) == len(there) {
		return nil, p.errorf("the selector (%s) hits %s, which is every region there is (%s): nothing would be left to show that the service lives; narrow the selector",
			describe(&e.Selector), strings.Join(p.Targets, ", "), strings.Join(there, ", "))
	}
	switch e.Kind {
	case experiment.NetworkChaos:
		err = p.network(all, chosen, rng)
	default:
		err = p.processes()
	}
	if err != nil {
		return nil, p.errorf("%w", err)
	}
	return p, nil
}

// errorf names the experiment, and where it stands.
func (p *Plan) errorf(format string, args ...any) error {
	e := p.Experiment
	return fmt.Errorf("%s:%d: %s %s: %w", e.File, e.Line, e.Kind, e.Name, fmt.Errorf(format, args...))
}

// supported refuses what this driver has no mechanism for.
func (p *Plan) supported() error {
	e := p.Experiment
	const way = "not supported by the local driver; it does PodChaos (pod-kill, pod-failure, container-kill), NetworkChaos (partition, delay, loss, duplicate, corrupt, bandwidth, netem) and PhysicalMachineChaos (process with signal 19)"
	actions := map[string][]string{
		experiment.PodChaos:             {experiment.PodKill, experiment.PodFailure, experiment.ContainerKill},
		experiment.NetworkChaos:         {experiment.Partition, experiment.Delay, experiment.Loss, experiment.Duplicate, experiment.Corrupt, experiment.Bandwidth, experiment.Netem},
		experiment.PhysicalMachineChaos: {experiment.Process},
	}
	switch known := actions[e.Kind]; {
	case known == nil:
		return fmt.Errorf("kind %s is %s", e.Kind, way)
	case !slices.Contains(known, e.Action):
		return fmt.Errorf("action %s is %s", e.Action, way)
	case len(e.Foreign) > 0:
		return fmt.Errorf("%s: not supported by the local driver; remove it for a local drill", strings.Join(e.Foreign, ", "))
	case e.Action == experiment.ContainerKill && !slices.Equal(e.Containers, []string{cluster.Container}):
		return fmt.Errorf("cluster.Containers %v: a node has one container, %q", e.Containers, cluster.Container)
	case e.Action == experiment.Process && e.Process.Name != processName:
		return fmt.Errorf("process %q: a node has one process, %q", e.Process.Name, processName)
	case e.Action == experiment.Process && e.Process.Signal != int(syscall.SIGSTOP):
		return fmt.Errorf("signal %d is %s", e.Process.Signal, way)
	}
	return nil
}

// processes plans what is done to the targets' processes.
func (p *Plan) processes() error {
	e := p.Experiment
	who := strings.Join(p.Targets, ", ")
	switch e.Action {
	case experiment.PodKill, experiment.ContainerKill:
		p.do.down = &downAction{grace: e.GracePeriod}
		p.Effect = fmt.Sprintf("SIGKILL to %s, started again when the hold is over", who)
		if e.GracePeriod > 0 {
			p.Effect = fmt.Sprintf("SIGTERM to %s, SIGKILL after %v, started again when the hold is over", who, e.GracePeriod)
		}
		p.Notes = append(p.Notes, "the kernel keeps what was written: a kill says nothing about power loss")
	case experiment.PodFailure:
		p.do.down = &downAction{}
		p.Effect = fmt.Sprintf("SIGKILL to %s, held down, started again at the end", who)
		p.Notes = append(p.Notes, "the kernel keeps what was written: a kill says nothing about power loss")
	case experiment.Process:
		p.do.freeze = true
		p.Effect = fmt.Sprintf("SIGSTOP to %s, SIGCONT at the end", who)
		if e.Process.RecoverCmd != "" {
			p.Notes = append(p.Notes, "recoverCmd is not run: the driver sends SIGCONT itself")
		}
	}
	return nil
}

// network plans what is done to the paths. The local network knows places (the regions and the
// venue, where the vendors are), not nodes, so a selector must take whole regions.
func (p *Plan) network(all, chosen []*cluster.Node, rng *rand.Rand) error {
	e := p.Experiment
	if err := whole("the selector", all, chosen); err != nil {
		return err
	}
	var others []string
	if e.Target == nil { // all traffic of the targets, that with the vendors included
		others = append([]string{wan.Venue}, regionsOf(all)...)
	} else {
		matched, err := match(e.Target, all)
		if err != nil {
			return fmt.Errorf("target: %w", err)
		}
		ends, err := choose(e.Target, matched, rng)
		if err != nil {
			return fmt.Errorf("target: %w", err)
		}
		if err := whole("the target", all, ends); err != nil {
			return err
		}
		others = regionsOf(ends)
	}
	im, what := impairment(e)
	for _, here := range p.Regions {
		for _, there := range others {
			if here == there {
				continue // the traffic inside a region does not pass the network
			}
			if e.Direction != experiment.From {
				p.do.links = append(p.do.links, link{here, there, im})
			}
			// Between two targets the first has said it already.
			if e.Direction != experiment.To && !(slices.Contains(p.Regions, there) && e.Direction == experiment.Both) {
				p.do.links = append(p.do.links, link{there, here, im})
			}
		}
	}
	if len(p.do.links) == 0 {
		return errors.New("selector and target are the same region, and the traffic inside a region does not pass the network; name another target")
	}
	if e.Target == nil && e.Direction == experiment.Both && im.Cut {
		p.Effect = fmt.Sprintf("every packet to and from %s dropped, nothing closed", strings.Join(p.Regions, ", "))
	} else {
		var ways []string
		for _, l := range p.do.links {
			ways = append(ways, l.from+" to "+l.to)
		}
		p.Effect = fmt.Sprintf("%s: %s", what, strings.Join(ways, ", "))
	}
	return nil
}

// whole refuses a choice that takes a part of a region.
func whole(what string, all, chosen []*cluster.Node) error {
	for _, region := range regionsOf(chosen) {
		in := func(cs []*cluster.Node) (n int) {
			for _, c := range cs {
				if c.Region == region {
					n++
				}
			}
			return n
		}
		if got, want := in(chosen), in(all); got != want {
			return fmt.Errorf("%s takes %d of the %d nodes of %s, and the local network can only treat a region as a whole; use mode: all and select by topology.kubernetes.io/region", what, got, want, region)
		}
	}
	return nil
}

// impairment is what an action does to a path, and says it.
func impairment(e *experiment.Experiment) (im wan.Impairment, what string) {
	if e.Action == experiment.Partition {
		return wan.Impairment{Cut: true}, "every packet dropped"
	}
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	does := func(action string) bool { return e.Action == action || e.Action == experiment.Netem }
	if d := e.Delay; d != nil && does(experiment.Delay) {
		im.Delay, im.Jitter, im.Reorder = d.Latency, d.Jitter, d.Reorder/100
		say("packets %v later (give or take %v)", d.Latency, d.Jitter)
		if d.Reorder > 0 {
			say("%v %% of them not, so that they overtake", d.Reorder)
		}
	}
	if e.Loss != nil && does(experiment.Loss) {
		im.Loss = e.Loss.Percent / 100
		say("%v %% of the packets dropped", e.Loss.Percent)
	}
	if e.Duplicate > 0 && does(experiment.Duplicate) {
		im.Duplicate = e.Duplicate / 100
		say("%v %% of the packets twice", e.Duplicate)
	}
	if e.Corrupt > 0 && does(experiment.Corrupt) {
		im.Corrupt = e.Corrupt / 100
		say("%v %% of the packets with a wrong bit", e.Corrupt)
	}
	if b := e.Bandwidth; b != nil {
		im.Rate, im.Burst, im.Queue = b.Rate, b.Buffer, b.Limit
		say("at most %d bytes a second", b.Rate)
	}
	return im, strings.Join(parts, ", ")
}
