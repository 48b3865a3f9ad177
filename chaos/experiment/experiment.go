// Package experiment holds what a fault is, in plain words: whom it hits, what it does, for how long.
//
// Package chaos makes experiments from Chaos Mesh resources after it has validated them. Drivers
// read them. The package imports nothing, so that a driver does not carry the Kubernetes libraries
// that the validation needs.
package experiment

import "time"

// The Chaos Mesh kinds that have a plain form here. Experiments of any other kind carry their kind
// and name only: they are valid, and a driver that runs processes itself must refuse them.
const (
	PodChaos             = "PodChaos"
	NetworkChaos         = "NetworkChaos"
	PhysicalMachineChaos = "PhysicalMachineChaos"
)

// The actions that have a plain form here.
const (
	PodKill       = "pod-kill"       // kill every process of the pod; its controller starts it again
	PodFailure    = "pod-failure"    // the pod is down for the duration
	ContainerKill = "container-kill" // kill one process of the pod
	Partition     = "partition"      // packets are dropped
	Delay         = "delay"          // packets come later
	Loss          = "loss"           // some packets are dropped
	Duplicate     = "duplicate"      // some packets come twice
	Corrupt       = "corrupt"        // some packets come with a wrong bit
	Bandwidth     = "bandwidth"      // packets pass at a rate
	Netem         = "netem"          // several of these at once
	Process       = "process"        // a signal to a process of a machine
)

// Experiment is one Chaos Mesh resource.
type Experiment struct {
	File   string // as given to Load
	Line   int    // of the first line of the document
	SHA256 string // hex, of the document as it stands in the file

	Kind      string
	Name      string
	Namespace string
	Action    string // empty for kinds without actions

	Duration time.Duration // how long the fault lasts; 0: not given, or one-shot
	Selector Selector      // whom it hits

	GracePeriod time.Duration // pod-kill: SIGTERM first, SIGKILL after this; 0: SIGKILL at once
	Containers  []string      // container-kill: their names

	Direction Direction      // NetworkChaos: which way the packets go that are affected
	Target    *Selector      // NetworkChaos: the other end; nil means all traffic
	Process   *ProcessParams // action process

	// What is done to packets: one of them, or with action netem several.
	Delay     *DelayParams
	Loss      *LossParams
	Duplicate float64 // per cent of the packets
	Corrupt   float64 // per cent of the packets
	Bandwidth *BandwidthParams

	Workflow *Step     // kind Workflow: its entry
	Schedule *Schedule // kind Schedule

	// Foreign lists the YAML paths of fields that are set, valid, and have no plain form here, such
	// as spec.externalTargets. A driver that runs processes itself must refuse the experiment
	// instead of passing over them.
	Foreign []string
}

// OneShot reports whether the fault is an instant (a kill) and not a state that lasts.
func (e *Experiment) OneShot() bool { return e.Action == PodKill || e.Action == ContainerKill }

// Direction is the way that packets go, seen from the selected pods.
type Direction string

const (
	To   Direction = "to"   // from the selected to the target
	From Direction = "from" // from the target to the selected
	Both Direction = "both"
)

// Mode says how many of the matching nodes are hit.
type Mode string

const (
	One              Mode = "one"
	All              Mode = "all"
	Fixed            Mode = "fixed"              // Value nodes
	FixedPercent     Mode = "fixed-percent"      // Value percent of them
	RandomMaxPercent Mode = "random-max-percent" // up to Value percent of them, at random
)

// Selector says which nodes an experiment means: those that match all labels and all expressions,
// or those named by Addresses.
type Selector struct {
	Mode        Mode
	Value       int // for Fixed and the percentages
	Labels      map[string]string
	Expressions []Expression
	Addresses   []string // PhysicalMachineChaos: host:port of Chaosd on Kubernetes, node names here
}

// Expression is one requirement on a label.
type Expression struct {
	Key      string
	Operator Operator
	Values   []string
}

// Operator compares a label with values.
type Operator string

const (
	In           Operator = "In"
	NotIn        Operator = "NotIn" // also true without the label
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
)

// DelayParams is what action delay adds to each packet, but for those that Reorder spares, in per cent: they overtake.
type DelayParams struct {
	Latency, Jitter time.Duration
	Reorder         float64
}

// BandwidthParams is a token bucket, as the kernel's tbf: bytes a second, bytes that may wait, bytes that may pass at once.
type BandwidthParams struct{ Rate, Limit, Buffer int64 }

// LossParams is what action loss takes away.
type LossParams struct{ Percent float64 }

// ProcessParams is a signal to a process.
type ProcessParams struct {
	Name       string // of the process
	Signal     int
	RecoverCmd string // a shell command that undoes the signal; only Chaosd runs it
}
