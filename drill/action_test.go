package drill

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster"
)

// three is a drill of three regions with actions, without claims of its own.
const three = `apiVersion: wedsync.dev/v1
kind: Drill
metadata: {name: try}
title: A try
topology: {regions: [a, b, c], nodes: 2, max_nodes: 3, args: [--sync=interval], scaling: story.js}
scenario: {script: story.js}
actions:
  - {kind: drain, node: a-1}
  - {kind: kill, region: c, delay: 2s}
phases: {warmup: 5s, before: 5s, fault: 3s, recovery: 10s, drain: 1s}
claims:
  - {id: one, says: it holds, kind: none}
`

func TestLoadActions(t *testing.T) {
	d, err := Load(write(t, three))
	if err != nil {
		t.Fatal(err)
	}
	if d.Repeat != 1 || len(d.Actions) != 2 || d.Topology.MaxNodes != 3 || d.local(d.Actions[1]).Name() != "kill-c" || !d.faulty() {
		t.Errorf("%+v", d)
	}
	// 5 + 5 + (3 + 10 + the drain, which may take its whole grace)
	if longest := d.Longest(); longest < 23*time.Second+cluster.DrainGrace {
		t.Errorf("longest %v", longest)
	}
	if a, b := d.local(d.Actions[0]).SHA256, d.local(d.Actions[1]).SHA256; len(a) != 64 || a == b {
		t.Errorf("digests %q and %q", a, b)
	}
	var out strings.Builder
	if err := Plan(d, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"drain-a-1 after 0s: SIGTERM to a-1", "kill-c after 2s: SIGKILL to c-1, c-2", "up to 3 per region", "--sync=interval", "story.js"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, out.String())
		}
	}
}

func TestLoadRefusesActions(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown kind":      {"kind: drain", "kind: explode", "actions[0]: action explode: kind"},
		"unknown field":     {"node: a-1", "nodse: a-1", "nodse"},
		"no such node":      {"node: a-1", "node: a-7", "there is no node a-7"},
		"two regions":       {"regions: [a, b, c]", "regions: [a, c]", "only 1 would be left"},
		"no fault phase":    {"fault: 3s, ", "", "an action needs phases.fault"},
		"no room":           {"kind: drain, node: a-1", "kind: scale, region: a, nodes: 2", "topology.max_nodes is 3"},
		"fewer than nodes":  {"max_nodes: 3", "max_nodes: 1", "topology.max_nodes is 1"},
		"no scaling policy": {"scaling: story.js", "scaling: moon.yaml", "topology.scaling"},
		"no such program":   {"kind: drain, node: a-1", "kind: upgrade, server: moon", "actions[0].server"},
		"negative delay":    {"delay: 2s", "delay: -2s", "is not a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(three, c.old, c.new, 1)
			if text == three {
				t.Fatal("the test changes nothing")
			}
			if _, err := Load(write(t, text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want it to say %q", err, c.want)
			}
		})
	}
}

// TestPhasesWithoutAFault: a drill may divide its run without doing anything to the cluster.
func TestPhasesWithoutAFault(t *testing.T) {
	calm := strings.Replace(valid, "before: 5s,", "before: 5s, recovery: 2s, after: 3s,", 1)
	d, err := Load(write(t, calm))
	if err != nil {
		t.Fatal(err)
	}
	if d.faulty() || d.Repeat != 1 || d.Longest() != 15*time.Second {
		t.Errorf("%+v, longest %v", d, d.Longest())
	}
	if _, err := Load(write(t, strings.Replace(calm, "recovery:", "fault:", 1))); err == nil || !strings.Contains(err.Error(), "phases.fault without a fault") {
		t.Errorf("a fault phase without a fault: %v", err)
	}
}

// TestUpgradePathIsOfTheDrillFile: like every path in it.
func TestUpgradePathIsOfTheDrillFile(t *testing.T) {
	file := write(t, strings.Replace(three, "kind: drain, node: a-1", "kind: upgrade, server: new", 1))
	program := filepath.Join(filepath.Dir(file), "new")
	if err := os.WriteFile(program, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.local(d.Actions[0]).Server; got != program {
		t.Errorf("%s, want %s", got, program)
	}
}
