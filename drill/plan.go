package drill

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wedsync/wedsync/chaos/local"
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
