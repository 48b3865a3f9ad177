//go:build planted_loss

package server

import (
	"slices"

	"github.com/wedsync/wedsync/server/backbone"
)

// A bug on purpose, for `wedsync drill explore` to find: the first event after the place from which a member resumes is
// left out. Only who has failed over, and has missed something, can see it.
func missed(events []*backbone.Event, from backbone.HLC) []*backbone.Event {
	place := from + backbone.HLC(resumeOverlap.Milliseconds())<<counterBits
	if i := slices.IndexFunc(events, func(ev *backbone.Event) bool { return ev.HLC > place }); i >= 0 {
		return slices.Delete(events, i, i+1)
	}
	return events
}
