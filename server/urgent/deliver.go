//go:build !planted_order

package urgent

import "github.com/wedsync/wedsync/server/backbone"

// handOut gives an event to the members.
func (l *Lane) handOut(ev *backbone.Event) { l.cfg.Deliver(ev) }
