package limit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// door is an Admission of a test and what it has told.
type door struct {
	*Admission
	mu      sync.Mutex // guards the following
	reached map[Name]int
	waited  []time.Duration
}

func newDoor(cfg AdmissionConfig) *door {
	d := &door{reached: map[Name]int{}}
	cfg.Reached = func(name Name) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reached[name]++
	}
	cfg.Waited = func(w time.Duration) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.waited = append(d.waited, w)
	}
	d.Admission = NewAdmission(cfg)
	return d
}

func (d *door) expect(t *testing.T, want map[Name]int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !maps.Equal(d.reached, want) {
		t.Errorf("limits reached: %v, want %v", d.reached, want)
	}
}

// A storm is delayed, not dropped: all come in, in their order, the burst at once and the others at the rate.
func TestStormIsDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{Connections: 1000, ConnectsPerSecond: 100})
		begin := time.Now()
		const storm = 500
		var mu sync.Mutex
		var order []int
		var at []time.Duration
		for i := range storm {
			go func() { // ends when it is let in
				if err := d.Wait(t.Context()); err != nil {
					t.Errorf("%d was turned away: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order, at = append(order, i), append(at, time.Since(begin))
			}()
			synctest.Wait() // it stands in line before the next one comes
		}
		const burst = 10
		if d.Waiting() != storm-burst {
			t.Errorf("%d wait, want %d", d.Waiting(), storm-burst)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(order) != storm || !slices.IsSorted(order) {
			t.Fatalf("%d came in, in the order %v", len(order), order)
		}
		for i, took := range at {
			want := time.Duration(max(0, i-burst+1)) * 10 * time.Millisecond
			if took < want-time.Millisecond || took > want+time.Millisecond {
				t.Errorf("%d came in after %s, want %s", i, took, want)
			}
		}
		if last := d.waited[storm-1]; last < 4890*time.Millisecond || last > 4910*time.Millisecond {
			t.Errorf("the last one is said to have waited %s, want 4.9 s", last)
		}
		d.expect(t, map[Name]int{Connects: storm - burst})
	})
}

func TestNoLimitNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{})
		begin := time.Now()
		for range 10_000 {
			if err := d.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		d.Release()
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %s", took)
		}
		d.expect(t, map[Name]int{})
	})
}

// wait stands in line in the background and tells the outcome.
func (d *door) wait(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- d.Wait(ctx) }() // ends with the wait
	synctest.Wait()
	return done
}

func outcome(t *testing.T, done <-chan error) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		return err
	default:
		t.Fatal("still waiting")
		return nil
	}
}

func stillWaiting(t *testing.T, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Fatalf("waited no longer: %v", err)
	default:
	}
}

func TestFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{Connections: 2})
		for range 2 {
			if err := d.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		third, fourth := d.wait(t.Context()), d.wait(t.Context())
		time.Sleep(time.Second)
		stillWaiting(t, third)
		d.Release()
		if err := outcome(t, third); err != nil {
			t.Errorf("a place is free: %v", err)
		}
		stillWaiting(t, fourth)
		d.Release()
		if err := outcome(t, fourth); err != nil {
			t.Errorf("a place is free: %v", err)
		}
		d.expect(t, map[Name]int{Connections: 2})
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{Connections: 1})
		if err := d.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := d.wait(t.Context())
		time.Sleep(30*time.Second - 1)
		stillWaiting(t, second)
		time.Sleep(1)
		if err := outcome(t, second); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		d.expect(t, map[Name]int{Connections: 1, Waiting: 1})
		d.Release()
		if err := d.Wait(t.Context()); err != nil {
			t.Errorf("a place is free: %v", err)
		}
	})
}

// Only the waiting is limited: a line that is too long, or longer than patience lasts, takes nobody more.
func TestLineIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   AdmissionConfig
		waits int
	}{
		"by number": {AdmissionConfig{Connections: 1, Waiting: 3}, 3},
		"by time":   {AdmissionConfig{ConnectsPerSecond: 1, Patience: 4 * time.Second}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(c.cfg)
				if err := d.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var line []<-chan error
				for range c.waits {
					line = append(line, d.wait(ctx))
				}
				begin := time.Now()
				if err := d.Wait(ctx); !errors.Is(err, ErrBusy) || time.Since(begin) > 0 {
					t.Errorf("one more: %v after %s", err, time.Since(begin))
				}
				cancel()
				for _, w := range line {
					if err := outcome(t, w); !errors.Is(err, context.Canceled) {
						t.Errorf("%v", err)
					}
				}
				if d.reached[Waiting] != 1 || d.Waiting() != 0 {
					t.Errorf("%d turned away, %d waiting", d.reached[Waiting], d.Waiting())
				}
			})
		})
	}
}

