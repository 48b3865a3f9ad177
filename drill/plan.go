package drill

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/local"
	"github.com/wedsync/wedsync/cluster"
)

// Plan says what a run would do, for --dry-run.
func Plan(d *Drill, out io.Writer) error {
	experiments, err := d.experiments()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s\n", d.Metadata.Name, d.Title)
	fmt.Fprintf(out, "  topology   %v, %d node(s) each\n", d.Topology.Regions, d.Topology.Nodes)
	fmt.Fprintf(out, "  scenario   %s %v\n", d.Scenario.Script, d.Scenario.Env)
	if d.Topology.MaxNodes > d.Topology.Nodes {
		fmt.Fprintf(out, "             up to %d per region\n", d.Topology.MaxNodes)
	}
	if len(d.Topology.Args) > 0 {
		fmt.Fprintf(out, "  servers    %s\n", strings.Join(d.Topology.Args, " "))
	}
	if d.Topology.Scaling != "" {
		fmt.Fprintf(out, "  scaling    as the servers ask by %s\n", d.Topology.Scaling)
	}
	if !d.faulty() {
		fmt.Fprintln(out, "  fault      none")
	}
	nodes := d.nodes()
	for _, e := range experiments {
		if timed(e) {
			fmt.Fprintf(out, "  experiment %s %s, %d time(s)\n", e.Kind, e.Name, d.Repeat)
			if err := planTimed(e, nodes, out); err != nil {
				return err
			}
			continue
		}
		targets, err := local.Match(e, nodes)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  experiment %s %s (%s) on %s, %d time(s)\n", e.Kind, e.Name, e.Action, targets, d.Repeat)
	}
	for _, a := range d.Actions {
		effect, err := local.MatchAction(d.local(a), nodes)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  action     %s after %v: %s, %d time(s)\n", d.local(a).Name(), time.Duration(a.Delay), effect, d.Repeat)
	}
	fmt.Fprintf(out, "  phases     warmup <=%v, before %v, (fault %v, recovery <=%v, after %v) x %d, drain <=%v\n",
		time.Duration(d.Phases.Warmup), time.Duration(d.Phases.Before), time.Duration(d.Phases.Fault), time.Duration(d.Phases.Recovery),
		time.Duration(d.Phases.After), d.Repeat, time.Duration(d.Phases.Drain))
	for _, c := range d.Claims {
		fmt.Fprintf(out, "  claim      %s: %s\n", c.ID, c.Says)
	}
	return nil
}

// planTimed says what a workflow or a schedule would do, step by step.
func planTimed(e *experiment.Experiment, nodes []*cluster.Node, out io.Writer) error {
	if len(e.Foreign) > 0 {
		return fmt.Errorf("%s:%d: %s %s: %s: not supported by the local driver; remove it for a local drill", e.File, e.Line, e.Kind, e.Name, strings.Join(e.Foreign, ", "))
	}
	if e.Workflow != nil {
		return planStep(e.Workflow, nodes, out, "             ")
	}
	return planSchedule(e.Schedule, nodes, out, "             ")
}

func planStep(s *experiment.Step, nodes []*cluster.Node, out io.Writer, indent string) error {
	until := ""
	if s.Deadline > 0 {
		until = fmt.Sprintf(", at most %v", s.Deadline)
	}
	switch s.Kind {
	case experiment.Strike:
		return planFault(s.Fault, nodes, out, indent)
	case experiment.Suspend:
		fmt.Fprintf(out, "%swait %v\n", indent, s.Deadline)
	case experiment.CheckStatus:
		if _, _, err := whom(s.Check.URL, nodes); err != nil {
			return err
		}
		fmt.Fprintf(out, "%sask %s every %v%s\n", indent, s.Check.URL, s.Check.Every, until)
	case experiment.Repeat:
		fmt.Fprintf(out, "%sfor %v:\n", indent, s.Deadline)
		return planSchedule(s.Schedule, nodes, out, indent+"  ")
	default:
		how := map[experiment.StepKind]string{experiment.Serial: "one after the other", experiment.Parallel: "at the same time"}[s.Kind]
		fmt.Fprintf(out, "%s%s%s:\n", indent, how, until)
	}
	for _, c := range s.Children {
		if err := planStep(c, nodes, out, indent+"  "); err != nil {
			return err
		}
	}
	return nil
}

func planSchedule(s *experiment.Schedule, nodes []*cluster.Node, out io.Writer, indent string) error {
	fmt.Fprintf(out, "%son %q:\n", indent, s.When)
	if s.Workflow != nil {
		return planStep(s.Workflow, nodes, out, indent+"  ")
	}
	return planFault(s.Fault, nodes, out, indent+"  ")
}

func planFault(e *experiment.Experiment, nodes []*cluster.Node, out io.Writer, indent string) error {
	targets, err := local.Match(e, nodes)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s%s %s (%s) on %s", indent, e.Kind, e.Name, e.Action, targets)
	if e.Duration > 0 {
		fmt.Fprintf(out, " for %v", e.Duration)
	}
	fmt.Fprintln(out)
	return nil
}
