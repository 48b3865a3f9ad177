// Package drill runs a fire drill: it pairs a topology, a load scenario, a fault and the claims
// that must hold, and leaves a bundle from which every figure can be recomputed.
//
// One YAML file is one drill. A run goes through these phases, and through all of the middle
// three once per repetition:
//
//	warmup -> before -> (fault -> recovery -> after) x repeat -> drain
//
// Vendors arrive during warmup. "before" is the steady state without any fault. A cycle injects
// the fault (an experiment, actions, or both), proves that it took effect, holds it, reverts it,
// proves that it is gone, and waits until the steady state is back. A drill without a fault may have
// recovery and after as well: then they only divide the run. In drain the load has ended and
// stragglers may still arrive.
//
// Three rules make the outcome worth believing. Every fault is reverted on every way out. A fault
// that was not proved did not happen, so its drill does not pass. And the verdict is computed
// from the raw files alone (package reports), never from what this package saw while it ran.
package drill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/reports/claim"
)

// APIVersion and Kind head every drill file.
const (
	APIVersion = "wedsync.dev/v1"
	Kind       = "Drill"
)

// Drill is one drill file. Paths in it are relative to the file.
type Drill struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   Metadata `yaml:"metadata"`
	// Title says in one line what happens, for people.
	Title    string   `yaml:"title"`
	Topology Topology `yaml:"topology"`
	Scenario Scenario `yaml:"scenario"`
	// Experiment is a file of Chaos Mesh resources; all of them are injected together.
	// Empty: a drill without a fault.
	Experiment string `yaml:"experiment,omitempty"`
	// Actions happen in the fault phase too, beside the experiment or without one.
	Actions []Action `yaml:"actions,omitempty"`
	// Repeat is how many times the fault is injected: one lucky run proves little.
	Repeat    int       `yaml:"repeat,omitempty"`
	Phases    Phases    `yaml:"phases"`
	RawClaims yaml.Node `yaml:"claims"`

	// Claims is what RawClaims says; File is where the drill was read from; Source is its text, kept in the bundle.
	Claims []claim.Claim `yaml:"-"`
	File   string        `yaml:"-"`
	Source []byte        `yaml:"-"`
}

// Metadata names the drill; the name is the bundle's directory.
type Metadata struct {
	Name string `yaml:"name"`
}

// Topology is the cluster that the drill starts.
type Topology struct {
	Regions []string `yaml:"regions"`
	// Nodes is the number of server processes per region; 1 if absent.
	Nodes int `yaml:"nodes,omitempty"`
	// MaxNodes is up to how many a region can grow; as many as Nodes if absent. The load knows the addresses of all.
	MaxNodes int `yaml:"max_nodes,omitempty"`
	// Args are flags for every wedsync-server, which count more than those that a drill sets by itself: it lifts the
	// limits on the rates of a single application.
	Args []string `yaml:"args,omitempty"`
	// GC is how much garbage the servers let gather, in per cent of what they need (GOGC); [calmGC] if absent. A drill
	// that judges memory wants collections that are far shorter apart than the blocks that it averages over.
	GC int `yaml:"gc,omitempty"`
	// Scaling is a policy file for the servers (--scaling); the drill then adds and removes nodes as they ask.
	Scaling string `yaml:"scaling,omitempty"`
	// WAN is a profile file with the delays between the regions; empty is the built-in profile.
	WAN string `yaml:"wan,omitempty"`
	// Data says where the servers keep their logs: disk (the default) or memory. All regions of a local cluster share
	// one disk, which three real regions would not: a slow fsync stalls them all at once. In memory the servers
	// still sync before every ok, but the drill shows nothing about disks.
	Data string `yaml:"data,omitempty"`
}

// Scenario is the load: a k6 script and what it reads from its environment.
type Scenario struct {
	Script string            `yaml:"script"`
	Env    map[string]string `yaml:"env,omitempty"`
}

// Phases are the lengths of the phases.
type Phases struct {
	// Warmup is how long the vendors may take to arrive and settle; the drill goes on as soon as they have.
	Warmup Duration `yaml:"warmup"`
	Before Duration `yaml:"before"`
	// Fault is how long a proved fault is held.
	Fault Duration `yaml:"fault,omitempty"`
	// Recovery is how long the steady state may take to return; the drill goes on as soon as it has.
	Recovery Duration `yaml:"recovery,omitempty"`
	After    Duration `yaml:"after,omitempty"`
	// Drain is how long stragglers may take once the load has ended.
	Drain Duration `yaml:"drain"`
}

// Duration is a time.Duration written as "8s" or "1m30s".
type Duration time.Duration

// UnmarshalYAML reads the Go duration syntax.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	v, err := time.ParseDuration(node.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is not a duration; write it like 8s or 1m30s", node.Line, node.Value)
	}
	*d = Duration(v)
	return nil
}

