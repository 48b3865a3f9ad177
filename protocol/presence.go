package protocol

import (
	"encoding/json"
	"errors"
	"strings"
)

// The inner events of a presence push.
const (
	PresenceTrack   = "track"
	PresenceUntrack = "untrack"
)

// ErrPresencePayload refuses a track whose payload is no object. Its text is the original server's.
var ErrPresencePayload = errors.New("Presence track payload must be a map") //nolint:staticcheck // the wording is the protocol's

// PresencePush is the payload of a client's presence event: {"type":"presence","event","payload"}.
type PresencePush struct {
	Event   string          // in lower case; empty if there is none
	Payload json.RawMessage // of a track: a JSON object, {} if there is none
}

// ParsePresence reads a presence push. The original asks of a track alone that its payload is an object,
// and matches the inner event in any case.
func ParsePresence(payload []byte) (PresencePush, error) {
	var push struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(payload, &push); err != nil {
		return PresencePush{}, err
	}
	p := PresencePush{Event: strings.ToLower(push.Event), Payload: push.Payload}
	if p.Event == PresenceTrack {
		if p.Payload == nil {
			p.Payload = json.RawMessage("{}")
		}
		if !isObject(p.Payload) {
			return p, ErrPresencePayload
		}
	}
	return p, nil
}
