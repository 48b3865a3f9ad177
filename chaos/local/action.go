package local

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/cluster"
)

// ActionKind is the kind of an action in the journal, where an experiment has its Chaos Mesh kind.
const ActionKind = "DrillAction"

// The kinds of actions.
const (
	Upgrade  = "upgrade"   // replace the processes of a region (or of all), one after the other: SIGTERM, start, ready
	Drain    = "drain"     // SIGTERM to a node, or to the nodes of a region; started again at the revert
	Kill     = "kill"      // SIGKILL; started again at the revert
	CPUQuota = "cpu-quota" // limit the processor time of each process
	Scale    = "scale"     // add nodes to a region; they are drained and removed at the revert
)

// ActionKinds lists them.
var ActionKinds = []string{Upgrade, Drain, Kill, CPUQuota, Scale}

// Action is something that a drill does to nodes.
type Action struct {
	Kind   string
	Region string  // whose nodes; empty: those of Node, or (upgrade) of all regions
	Node   string  // a single node, instead of a region
	CPU    float64 // cpu-quota: of one core, for each process
	Nodes  int     // scale: how many to add
	Server string  // upgrade: path of the new program; empty: the same one
	SHA256 string  // hex, of the action as it stands in its file
}

// minCPU is the least that can be told from a process that is stopped.
const minCPU = 0.05

// Validate says everything that is wrong with an action by itself.
func (a Action) Validate() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !slices.Contains(ActionKinds, a.Kind) {
		say("kind %q is not one of %s", a.Kind, strings.Join(ActionKinds, ", "))
		return errors.Join(wrong...)
	}
	switch {
	case a.Region != "" && a.Node != "":
		say("region %q and node %q: name one of them", a.Region, a.Node)
	case a.Kind == Scale && a.Region == "":
		say("scale needs a region")
	case a.Region == "" && a.Node == "" && a.Kind != Upgrade:
		say("%s needs a region or a node", a.Kind)
	}
	switch {
	case a.Kind == CPUQuota && !(a.CPU >= minCPU && a.CPU <= 64): // written so that NaN is wrong too
		say("cpu %v: cpu-quota needs a number of cores from %v, such as 0.5", a.CPU, minCPU)
	case a.Kind != CPUQuota && a.CPU != 0:
		say("cpu is for cpu-quota, not for %s", a.Kind)
	}
	switch {
	case a.Kind == Scale && a.Nodes < 1:
		say("nodes %d: scale needs how many to add", a.Nodes)
	case a.Kind != Scale && a.Nodes != 0:
		say("nodes is for scale, not for %s", a.Kind)
	}
	if a.Kind != Upgrade && a.Server != "" {
		say("server is for upgrade, not for %s", a.Kind)
	}
	return errors.Join(wrong...)
}

// Name is what the journal and the screen call the action, such as drain-us-east-1.
func (a Action) Name() string {
	switch {
	case a.Node != "":
		return a.Kind + "-" + a.Node
	case a.Region != "":
		return a.Kind + "-" + a.Region
	}
	return a.Kind + "-all"
}

// Longest is how long the action itself can take in a cluster of these nodes: from its beginning to the proof, and back.
func (a Action) Longest(nodes []*cluster.Node) time.Duration {
	p, err := a.decide(nodes)
	if err != nil {
		return 0
	}
	return max(proveWithin, p.limits.prove) + p.limits.revert
}

// MatchAction says whom an action would hit in a cluster of these nodes, which need not run, and what it would do. It
// refuses what PlanAction would refuse.
func MatchAction(a Action, nodes []*cluster.Node) (effect string, err error) {
	p, err := a.decide(nodes)
	if err != nil {
		return "", err
	}
	return p.Effect, nil
}

// decide makes the plan. It is a function of its arguments alone.
func (a Action) decide(all []*cluster.Node) (*Plan, error) {
	wrap := func(err error) error { return fmt.Errorf("action %s: %w", a.Kind, err) }
	if err := a.Validate(); err != nil {
		return nil, wrap(err)
	}
	var targets []*cluster.Node
	for _, n := range all {
		if n.Name == a.Node || n.Region == a.Region || a.Node == "" && a.Region == "" {
			targets = append(targets, n)
		}
	}
	if len(targets) == 0 {
		return nil, wrap(fmt.Errorf("there is no node %s; there are %s", a.Region+a.Node, strings.Join(names(all), ", ")))
	}
	if a.Kind == Drain || a.Kind == Kill {
		if left := regionsOf(slices.DeleteFunc(slices.Clone(all), func(n *cluster.Node) bool { return slices.Contains(targets, n) })); len(left) < 2 {
			return nil, wrap(fmt.Errorf("it takes %s away, and an update is held in two regions before it is acknowledged: only %d would be left; name one node, or have more regions",
				strings.Join(names(targets), ", "), len(left)))
		}
	}
	p := &Plan{
		Experiment: &experiment.Experiment{Kind: ActionKind, Name: a.Name(), Action: a.Kind, SHA256: a.SHA256, Selector: experiment.Selector{Mode: experiment.All}},
		Matched:    names(targets), Targets: names(targets), Regions: regionsOf(targets), Serving: a.Kind != Kill,
	}
	a.describe(p)
	return p, nil
}

// describe says how a plan is carried out, in words and for the driver.
func (a Action) describe(p *Plan) {
	who, count := strings.Join(p.Targets, ", "), time.Duration(len(p.Targets))
	const spare = 10 * time.Second
	switch a.Kind {
	case Upgrade:
		p.do.upgrade = &upgradeAction{a.Server}
		p.limits = limits{prove: count*cluster.UpgradeWithin + spare, revert: count * spare}
		p.Effect = fmt.Sprintf("%s replaced one after the other: SIGTERM, start, ready", who)
		if a.Server != "" {
			p.Effect += ", with " + a.Server
		}
	case Drain:
		p.do.drain = true
		p.limits = limits{prove: cluster.DrainGrace + spare}
		p.Effect = fmt.Sprintf("SIGTERM to %s, started again when the hold is over", who)
	case Kill:
		p.do.down = &downAction{}
		p.Effect = fmt.Sprintf("SIGKILL to %s, held down, started again at the end", who)
		p.Notes = append(p.Notes, "the kernel keeps what was written: a kill says nothing about power loss")
	case CPUQuota:
		p.do.quota = &quotaAction{a.CPU}
		p.limits = limits{prove: 2 * proveWithin}
		p.Effect = fmt.Sprintf("each of %s gets at most %v of a core, over %v", who, a.CPU, throttlePeriod(a.CPU).Round(time.Microsecond))
	case Scale:
		n := time.Duration(a.Nodes)
		p.do.scale = &scaleAction{a.Nodes}
		p.limits = limits{prove: n*cluster.UpgradeWithin + spare, revert: n*cluster.DrainGrace + spare}
		p.Effect = fmt.Sprintf("%d node(s) added to %s, drained and removed when the hold is over", a.Nodes, a.Region)
	}
}
