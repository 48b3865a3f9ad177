package experiment

import "time"

// The Chaos Mesh kinds that say when other faults happen.
const (
	WorkflowKind = "Workflow"
	ScheduleKind = "Schedule"
)

// StepKind is what a step of a workflow is.
type StepKind string

// The kinds of steps that have a plain form. Chaos Mesh has Task too, which runs a container.
const (
	Serial      StepKind = "Serial"      // its children, one after the other
	Parallel    StepKind = "Parallel"    // its children, all at once
	Suspend     StepKind = "Suspend"     // nothing, for as long as its deadline says
	CheckStatus StepKind = "StatusCheck" // asks a URL
	Strike      StepKind = "Fault"       // a fault, in force until its deadline
	Repeat      StepKind = "Schedule"    // a fault again and again, until its deadline
)

// Step is a template of a Workflow with its children in their places: a template that is used twice stands there twice.
type Step struct {
	Name     string
	Kind     StepKind
	Deadline time.Duration // when it ends at the latest; 0: it has none
	Children []*Step       // Serial, Parallel
	Check    *StatusCheck  // CheckStatus
	Fault    *Experiment   // Strike
	Schedule *Schedule     // Repeat
}

// Longest is how long the step takes at most, as far as it says so itself.
func (s *Step) Longest() (longest time.Duration) {
	for _, c := range s.Children {
		if s.Kind == Parallel {
			longest = max(longest, c.Longest())
		} else {
			longest += c.Longest()
		}
	}
	if len(s.Children) == 0 || s.Deadline > 0 && s.Deadline < longest {
		longest = s.Deadline
	}
	return longest
}

// Faults lists the faults of a step and of all below it.
func (s *Step) Faults() (all []*Experiment) {
	switch {
	case s.Fault != nil:
		all = append(all, s.Fault)
	case s.Schedule != nil:
		all = append(all, s.Schedule.Faults()...)
	}
	for _, c := range s.Children {
		all = append(all, c.Faults()...)
	}
	return all
}

// StatusCheck asks a URL, again and again.
type StatusCheck struct {
	URL        string
	Method     string // GET or POST
	Status     string // the codes that are a success: 200, or 200-299
	Every      time.Duration
	Timeout    time.Duration // of one request
	Failures   int           // so many in a row, and the check has failed
	Successes  int           // so many in a row, and a check that is not continuous has succeeded
	Continuous bool          // it goes on until its deadline
	Abort      bool          // its failure ends the whole workflow
}

// Schedule is a fault, or a workflow, that begins again and again.
type Schedule struct {
	When     string // the cron line, or "@every 30s"
	Next     func(time.Time) time.Time
	Overlap  bool // concurrencyPolicy Allow: it begins although the last one is still in force
	Fault    *Experiment
	Workflow *Step // instead of Fault
}

// Faults lists what is scheduled.
func (s *Schedule) Faults() []*Experiment {
	if s.Workflow != nil {
		return s.Workflow.Faults()
	}
	return []*Experiment{s.Fault}
}
