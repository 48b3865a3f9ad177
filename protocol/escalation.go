package protocol

import (
	"encoding/json"
	"fmt"
)

// EscalationEvent is the user event of a broadcast, on the urgent lane, by which the server says that somebody
// has not confirmed an urgent message in time. Its payload is an Escalation. It goes to the channel on which
// the message was published.
const EscalationEvent = "wedsync:escalation"

// Escalation says who has not been told.
type Escalation struct {
	ID      string   `json:"id"`       // of the urgent message
	Missing []string `json:"missing"`  // presence keys of those who have not confirmed it, sorted
	Told    int      `json:"told"`     // how many have
	AfterMS int64    `json:"after_ms"` // since it was published
}

// ParseEscalation reads the payload of EscalationEvent.
func ParseEscalation(payload []byte) (Escalation, error) {
	var e Escalation
	if err := json.Unmarshal(payload, &e); err != nil {
		return Escalation{}, fmt.Errorf("reading an escalation: %w", err)
	}
	if !ValidID(e.ID) {
		return Escalation{}, fmt.Errorf("reading an escalation: %.80q is not an id", e.ID)
	}
	return e, nil
}
