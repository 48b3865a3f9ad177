package chaos

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
	"github.com/wedsync/wedsync/chaos/experiment"
)

// convert turns a valid resource into its plain form. Fields that are set and have no plain form
// are listed as foreign, so that a driver can refuse them by name.
func convert(doc *document, obj resource) *Experiment {
	e := &Experiment{
		File: doc.file, Line: doc.before + doc.root.Line, SHA256: doc.sum(),
		Kind: obj.GetObjectKind().GroupVersionKind().Kind, Name: obj.GetName(), Namespace: obj.GetNamespace(),
	}
	c := conversion{e}
	switch obj := obj.(type) {
	case *v1alpha1.Workflow:
		c.workflow(doc, &obj.Spec)
	case *v1alpha1.Schedule:
		e.Schedule = c.schedule(doc, e.Name, &obj.Spec.ScheduleItem, obj.Spec.Type, obj.Spec.Schedule, obj.Spec.ConcurrencyPolicy)
	default:
		c.fault(obj)
	}
	return e
}

// fault fills in what kinds of faults have.
func (c conversion) fault(obj any) {
	switch obj := obj.(type) {
	case *v1alpha1.PodChaos:
		c.pod(&obj.Spec)
	case *v1alpha1.NetworkChaos:
		c.network(&obj.Spec)
	case *v1alpha1.PhysicalMachineChaos:
		c.machine(&obj.Spec)
	}
}

// conversion fills in an experiment.
type conversion struct{ e *Experiment }

// foreign notes the fields that are set.
func (c conversion) foreign(fields map[string]bool) {
	for path, set := range fields {
		if set {
			c.e.Foreign = append(c.e.Foreign, "spec."+path)
		}
	}
	slices.Sort(c.e.Foreign)
}

func (c conversion) pod(s *v1alpha1.PodChaosSpec) {
	c.e.Action = string(s.Action)
	c.e.Duration = length(s.Duration)
	c.e.Selector = c.pods("", &s.PodSelector)
	c.e.GracePeriod = time.Duration(s.GracePeriod) * time.Second
	c.e.Containers = s.ContainerNames
	c.foreign(map[string]bool{"remoteCluster": s.RemoteCluster != ""})
}

func (c conversion) network(s *v1alpha1.NetworkChaosSpec) {
	c.e.Action = string(s.Action)
	c.e.Duration = length(s.Duration)
	c.e.Selector = c.pods("", &s.PodSelector)
	c.e.Direction = experiment.Direction(s.Direction)
	if s.Target != nil {
		target := c.pods("target.", s.Target)
		c.e.Target = &target
	}
	c.packets(s)
	c.foreign(map[string]bool{
		"device": s.Device != "", "targetDevice": s.TargetDevice != "", "externalTargets": len(s.ExternalTargets) > 0,
		"remoteCluster": s.RemoteCluster != "",
	})
}

// packets converts what is done to packets. A block that is not that of the action is foreign: what Chaos Mesh does with
// it is not documented. Correlations have no plain form.
func (c conversion) packets(s *v1alpha1.NetworkChaosSpec) {
	mine := func(action v1alpha1.NetworkChaosAction, there bool) bool {
		if there && s.Action != action && s.Action != v1alpha1.NetemAction {
			c.foreign(map[string]bool{string(action): true})
		}
		return there
	}
	if mine(v1alpha1.DelayAction, s.Delay != nil) {
		c.e.Delay = &experiment.DelayParams{Latency: length(&s.Delay.Latency), Jitter: length(&s.Delay.Jitter)}
		c.foreign(map[string]bool{"delay.correlation": percent(s.Delay.Correlation) != 0})
		if r := s.Delay.Reorder; r != nil {
			c.e.Delay.Reorder = percent(r.Reorder)
			c.foreign(map[string]bool{"delay.reorder.correlation": percent(r.Correlation) != 0, "delay.reorder.gap": r.Gap > 1})
		}
	}
	if mine(v1alpha1.LossAction, s.Loss != nil) {
		c.e.Loss = &experiment.LossParams{Percent: percent(s.Loss.Loss)}
		c.foreign(map[string]bool{"loss.correlation": percent(s.Loss.Correlation) != 0})
	}
	if mine(v1alpha1.DuplicateAction, s.Duplicate != nil) {
		c.e.Duplicate = percent(s.Duplicate.Duplicate)
		c.foreign(map[string]bool{"duplicate.correlation": percent(s.Duplicate.Correlation) != 0})
	}
	if mine(v1alpha1.CorruptAction, s.Corrupt != nil) {
		c.e.Corrupt = percent(s.Corrupt.Corrupt)
		c.foreign(map[string]bool{"corrupt.correlation": percent(s.Corrupt.Correlation) != 0})
	}
	if mine(v1alpha1.BandwidthAction, s.Bandwidth != nil) {
		b := s.Bandwidth
		c.e.Bandwidth = &experiment.BandwidthParams{Rate: bytesPerSecond(b.Rate), Limit: int64(b.Limit), Buffer: int64(b.Buffer)}
		c.foreign(map[string]bool{"bandwidth.peakrate": b.Peakrate != nil, "bandwidth.minburst": b.Minburst != nil})
	}
	if s.Rate != nil {
		c.e.Bandwidth = &experiment.BandwidthParams{Rate: bytesPerSecond(s.Rate.Rate)}
	}
}

