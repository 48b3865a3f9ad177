package backbone

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestClocksOrderCauseBeforeEffect runs nodes with skewed and jumping wall clocks that send each
// other events.
func TestClocksOrderCauseBeforeEffect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const nodes = 3
		var walls [nodes]time.Time
		var clocks [nodes]*Clock
		var last [nodes]HLC // greatest reading that each node has taken or seen
		for i := range nodes {
			walls[i] = time.UnixMilli(1_000_000 + rapid.Int64Range(0, 5000).Draw(t, "skew"))
			clocks[i] = NewClock(func() time.Time { return walls[i] })
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			i := rapid.IntRange(0, nodes-1).Draw(t, "node")
			switch rapid.SampledFrom([]string{"stamp", "send", "tick"}).Draw(t, "what") {
			case "tick": // also backwards: wall clocks are set
				walls[i] = walls[i].Add(time.Duration(rapid.Int64Range(-500, 1000).Draw(t, "ms")) * time.Millisecond)
			case "stamp":
				h := clocks[i].Now()
				if h <= last[i] {
					t.Fatalf("node %d: %v is not after %v", i, h, last[i])
				}
				if h < At(walls[i]) {
					t.Fatalf("node %d: %v is before its wall clock", i, h)
				}
				last[i] = h
			case "send":
				to := rapid.IntRange(0, nodes-1).Draw(t, "to")
				h := clocks[i].Now()
				if !clocks[to].Observe(h) {
					t.Fatalf("refused a reading %v ahead", h.Time().Sub(walls[to]))
				}
				last[i], last[to] = h, max(last[to], h)
			}
		}
	})
}

func TestClockRefusesTheFarFuture(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	c := NewClock(func() time.Time { return now })
	if c.Observe(At(now.Add(MaxAhead + time.Second))) {
		t.Error("a reading from the far future was taken")
	}
	if h := c.Now(); h.Time().Sub(now) > 0 {
		t.Errorf("the clock has run ahead to %v", h.Time())
	}
	if ahead := At(now.Add(MaxAhead)); !c.Observe(ahead) || c.Now() <= ahead {
		t.Error("a reading a little ahead was not taken")
	}
}

func TestClockIsUniqueAmongGoroutines(t *testing.T) {
	c := NewClock(func() time.Time { return time.UnixMilli(5) })
	var mu sync.Mutex
	seen := map[HLC]bool{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20_000 { // 160,000 in one millisecond: the counter carries over
				h := c.Now()
				mu.Lock()
				if seen[h] {
					t.Errorf("%v twice", h)
				}
				seen[h] = true
				mu.Unlock()
			}
		})
	}
	wait.Wait()
}

func TestHLCText(t *testing.T) {
	h := At(time.UnixMilli(1_790_000_000_123)) + 7
	got, err := ParseHLC(h.String())
	if err != nil || got != h || got.Time().UnixMilli() != 1_790_000_000_123 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "-1", "0x1", "18446744073709551616"} {
		if _, err := ParseHLC(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func BenchmarkClockNow(b *testing.B) {
	c := NewClock(time.Now)
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}
