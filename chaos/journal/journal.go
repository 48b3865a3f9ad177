// Package journal is the diary of a drill's faults: raw/chaos.jsonl, one JSON object per line.
//
// It is written ahead. Before the world is touched an intent says what is about to be done and to
// whom; the line is on the disk (fsync) before the first process is killed or the first packet is
// dropped. So whatever happens to the drill itself, the file tells what may still be broken:
// [Unreverted] lists every injection that has an intent and no revert.
//
// The life of one injection, all lines carrying the same injection number:
//
//	intent -> injected -> proved | unproved -> reverting -> reverted -> gone | unproved
//	                                                     \> revert-failed
//
// Everything between intent and reverted (or the end of the file) counts as "under fault": the
// effect begins somewhere between intent and injected, and ends somewhere between reverting and
// reverted. Readers that need a band take the outer times.
//
// Phase lines divide the run (before, fault, recovery, after, drain) and count the cycles; every
// other line repeats the phase and cycle that were current when it was written, so that a line can
// be read on its own. All t values are CLOCK_MONOTONIC (package internal/clock), never decreasing.
package journal

import (
	"errors"
	"fmt"
)

// Event says what happened.
type Event string

// The events. Those of an injection carry its number, kind, name, action, targets and regions.
const (
	EventPhase        Event = "phase"         // a phase begins
	EventIntent       Event = "intent"        // about to inject; nothing is touched before this line is on the disk
	EventInjected     Event = "injected"      // the driver has done its part
	EventProved       Event = "proved"        // a probe showed the effect
	EventUnproved     Event = "unproved"      // a probe could not show the effect, or could not show that it is gone: the verdict is INCONCLUSIVE
	EventReverting    Event = "reverting"     // about to revert
	EventReverted     Event = "reverted"      // the driver has taken its part back
	EventGone         Event = "gone"          // a probe showed that the effect is gone
	EventRevertFailed Event = "revert-failed" // something may still be broken; the error says what
	EventSteady       Event = "steady"        // the steady state was checked
	EventProbe        Event = "probe"         // one probe, with its reading in the detail
	EventGuard        Event = "guard"         // a guard tripped: the drill stops and reverts
	EventNote         Event = "note"          // anything a reader should know
)

// Phase is a part of a drill. Claims are scoped to phases.
type Phase string

// The phases in their order. Fault and recovery alternate, once per cycle.
const (
	PhaseBefore   Phase = "before"
	PhaseFault    Phase = "fault"
	PhaseRecovery Phase = "recovery"
	PhaseAfter    Phase = "after"
	PhaseDrain    Phase = "drain"
)

// Entry is one line. The writer stamps T, WallNS and Seq, and fills in Phase and Cycle where they
// are empty.
type Entry struct {
	T         int64    `json:"t"`                   // CLOCK_MONOTONIC, ns
	WallNS    int64    `json:"wall_ns"`             // Unix time, ns; for people only
	Seq       uint64   `json:"seq"`                 // 1, 2, 3… without gaps
	Event     Event    `json:"event"`               //
	Phase     Phase    `json:"phase,omitempty"`     // current phase; empty before the first
	Cycle     int      `json:"cycle,omitempty"`     // 1, 2, 3… within fault and recovery; 0 outside
	Injection uint64   `json:"injection,omitempty"` // 1, 2, 3… the same for all lines of one injection; 0 for other lines
	Kind      string   `json:"kind,omitempty"`      // Chaos Mesh kind, such as PodChaos, or DrillAction
	Name      string   `json:"name,omitempty"`      // metadata.name of the experiment
	Action    string   `json:"action,omitempty"`    // such as pod-kill
	SHA256    string   `json:"sha256,omitempty"`    // hex, of the YAML document as it stood in the file
	Targets   []string `json:"targets,omitempty"`   // node names
	Regions   []string `json:"regions,omitempty"`   // regions of the targets
	// Serving says that the targets go on serving, or see to it that others take over before they stop: a drain, an
	// upgrade, a limit on the processor. It excuses nobody: a recipient that loses its session to it counts as connected.
	Serving bool           `json:"serving,omitempty"`
	Detail  map[string]any `json:"detail,omitempty"` // readings, seed, pids; numbers come back as json.Number
	Err     string         `json:"err,omitempty"`    //
}

// ofInjection reports whether lines of this event belong to one injection.
func (e Event) ofInjection() bool {
	switch e {
	case EventIntent, EventInjected, EventProved, EventUnproved, EventReverting, EventReverted, EventGone, EventRevertFailed:
		return true
	}
	return false
}

// durable reports whether a line of this event must be on the disk before the drill goes on.
func (e Event) durable() bool {
	switch e {
	case EventIntent, EventInjected, EventReverting, EventReverted, EventRevertFailed:
		return true
	}
	return false
}

func (e Event) known() bool {
	switch e {
	case EventPhase, EventSteady, EventProbe, EventGuard, EventNote:
		return true
	}
	return e.ofInjection()
}

func (p Phase) known() bool {
	switch p {
	case PhaseBefore, PhaseFault, PhaseRecovery, PhaseAfter, PhaseDrain:
		return true
	}
	return false
}

// check says what is wrong with an entry by itself.
func (e *Entry) check() error {
	switch {
	case !e.Event.known():
		return fmt.Errorf("event %q is not one that this version knows", e.Event)
	case e.Phase != "" && !e.Phase.known():
		return fmt.Errorf("phase %q is not one of before, fault, recovery, after, drain", e.Phase)
	case e.Event == EventPhase && e.Phase == "":
		return errors.New("a phase line must name its phase")
	case e.Cycle < 0:
		return fmt.Errorf("cycle %d is negative", e.Cycle)
	case e.Event.ofInjection() && e.Injection == 0:
		return fmt.Errorf("%s line without an injection number", e.Event)
	case e.Event == EventIntent && (e.Kind == "" || e.Name == "" || e.Action == "" || len(e.Targets) == 0):
		return errors.New("an intent must name kind, name, action and at least one target")
	case (e.Event == EventUnproved || e.Event == EventRevertFailed) && e.Err == "":
		return fmt.Errorf("%s line without an error", e.Event)
	}
	return nil
}

// Unreverted lists the injections that have an intent and no revert, newest first, which is the
// order in which to revert them. Each is represented by its intent line.
//
// An intent alone counts: the process may have died after touching the world and before saying so.
func Unreverted(entries []Entry) []Entry {
	reverted := make(map[uint64]bool)
	var open []Entry
	for i := len(entries) - 1; i >= 0; i-- {
		switch e := entries[i]; e.Event {
		case EventReverted:
			reverted[e.Injection] = true
		case EventIntent:
			if !reverted[e.Injection] {
				open = append(open, e)
			}
		}
	}
	return open
}