// Who gives up has used nothing up: those behind come in as if it had never been there.
func TestGivingUpCostsNobodyATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{Connections: 3, ConnectsPerSecond: 1})
		if err := d.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second, third := d.wait(ctx), d.wait(ctx), d.wait(t.Context())
		cancel()
		for _, w := range []<-chan error{first, second} {
			if err := outcome(t, w); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		time.Sleep(time.Second)
		if err := outcome(t, third); err != nil {
			t.Error(err)
		}
		fourth := d.wait(t.Context())
		time.Sleep(time.Second)
		if err := outcome(t, fourth); err != nil {
			t.Errorf("a place was lost with those that gave up: %v", err)
		}
	})
}

func TestWhoHasGoneIsNotLetIn(t *testing.T) {
	d := newDoor(AdmissionConfig{Connections: 100})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := d.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
	}
}

func TestCloseTurnsEverybodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{Connections: 1})
		if err := d.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, second := d.wait(t.Context()), d.wait(t.Context())
		d.Close()
		for _, w := range []<-chan error{first, second, d.wait(t.Context())} {
			if err := outcome(t, w); !errors.Is(err, ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		d.Release()
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{ConnectsPerSecond: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var line []<-chan error
		for range 10 {
			line = append(line, d.wait(ctx))
		}
		seen := map[time.Duration]bool{}
		for range 100 {
			got := d.RetryAfter()
			if got < 5500*time.Millisecond || got >= 11*time.Second { // 9 wait, 2 a second, and spread over as much again
				t.Fatalf("%s, want 5.5s to 11s", got)
			}
			seen[got.Round(time.Second)] = true
		}
		if len(seen) < 5 {
			t.Errorf("they would all come back at the same time: %v", seen)
		}
		cancel()
		for _, w := range line {
			_ = outcome(t, w)
		}
	})
	d := newDoor(AdmissionConfig{Connections: 1})
	if got := d.RetryAfter(); got < time.Second || got >= 2*time.Second {
		t.Errorf("%s, want 1s to 2s", got)
	}
	d = newDoor(AdmissionConfig{ConnectsPerSecond: 1, Patience: 10 * time.Second})
	d.waiting.Store(1000)
	if got := d.RetryAfter(); got < 10*time.Second || got >= 20*time.Second {
		t.Errorf("%s: after 10s nobody is left of those who wait", got)
	}
}

// handshake is one of a random storm.
type handshake struct{ gap, patience, stay time.Duration }

// Whatever comes, gives up and goes: never more sockets than places, never faster than the rate allows, and
// in the end nothing is left behind.
func TestAdmissionHoldsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ms := func(least, most int, what string) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(rt, what)) * time.Millisecond
		}
		cfg := AdmissionConfig{Connections: rapid.IntRange(1, 5).Draw(rt, "places"), ConnectsPerSecond: rapid.IntRange(1, 5).Draw(rt, "per second")}
		storm := make([]handshake, rapid.IntRange(1, 40).Draw(rt, "handshakes"))
		for i := range storm {
			storm[i] = handshake{gap: ms(0, 500, "gap"), patience: ms(1, 5000, "patience"), stay: ms(0, 3000, "stay")}
		}
		var d *door
		var in []time.Time
		var most int
		synctest.Test(t, func(*testing.T) { d, in, most = ride(cfg, storm) })
		if most > cfg.Connections {
			rt.Fatalf("%d sockets at once, with %d places", most, cfg.Connections)
		}
		for i := range in {
			for j := i; j < len(in); j++ {
				span := in[j].Sub(in[i])
				if allowed := 1 + span.Seconds()*float64(cfg.ConnectsPerSecond) + 0.01; float64(j-i+1) > allowed {
					rt.Fatalf("%d came in within %s, at %d per second", j-i+1, span, cfg.ConnectsPerSecond)
				}
			}
		}
		if d.Waiting() != 0 || len(d.head) != 0 || len(d.places) != 0 {
			rt.Fatalf("left behind: %d waiting, %d at the head, %d places", d.Waiting(), len(d.head), len(d.places))
		}
	})
}

// ride sends a storm to a door. It returns when each came in, and how many were inside at most.
func ride(cfg AdmissionConfig, storm []handshake) (d *door, in []time.Time, most int) {
	d = newDoor(cfg)
	var mu sync.Mutex
	inside := 0
	var wg sync.WaitGroup
	for _, h := range storm {
		time.Sleep(h.gap)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), h.patience)
			defer cancel()
			if d.Wait(ctx) != nil {
				return
			}
			mu.Lock()
			in, inside = append(in, time.Now()), inside+1
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(h.stay)
			mu.Lock()
			inside--
			mu.Unlock()
			d.Release()
		})
	}
	wg.Wait()
	return d, in, most
}

func BenchmarkAdmission(b *testing.B) {
	d := NewAdmission(AdmissionConfig{Connections: 100, ConnectsPerSecond: 1 << 30, Reached: func(Name) {}, Waited: func(time.Duration) {}})
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		d.Release()
	}
}