// Load reads and validates a drill file. The error names the file, and the line where YAML knows it,
// and says all that is wrong.
func Load(path string) (*Drill, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the drill: %w", err)
	}
	d, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.File = path
	invalid := d.validate()
	if d.Claims, err = claim.ParseClaims(path, &d.RawClaims); err != nil {
		invalid = errors.Join(invalid, err)
	} else if len(d.Claims) == 0 {
		invalid = errors.Join(invalid, errors.New("claims: a drill without a claim proves nothing; add at least one"))
	}
	if invalid != nil {
		return nil, fmt.Errorf("%s is not a valid drill:\n%w", path, invalid)
	}
	return d, nil
}

func parse(source []byte) (*Drill, error) {
	d := &Drill{Source: source}
	decoder := yaml.NewDecoder(strings.NewReader(string(source)))
	decoder.KnownFields(true)
	if err := decoder.Decode(d); err != nil {
		return nil, plainYAMLError(err)
	}
	if d.Topology.Nodes == 0 {
		d.Topology.Nodes = 1
	}
	if d.Topology.MaxNodes == 0 {
		d.Topology.MaxNodes = d.Topology.Nodes
	}
	if d.Repeat == 0 && (d.faulty() || d.Phases.cycle() > 0) {
		d.Repeat = 1
	}
	return d, nil
}

// goType matches the Go type names that the YAML library puts into its messages.
var goType = regexp.MustCompile(` not found in type \S+`)

// plainYAMLError says what the YAML library found without naming our Go types.
func plainYAMLError(err error) error {
	var typeError *yaml.TypeError
	if !errors.As(err, &typeError) {
		return err
	}
	var all []error
	for _, message := range typeError.Errors {
		all = append(all, errors.New(goType.ReplaceAllString(message, " is not part of a drill; see drill/README.md")))
	}
	return errors.Join(all...)
}

var nameSyntax = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// validate says everything that is wrong at once.
func (d *Drill) validate() error {
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }

	if d.APIVersion != APIVersion || d.Kind != Kind {
		wrong("this is %q %q; a drill starts with apiVersion: %s and kind: %s", d.APIVersion, d.Kind, APIVersion, Kind)
	}
	if !nameSyntax.MatchString(d.Metadata.Name) {
		wrong("metadata.name %q: use lower-case letters, digits and dashes; it names the bundle's directory", d.Metadata.Name)
	}
	if len(d.Topology.Regions) < 2 {
		wrong("topology.regions: name at least two regions; an update is held in two before it is acknowledged")
	}
	if d.Topology.Nodes < 1 || d.Topology.Nodes > 9 {
		wrong("topology.nodes is %d; a region has 1 to 9 nodes", d.Topology.Nodes)
	}
	if d.Topology.GC < 0 || d.Topology.GC > 1000 {
		wrong("topology.gc is %d; choose 1 to 1000 per cent, or leave it out", d.Topology.GC)
	}
	if d.Topology.MaxNodes < d.Topology.Nodes || d.Topology.MaxNodes > 9 {
		wrong("topology.max_nodes is %d; choose topology.nodes (%d) to 9", d.Topology.MaxNodes, d.Topology.Nodes)
	}
	if where := d.Topology.Data; where != "" && where != "disk" && where != "memory" {
		wrong("topology.data is %q; choose disk or memory", where)
	}
	if d.Scenario.Script == "" {
		wrong("scenario.script is missing; name a k6 script, for example ../scenarios/wedding-day.js")
	} else if _, err := os.Stat(d.path(d.Scenario.Script)); err != nil {
		wrong("scenario.script: %v", err)
	}
	for name, file := range map[string]string{"wan": d.Topology.WAN, "scaling": d.Topology.Scaling} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(d.path(file)); err != nil {
			wrong("topology.%s: %v", name, err)
		}
	}
	if d.Phases.Before <= 0 || d.Phases.Warmup <= 0 || d.Phases.Drain <= 0 {
		wrong("phases.warmup, phases.before and phases.drain must be longer than nothing")
	}
	switch {
	case d.Repeat > 0 && !d.faulty() && d.Phases.cycle() == 0:
		wrong("repeat without an experiment: name one, or actions, or leave repeat out")
	case d.faulty() && (d.Phases.Fault <= 0 || d.Phases.Recovery <= 0):
		wrong("an experiment or an action needs phases.fault (how long it is held) and phases.recovery (how long the steady state may take to return)")
	}
	if !d.faulty() && d.Phases.Fault > 0 {
		wrong("phases.fault without a fault: use recovery and after to divide the run")
	}
	if d.Repeat < 0 {
		wrong("repeat is %d; it counts injections", d.Repeat)
	}
	if err := d.validateActions(); err != nil {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// path resolves a path of the drill file.
func (d *Drill) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(d.File), p)
}

// faulty reports whether anything is done to the cluster.
func (d *Drill) faulty() bool { return d.Experiment != "" || len(d.Actions) > 0 }

// cycle is the length of one cycle, without what actions add.
func (p Phases) cycle() Duration { return p.Fault + p.Recovery + p.After }

// Longest is the longest that the load can be on: the generator's own limit, which the drill
// undercuts by telling it to stop.
func (d *Drill) Longest() time.Duration {
	cycle := d.Phases.cycle() + Duration(max(d.longestAction(), d.longestWorkflow()))
	return time.Duration(d.Phases.Warmup + d.Phases.Before + Duration(d.Repeat)*cycle)
}
