package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// steps plays a number of steps with ten timers each, all of them late by the same, and returns the rate.
func (p *pace) steps(now *time.Time, n int, late time.Duration) (rate float64) {
	for range n * 10 {
		*now = now.Add(paceStep / 10)
		rate = p.fire(late, *now)
	}
	return rate
}

func TestPaceFollowsTheStrain(t *testing.T) {
	const ms = time.Millisecond
	type span struct {
		steps       int
		late        time.Duration
		least, most float64 // of the rate at its end
	}
	for name, c := range map[string]struct {
		most  int
		spans []span
	}{
		"calm":               {500, []span{{50, 2 * ms, 500, 500}}},
		"under strain":       {500, []span{{3, 20 * ms, 200, 350}, {20, 20 * ms, 50, 50}}},
		"and recovered":      {500, []span{{30, 20 * ms, 50, 50}, {10, ms, 250, 350}, {15, ms, 500, 500}}},
		"as much as it can":  {500, []span{{5, 20 * ms, 80, 200}, {1, 0, 80, 230}, {2, 20 * ms, 50, 160}}},
		"few are allowed":    {10, []span{{30, time.Second, 10, 10}}},
		"strain by the mean": {500, []span{{1, 9 * ms, 500, 500}, {1, 9 * ms, 500, 500}}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			p := newPace(c.most)
			for i, s := range c.spans {
				if rate := p.steps(&now, s.steps, s.late); rate < s.least || rate > s.most {
					t.Errorf("after span %d: %v a second, want %v to %v", i, rate, s.least, s.most)
				}
			}
		})
	}
}

// One timer that is very late among many is no strain, and a node without a storm recovers by itself.
func TestPaceForgives(t *testing.T) {
	now := time.Now()
	p := newPace(500)
	p.steps(&now, 1, 0)
	p.fire(80*time.Millisecond, now)
	if rate := p.steps(&now, 2, time.Millisecond); rate != 500 {
		t.Errorf("%v a second after one pause", rate)
	}
	p.steps(&now, 30, time.Second)
	for after, want := range map[time.Duration]float64{0: 50, 500 * time.Millisecond: 150, 10 * time.Second: 500} {
		twin := &pace{most: p.most, least: p.least, rate: p.rate, began: p.began}
		if rate := twin.at(now.Add(after)); rate < want || rate > want+50 {
			t.Errorf("%v a second, %v after the storm, want about %v", rate, after, want)
		}
	}
}

// Whatever happens, the rate is one that lets people in and that was allowed.
func TestPaceKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := newPace(rapid.IntRange(1, 5000).Draw(t, "most")), time.Now()
		for range rapid.IntRange(1, 200).Draw(t, "timers") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "gap")))
			rate := p.fire(time.Duration(rapid.Int64Range(-1e6, 1e9).Draw(t, "late")), now)
			if rate < p.least || rate > p.most {
				t.Fatalf("%v a second, want %v to %v", rate, p.least, p.most)
			}
		}
	})
}

// A door under strain lets in fewer, and says so.
func TestDoorUnderStrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{ConnectsPerSecond: 1000})
		now := time.Now()
		d.ticks.SetLimitAt(now, 50)
		d.pace.rate, d.pace.began = 50, now.Add(time.Hour) // no step ends
		var in atomic.Int64
		for range 400 {
			go func() { // ends when it is let in
				if d.Wait(t.Context()) == nil {
					in.Add(1)
				}
			}()
		}
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		if n := in.Load(); n < 190 || n > 210 { // a burst of 100, and 50 a second
			t.Errorf("%d came in within 2 s", n)
		}
		if d.Rate() != 50 {
			t.Errorf("it says that %v a second may come in", d.Rate())
		}
		if got := d.RetryAfter(); got < 4*time.Second || got > 11*time.Second { // 200 wait, 50 a second
			t.Errorf("come back in %s", got)
		}
		d.Close()
	})
}

// Who cannot wait long is told at once that it would wait in vain, and asks elsewhere.
func TestImpatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{ConnectsPerSecond: 10})
		crowd, leave := context.WithCancel(t.Context())
		var line []<-chan error
		for range 21 { // one comes in, 20 wait for 2 s
			line = append(line, d.wait(crowd))
		}
		hasty, cancel := context.WithTimeout(t.Context(), 1900*time.Millisecond)
		defer cancel()
		if err := outcome(t, d.wait(hasty)); !errors.Is(err, ErrBusy) {
			t.Errorf("its turn comes in 2 s, it waits for 1.9 s: %v", err)
		}
		calm, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		done := d.wait(calm)
		time.Sleep(2200 * time.Millisecond)
		if err := outcome(t, done); err != nil {
			t.Errorf("its turn comes in 2 s, it waits for 2.5 s: %v", err)
		}
		leave()
		for _, w := range line {
			_ = outcome(t, w)
		}
	})
}

// The rate may fall while somebody waits: then it hears so when its patience ends.
func TestImpatienceOfOneWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(AdmissionConfig{Connections: 1})
		if err := d.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := d.wait(ctx)
		time.Sleep(time.Second)
		if err := outcome(t, done); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		d.expect(t, map[Name]int{Connections: 1, Waiting: 1})
	})
}
