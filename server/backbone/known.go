package backbone

import "sync"

// key names an event for as long as the cluster lives: ids are unique in their room.
func key(ev *Event) string { return ev.Room + "\x00" + ev.ID }

// knownLen is how many keys a generation holds; up to twice as many are known.
const knownLen = 1 << 15

// known remembers the most recent events of a lane that the own log holds for certain, so that
// repair need not ask. What it has forgotten costs one refused write.
type known struct {
	mu       sync.Mutex // guards the following
	now, old map[string]struct{}
}

func newKnown() *known { return &known{now: map[string]struct{}{}} }

func (k *known) add(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.now) >= knownLen {
		k.old, k.now = k.now, make(map[string]struct{}, knownLen)
	}
	k.now[key] = struct{}{}
}

func (k *known) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.now[key]; ok {
		return true
	}
	_, ok := k.old[key]
	return ok
}
