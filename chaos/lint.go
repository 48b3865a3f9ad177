package chaos

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lint is layer 4: what decoder, schema and webhook accept, and what then does nothing, does
// something else, or crashes the webhook.
func lint(doc *document, obj resource) (problems Problems) {
	for _, b := range bodies(obj) {
		problems = append(problems, b.lint(doc)...)
	}
	switch obj := obj.(type) {
	case *v1alpha1.Schedule:
		if kind := string(obj.Spec.Type); embeddedKey[kind] == "" && kind != string(v1alpha1.ScheduleTypeWorkflow) {
			problems = append(problems, doc.problem("spec.type", "use a chaos kind such as PodChaos, or Workflow", "%q is not a kind that can be scheduled", kind))
		}
		if obj.Spec.Type == v1alpha1.ScheduleTypeWorkflow && obj.Spec.Workflow != nil {
			problems = append(problems, lintTemplates(doc, "spec.workflow", obj.Spec.Workflow.Templates)...)
		}
	case *v1alpha1.Workflow:
		problems = append(problems, lintTemplates(doc, "spec", obj.Spec.Templates)...)
	}
	return problems
}

// lint checks one chaos body.
func (b *body) lint(doc *document) (problems Problems) {
	if b.missing {
		key := b.path[strings.LastIndexByte(b.path, '.')+1:]
		return Problems{doc.problem(b.path, "add "+key+" with the fields that spec has in a "+b.kind+" of its own",
			"the type is %s, but there is no %s", b.kind, key)}
	}
	at := func(field string) string { return b.path + "." + field }
	add := func(field, do, format string, args ...any) {
		problems = append(problems, doc.problem(at(field), do, format, args...))
	}
	problems = append(problems, b.lintSelectors(doc)...)
	if d := b.duration(); d != nil && *d <= 0 {
		add("duration", advice("duration"), "the duration %v is not longer than nothing", *d)
	} else if d != nil && b.inside {
		add("duration", "remove it, and set the deadline of the template", "a fault in a Workflow lasts as long as its template")
	}
	switch o := b.object.(type) {
	case *v1alpha1.PodChaos:
		if o.Spec.Action == v1alpha1.PodFailureAction && o.Spec.Duration == nil && !b.inside {
			add("duration", "add duration, such as 30s", "action pod-failure without a duration never ends")
		}
	case *v1alpha1.NetworkChaos:
		for _, block := range networkBlocks(&o.Spec) {
			if string(o.Spec.Action) == block.action && !block.there {
				add(block.action, "add "+block.action+": with its parameters", "action %s without its block does nothing", block.action)
			}
		}
		if o.Spec.Action == v1alpha1.NetemAction && !anyThere(networkBlocks(&o.Spec)) {
			add("action", "add delay, loss, duplicate or corrupt", "action netem without any block does nothing")
		}
		for field, text := range percentages(&o.Spec) {
			if f, err := strconv.ParseFloat(text, 64); err == nil && !(f >= 0 && f <= 100) {
				add(field, advice(field), "%s is not a percentage", text)
			}
		}
		// The Go types are ahead of the release: a cluster with Chaos Mesh 2.8 refuses the field.
		if path := at("partitionBehavior"); doc.value(path) != nil {
			problems = append(problems, doc.problem(path, "remove it: packets are dropped without it", "released Chaos Mesh (2.8) does not know this field"))
		}
	case *v1alpha1.TimeChaos:
		for i, id := range o.Spec.ClockIds {
			if !clocks[id] {
				add(fmt.Sprintf("clockIds[%d]", i), "use a clock of clock_gettime(2), such as CLOCK_REALTIME", "there is no clock %q", id)
			}
		}
	}
	return problems
}

// duration returns what spec.duration says; nil if it says nothing, or nothing legible.
func (b *body) duration() *time.Duration {
	spec, ok := reflect.ValueOf(b.object).Elem().FieldByName("Spec").Addr().Interface().(v1alpha1.ContainsDuration)
	if !ok {
		return nil
	}
	d, err := spec.GetDuration()
	if err != nil {
		return nil // the webhook says so
	}
	return d
}

// networkBlock is a block of parameters that an action of the same name needs.
type networkBlock struct {
	action string
	there  bool
}

func networkBlocks(s *v1alpha1.NetworkChaosSpec) []networkBlock {
	return []networkBlock{
		{"delay", s.Delay != nil}, {"loss", s.Loss != nil}, {"duplicate", s.Duplicate != nil},
		{"corrupt", s.Corrupt != nil}, {"bandwidth", s.Bandwidth != nil},
	}
}

// percentages returns those that are set, by their path; the webhook asks only that they are numbers.
func percentages(s *v1alpha1.NetworkChaosSpec) map[string]string {
	all := make(map[string]string)
	if s.Delay != nil {
		all["delay.correlation"] = s.Delay.Correlation
	}
	if s.Loss != nil {
		all["loss.loss"], all["loss.correlation"] = s.Loss.Loss, s.Loss.Correlation
	}
	if s.Duplicate != nil {
		all["duplicate.duplicate"], all["duplicate.correlation"] = s.Duplicate.Duplicate, s.Duplicate.Correlation
	}
	if s.Corrupt != nil {
		all["corrupt.corrupt"], all["corrupt.correlation"] = s.Corrupt.Corrupt, s.Corrupt.Correlation
	}
	return all
}

// lintSelectors checks the label expressions of a body. Kubernetes checks them when the selector is
// used: the experiment would be accepted and then never find anybody.
func (b *body) lintSelectors(doc *document) (problems Problems) {
	at := map[string]v1alpha1.LabelSelectorRequirements{}
	switch o := b.object.(type) {
	case *v1alpha1.PodChaos:
		at["selector"] = o.Spec.Selector.ExpressionSelectors
	case *v1alpha1.NetworkChaos:
		at["selector"] = o.Spec.Selector.ExpressionSelectors
		if o.Spec.Target != nil {
			at["target.selector"] = o.Spec.Target.Selector.ExpressionSelectors
		}
	case *v1alpha1.PhysicalMachineChaos:
		at["selector"] = o.Spec.Selector.ExpressionSelectors
	}
	for selector, requirements := range at {
		for i, r := range requirements {
			path := indexed(b.path+"."+selector+".expressionSelectors", i)
			switch r.Operator {
			case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
				if len(r.Values) == 0 {
					problems = append(problems, doc.problem(path+".values", "add values", "operator %s needs values", r.Operator))
				}
			case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
				if len(r.Values) > 0 {
					problems = append(problems, doc.problem(path+".values", "remove them", "operator %s takes no values", r.Operator))
				}
			default:
				problems = append(problems, doc.problem(path+".operator", "use In, NotIn, Exists or DoesNotExist", "there is no operator %q", r.Operator))
			}
		}
	}
	return problems
}

func anyThere(blocks []networkBlock) bool {
	for _, b := range blocks {
		if b.there {
			return true
		}
	}
	return false
}

// clocks are those that TimeChaos can shift: clock_gettime(2).
var clocks = map[string]bool{
	"CLOCK_REALTIME": true, "CLOCK_MONOTONIC": true, "CLOCK_PROCESS_CPUTIME_ID": true, "CLOCK_THREAD_CPUTIME_ID": true,
	"CLOCK_MONOTONIC_RAW": true, "CLOCK_REALTIME_COARSE": true, "CLOCK_MONOTONIC_COARSE": true, "CLOCK_BOOTTIME": true,
	"CLOCK_REALTIME_ALARM": true, "CLOCK_BOOTTIME_ALARM": true,
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
