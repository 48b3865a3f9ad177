package chaos

import (
	"cmp"
	"slices"
	"time"

	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"

	"github.com/wedsync/wedsync/chaos/experiment"
)

// workflow puts the templates of a Workflow into their places, from the entry on. The lints have seen to it that there
// is no circle, and the webhook that every name is there.
func (c conversion) workflow(doc *document, s *v1alpha1.WorkflowSpec) {
	c.e.Workflow = c.step(doc, s.Templates, s.Entry)
}

func (c conversion) step(doc *document, templates []v1alpha1.Template, name string) *experiment.Step {
	i := slices.IndexFunc(templates, func(t v1alpha1.Template) bool { return t.Name == name })
	t := &templates[i]
	s := &experiment.Step{Name: name, Deadline: length(t.Deadline)}
	switch t.Type {
	case v1alpha1.TypeSerial, v1alpha1.TypeParallel, v1alpha1.TypeSuspend:
		s.Kind = experiment.StepKind(t.Type)
		for _, child := range t.Children {
			s.Children = append(s.Children, c.step(doc, templates, child))
		}
	case v1alpha1.TypeStatusCheck:
		s.Kind, s.Check = experiment.CheckStatus, check(t)
		s.Deadline = shorter(s.Deadline, length(t.StatusCheck.Duration))
	case v1alpha1.TypeSchedule:
		s.Kind = experiment.Repeat
		s.Schedule = c.schedule(doc, name, &v1alpha1.ScheduleItem{EmbedChaos: t.Schedule.EmbedChaos}, t.Schedule.Type, t.Schedule.Schedule, t.Schedule.ConcurrencyPolicy)
	case v1alpha1.TypeTask:
		s.Kind = experiment.StepKind(t.Type)
		c.foreign(map[string]bool{"templates (" + name + ", a Task)": true})
	default:
		s.Kind, s.Fault = experiment.Strike, c.inside(doc, name, string(t.Type), t.EmbedChaos)
		s.Fault.Duration = s.Deadline // a fault in a Workflow lasts as long as its template
	}
	return s
}

// schedule converts a Schedule, or a template that is one.
func (c conversion) schedule(doc *document, name string, item *v1alpha1.ScheduleItem, kind v1alpha1.ScheduleTemplateType, when string,
	policy v1alpha1.ConcurrencyPolicy) *experiment.Schedule {
	s := &experiment.Schedule{When: when, Overlap: policy == v1alpha1.AllowConcurrent}
	if cron, err := v1alpha1.StandardCronParser.Parse(when); err == nil { // the webhook or the lint has let it pass
		s.Next = cron.Next
	}
	if kind == v1alpha1.ScheduleTypeWorkflow {
		s.Workflow = c.step(doc, item.Workflow.Templates, item.Workflow.Entry)
	} else {
		s.Fault = c.inside(doc, name, string(kind), &item.EmbedChaos)
	}
	return s
}

// inside converts a fault that stands within another resource. What it has that is foreign is foreign to the whole.
func (c conversion) inside(doc *document, name, kind string, e *v1alpha1.EmbedChaos) *experiment.Experiment {
	f := &experiment.Experiment{File: c.e.File, Line: c.e.Line, SHA256: c.e.SHA256, Kind: kind, Name: name, Namespace: c.e.Namespace}
	for _, b := range embedded("", kind, e, true) {
		conversion{f}.fault(b.object)
	}
	c.e.Foreign = append(c.e.Foreign, f.Foreign...)
	return f
}

func check(t *v1alpha1.Template) *experiment.StatusCheck {
	s := t.StatusCheck
	c := &experiment.StatusCheck{
		Every: seconds(s.IntervalSeconds, 10), Timeout: seconds(s.TimeoutSeconds, 1), Failures: cmp.Or(s.FailureThreshold, 3),
		Successes: cmp.Or(s.SuccessThreshold, 1), Continuous: s.Mode == v1alpha1.StatusCheckContinuous, Abort: t.AbortWithStatusCheck,
	}
	if s.EmbedStatusCheck != nil && s.HTTPStatusCheck != nil {
		c.URL, c.Method, c.Status = s.HTTPStatusCheck.RequestUrl, cmp.Or(string(s.HTTPStatusCheck.RequestMethod), "GET"), s.HTTPStatusCheck.Criteria.StatusCode
	}
	return c
}

// seconds is what the schema fills in where nothing is said.
func seconds(n, otherwise int) time.Duration {
	return time.Duration(cmp.Or(n, otherwise)) * time.Second
}

// shorter is the shorter of two durations that are given; 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
