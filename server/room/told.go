package room

import "sync"

// told keeps the ids of what a member has been sent that asked for history, so that nothing comes twice: a
// broadcast may be delivered live while the history with it is being read, and it may be in the history
// before it comes live.
type told struct {
	mu     sync.Mutex // guards the following
	ids    map[string]bool
	caught bool // the history has been sent: only that is kept from now on
}

func (m *Member) begin() {
	if m.History {
		m.told = &told{ids: map[string]bool{}}
	}
}

// again says whether a broadcast has been sent, and remembers it. What has no id cannot come twice.
func (t *told) again(id string, replayed bool) bool {
	if id == "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.ids[id]; ok {
		return true
	}
	if !t.caught || replayed {
		t.ids[id] = replayed
	}
	return false
}

// catch forgets what came live: nothing of that will be replayed any more.
func (t *told) catch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.caught = true
	for id, replayed := range t.ids {
		if !replayed {
			delete(t.ids, id)
		}
	}
}
