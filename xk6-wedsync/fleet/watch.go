package fleet

import (
	"context"
	"time"

	"github.com/wedsync/wedsync/internal/clock"
)

const (
	watchTick = 10 * time.Millisecond
	watchNote = time.Second
)

// watch measures how late this process runs its own goroutines: the generator's self-check. A delay here is a delay
// of every receipt that was stamped meanwhile, so a report must know of it before it blames the server.
func (f *Fleet) watch(ctx context.Context) {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	worst := time.Duration(0)
	last := time.Now()
	noted := last
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.note(worst)
			return
		}
		now := time.Now()
		worst = max(worst, now.Sub(last)-watchTick)
		last = now
		if now.Sub(noted) >= watchNote {
			f.note(worst)
			noted, worst = now, 0
		}
	}
}

func (f *Fleet) note(worst time.Duration) {
	raise(&f.tally.lag, int64(worst))
	f.mu.Lock()
	books := f.books
	f.mu.Unlock()
	if books != nil {
		books.History.Lag(clock.Now(), worst)
	}
}
