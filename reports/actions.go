package reports

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/chaos/journal"
)

// actionKind is the kind of what a drill itself does to nodes, such as an upgrade, in the chaos journal.
const actionKind = "DrillAction"

// ActionProof is what an action has done, and what was seen. The effect of a fault follows from its Chaos Mesh kind; what
// an action has done is known from its journal alone.
type ActionProof struct {
	Did       string `json:"did,omitempty"`
	Proof     string `json:"proof,omitempty"`      // of the effect
	ProofGone string `json:"proof_gone,omitempty"` // of its end
}

// actions are the proofs of the actions of a drill, by injection. Where there are several readings, the last one counts.
func actions(entries []journal.Entry) map[uint64]ActionProof {
	of := map[uint64]ActionProof{}
	for i := range entries {
		e := &entries[i]
		if e.Kind != actionKind || e.Injection == 0 {
			continue
		}
		p := of[e.Injection]
		switch e.Event {
		case journal.EventIntent:
			p.Did, _ = e.Detail["effect"].(string)
		case journal.EventProved:
			p.Proof = readings(e.Detail)
		case journal.EventGone:
			p.ProofGone = readings(e.Detail)
		}
		of[e.Injection] = p
	}
	return of
}

// readings are the details of an entry in words, sorted by what was read.
func readings(detail map[string]any) string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(detail)) {
		all = append(all, fmt.Sprintf("%s: %v", what, detail[what]))
	}
	return strings.Join(all, "; ")
}
