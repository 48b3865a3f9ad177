//go:build planted_order

package urgent

import (
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

// A bug on purpose, for `wedsync drill explore` to find: an urgent event that comes later than usual changes places with
// the next one of its room. Only a slow or lossy link, or a fail-over, makes events so late.
const plantedLate = 160 * time.Millisecond

var planted struct {
	mu   sync.Mutex
	held map[string]*backbone.Event // by room
}

func (l *Lane) handOut(ev *backbone.Event) {
	key := l.b.Node() + " " + ev.Room
	planted.mu.Lock()
	before := planted.held[key]
	delete(planted.held, key)
	late := before == nil && ev.Lane == protocol.Urgent && !ev.Replayed && time.Since(ev.HLC.Time()) > plantedLate
	if late {
		if planted.held == nil {
			planted.held = map[string]*backbone.Event{}
		}
		planted.held[key] = ev
	}
	planted.mu.Unlock()
	if late {
		return
	}
	l.cfg.Deliver(ev)
	if before != nil {
		l.cfg.Deliver(before)
	}
}
