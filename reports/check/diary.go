package check

import (
	"slices"
	"sort"

	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/claim"
)

// Diary is what the drill did, and when: its phases and its injections.
type Diary struct {
	Phases     []PhaseMark
	Injections []Injection
	Notes      []Note // guards that tripped, steady states that did not come back, remarks
}

// PhaseMark is the beginning of a phase.
type PhaseMark struct {
	At    int64
	Phase claim.Phase
	Cycle int
}

// Injection is one fault from intent to end. A time is 0 if that step did not happen.
type Injection struct {
	Number             uint64
	Cycle              int
	Kind, Name, Action string
	Targets, Regions   []string
	Serving            bool // an operation that the service must hide: nobody is displaced by it

	Intent, Injected, Proved, Reverting, Reverted, Gone int64

	Unproved     string // why its effect could not be shown
	NotGone      string // why its end could not be shown
	RevertFailed string
}

// Held reports that the fault was shown to be in force.
func (i *Injection) Held() bool { return i.Proved > 0 && i.Unproved == "" }

// Over reports that the fault was reverted and shown to be gone.
func (i *Injection) Over() bool { return i.Reverted > 0 && i.Gone > 0 && i.NotGone == "" }

// window is when the injection's regions count as under fault: from before the first effect to after
// the last, as far as anybody can know.
func (i *Injection) window() span {
	if i.Reverted == 0 {
		return span{i.Intent, forever}
	}
	return span{i.Intent, i.Reverted}
}

// Note is something a reader of the report should know.
type Note struct {
	At    int64
	Event string
	Text  string
}

// ReadDiary orders the entries of raw/chaos.jsonl by what they are about.
func ReadDiary(entries []journal.Entry) *Diary {
	d := &Diary{}
	number := map[uint64]int{}
	for i := range entries {
		e := &entries[i]
		switch e.Event {
		case journal.EventPhase:
			d.Phases = append(d.Phases, PhaseMark{At: e.T, Phase: claim.Phase(e.Phase), Cycle: e.Cycle})
		case journal.EventIntent:
			number[e.Injection] = len(d.Injections)
			d.Injections = append(d.Injections, Injection{Number: e.Injection, Cycle: e.Cycle, Kind: e.Kind, Name: e.Name,
				Action: e.Action, Targets: e.Targets, Regions: e.Regions, Serving: e.Serving, Intent: e.T})
		case journal.EventGuard, journal.EventNote, journal.EventSteady:
			if e.Err != "" || e.Event != journal.EventSteady {
				d.Notes = append(d.Notes, Note{At: e.T, Event: string(e.Event), Text: text(e)})
			}
		default:
			if n, known := number[e.Injection]; known {
				d.Injections[n].step(e)
			}
		}
	}
	sort.SliceStable(d.Phases, func(a, b int) bool { return d.Phases[a].At < d.Phases[b].At })
	return d
}

func (i *Injection) step(e *journal.Entry) {
	switch e.Event {
	case journal.EventInjected:
		i.Injected = e.T
	case journal.EventProved:
		i.Proved = e.T
	case journal.EventUnproved:
		if i.Reverted > 0 {
			i.NotGone = e.Err
		} else {
			i.Unproved = e.Err
		}
	case journal.EventReverting:
		i.Reverting = e.T
	case journal.EventReverted:
		i.Reverted, i.RevertFailed = e.T, "" // a second try succeeded
	case journal.EventRevertFailed:
		i.RevertFailed = e.Err
	case journal.EventGone:
		i.Gone, i.NotGone = e.T, "" // a later probe showed it after all
	}
}

// text is what an entry says to a reader.
func text(e *journal.Entry) string {
	if e.Err != "" {
		return e.Err
	}
	if s, ok := e.Detail["text"].(string); ok {
		return s
	}
	return e.Name
}

// PhaseAt is the phase of an instant: that of the latest mark at or before it.
func (d *Diary) PhaseAt(t int64) (claim.Phase, int) {
	n := sort.Search(len(d.Phases), func(i int) bool { return d.Phases[i].At > t })
	if n == 0 {
		return claim.WarmUp, 0
	}
	return d.Phases[n-1].Phase, d.Phases[n-1].Cycle
}

// Measured returns the beginning and the end of the measured span, and false if there is none.
func (d *Diary) Measured(end int64) (from, to int64, ok bool) {
	to = end
	for _, p := range d.Phases {
		if p.Phase.Measured() && !ok {
			from, ok = p.At, true
		}
		if p.Phase == claim.Drain {
			to = p.At
		}
	}
	return from, to, ok
}

// Entered lists the measured phases that the run entered, in the order of a run.
func (d *Diary) Entered() []claim.Phase {
	var entered []claim.Phase
	for _, p := range claim.Phases {
		if slices.ContainsFunc(d.Phases, func(m PhaseMark) bool { return m.Phase == p }) {
			entered = append(entered, p)
		}
	}
	return entered
}