// bytesPerSecond reads a rate that the webhook has let pass, in the units of tc: bps are bytes, bit are bits.
func bytesPerSecond(text string) int64 {
	text = strings.ToLower(strings.TrimSpace(text))
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	n, _ := strconv.ParseFloat(number, 64)
	unit := strings.TrimSpace(text[len(number):])
	factor := map[byte]float64{'k': 1e3, 'm': 1e6, 'g': 1e9, 't': 1e12}
	if len(unit) > 0 && factor[unit[0]] > 0 {
		n *= factor[unit[0]]
		unit = unit[1:]
	}
	if unit == "bit" {
		n /= 8
	}
	return int64(n)
}

func (c conversion) machine(s *v1alpha1.PhysicalMachineChaosSpec) {
	c.e.Action = string(s.Action)
	c.e.Duration = length(s.Duration)
	c.e.Selector = c.selector("", s.Mode, s.Value, &s.Selector.GenericSelectorSpec)
	for _, a := range s.Address {
		// The webhook's defaults put http:// before an address.
		c.e.Selector.Addresses = append(c.e.Selector.Addresses, strings.TrimPrefix(a, "http://"))
	}
	if p := s.Process; p != nil {
		c.e.Process = &experiment.ProcessParams{Name: p.Process, Signal: p.Signal, RecoverCmd: p.RecoverCmd}
	}
	c.foreign(map[string]bool{"remoteCluster": s.RemoteCluster != "", "selector.physicalMachines": len(s.Selector.PhysicalMachines) > 0})
}

// pods converts a pod selector. The namespaces are left out: a driver without a cluster has none.
func (c conversion) pods(at string, s *v1alpha1.PodSelector) experiment.Selector {
	c.foreign(map[string]bool{
		at + "selector.nodes": len(s.Selector.Nodes) > 0, at + "selector.nodeSelectors": len(s.Selector.NodeSelectors) > 0,
		at + "selector.pods": len(s.Selector.Pods) > 0, at + "selector.podPhaseSelectors": len(s.Selector.PodPhaseSelectors) > 0,
	})
	return c.selector(at, s.Mode, s.Value, &s.Selector.GenericSelectorSpec)
}

func (c conversion) selector(at string, mode v1alpha1.SelectorMode, value string, g *v1alpha1.GenericSelectorSpec) experiment.Selector {
	c.foreign(map[string]bool{
		at + "selector.fieldSelectors":      len(g.FieldSelectors) > 0,
		at + "selector.annotationSelectors": len(g.AnnotationSelectors) > 0,
	})
	// The webhook has checked that the value is a number where the mode needs one.
	n, _ := strconv.Atoi(value)
	s := experiment.Selector{Mode: experiment.Mode(mode), Value: n, Labels: g.LabelSelectors}
	for _, x := range g.ExpressionSelectors {
		s.Expressions = append(s.Expressions, experiment.Expression{Key: x.Key, Operator: experiment.Operator(x.Operator), Values: x.Values})
	}
	return s
}

// length reads a duration that the webhook has let pass; absent or empty is 0.
func length(text *string) time.Duration {
	if text == nil {
		return 0
	}
	d, _ := time.ParseDuration(*text)
	return d
}

// percent reads a percentage that the webhook has let pass; empty is 0.
func percent(text string) float64 {
	f, _ := strconv.ParseFloat(text, 64)
	return f
}
