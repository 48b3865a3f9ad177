package receipt

import (
	"errors"
	"strings"

	"github.com/wedsync/wedsync/protocol"
)

// ErrReserved refuses what looks like an escalation. Its text begins with the protocol's reason.
var ErrReserved = errors.New(protocol.ReasonMalformed + ": the event " + protocol.EscalationEvent + " and ids that begin with " +
	EscalationPrefix + " are the server's own: use others")

// Reserved is ErrReserved if a client may not publish an event of that name and id: it would pass for an
// escalation, or keep the real one from being published. Otherwise it is nil.
func Reserved(event, id string) error {
	if event == protocol.EscalationEvent || strings.HasPrefix(id, EscalationPrefix) {
		return ErrReserved
	}
	return nil
}
