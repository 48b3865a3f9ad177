package drill

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/chaos/local"
	"github.com/wedsync/wedsync/cluster"
)

// Action is something that happens to nodes in every fault phase, and for which Chaos Mesh has no resource: what an
// operator does to a service that must not notice, or what a machine does to a process. See local.Action for the kinds.
type Action struct {
	Kind   string `yaml:"kind"`
	Region string `yaml:"region,omitempty"`
	Node   string `yaml:"node,omitempty"`
	// CPU is for cpu-quota: what each process may use, in cores.
	CPU float64 `yaml:"cpu,omitempty"`
	// Nodes is for scale: how many to add.
	Nodes int `yaml:"nodes,omitempty"`
	// Server is for upgrade: the program to upgrade to, a path relative to the drill file; empty: the same one.
	Server string `yaml:"server,omitempty"`
	// Delay is how long after the beginning of the fault phase it happens. Actions do not wait for each other.
	Delay Duration `yaml:"delay,omitempty"`
}

// local is the action as the driver takes it.
func (d *Drill) local(a Action) local.Action {
	l := local.Action{Kind: a.Kind, Region: a.Region, Node: a.Node, CPU: a.CPU, Nodes: a.Nodes}
	if a.Server != "" {
		l.Server = d.path(a.Server)
	}
	if text, err := yaml.Marshal(a); err == nil { // only what was read from YAML comes here
		sum := sha256.Sum256(text)
		l.SHA256 = hex.EncodeToString(sum[:])
	}
	return l
}

// nodes is the cluster that the drill starts, without processes.
func (d *Drill) nodes() []*cluster.Node { return cluster.Names(d.Topology.Regions, d.Topology.Nodes) }

// validateActions says everything that is wrong with the actions.
func (d *Drill) validateActions() error {
	var wrong []error
	added := make(map[string]int)
	for i, a := range d.Actions {
		if _, err := local.MatchAction(d.local(a), d.nodes()); err != nil {
			wrong = append(wrong, fmt.Errorf("actions[%d]: %w", i, err))
		}
		if a.Server != "" {
			if _, err := os.Stat(d.path(a.Server)); err != nil {
				wrong = append(wrong, fmt.Errorf("actions[%d].server: %w", i, err))
			}
		}
		if a.Kind == local.Scale {
			if added[a.Region] += a.Nodes; d.Topology.Nodes+added[a.Region] > d.Topology.MaxNodes {
				wrong = append(wrong, fmt.Errorf("actions[%d]: %s would have %d nodes; topology.max_nodes is %d", i, a.Region, d.Topology.Nodes+added[a.Region], d.Topology.MaxNodes))
			}
		}
	}
	return errors.Join(wrong...)
}

// longestAction is by how much the actions can lengthen a cycle.
func (d *Drill) longestAction() (longest time.Duration) {
	for _, a := range d.Actions {
		longest = max(longest, time.Duration(a.Delay)+d.local(a).Longest(d.nodes()))
	}
	return longest
}
