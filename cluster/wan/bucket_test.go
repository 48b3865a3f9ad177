package wan

import (
	"testing"

	"pgregory.net/rapid"
)

func TestBucket(t *testing.T) {
	const ms = int64(1e6)
	b := newBucket(Impairment{Rate: 1_000_000, Burst: 2000, Queue: 3000}) // a byte a microsecond
	for i, step := range []struct {
		at   int64
		n    int
		wait int64
		room bool
	}{
		{100 * ms, 2000, 0, true}, // after a rest, a burst passes at once
		{100 * ms, 1000, ms, true},
		{100 * ms, 2000, 3 * ms, true},
		{100 * ms, 1000, 4 * ms, true},       // 3,000 bytes wait before it
		{100 * ms, 1000, 5 * ms, false},      // 4,000 do
		{101 * ms, 1000, 4 * ms, true},       // a millisecond later there is room again
		{105 * ms, 500, ms / 2, true},        // exactly when the line has become free: no tokens are left over
		{200 * ms, 2500, ms / 2, true},       // a long rest is worth no more than a burst
		{200*ms + ms/2, 100, ms / 10, true},  // and it is used up
		{300 * ms, 100_000, 98 * ms, true},   // one that is larger than all is let in where nothing waits
		{300 * ms, 100_000, 198 * ms, false}, // but no second one
		{398 * ms, 1, 1000, true},            //
		{1000 * ms, 2000, 0, true},           //
		{1000 * ms, 10_000, 10 * ms, true},   //
		{1010 * ms, 10_000, 10 * ms, true},   //
	} {
		if wait, room := b.wait(step.at, step.n, false); wait != step.wait || room != step.room {
			t.Errorf("step %d: wait %d, %v; want %d, %v", i, wait, room, step.wait, step.room)
		}
	}
}

// TestBucketKeepsItsRate: whatever comes when, no stretch of time sees more than the rate and one burst leave.
func TestBucketKeepsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		im := Impairment{Rate: rapid.Int64Range(1, 1e9).Draw(t, "rate"), Burst: rapid.Int64Range(1, 1e5).Draw(t, "burst")}
		b := newBucket(im)
		type leave struct {
			at int64
			n  int
		}
		var left []leave
		now := int64(1e12)
		for range rapid.IntRange(1, 60).Draw(t, "packets") {
			now += rapid.Int64Range(0, 1e7).Draw(t, "gap")
			n := rapid.IntRange(1, 1500).Draw(t, "bytes")
			wait, room := b.wait(now, n, rapid.Bool().Draw(t, "insists"))
			if wait < 0 {
				t.Fatal("it leaves before it came")
			}
			if room {
				left = append(left, leave{now + wait, n})
			}
		}
		for i := range left {
			bytes := 0
			for j := i; j < len(left); j++ {
				if left[j].at < left[max(0, j-1)].at {
					t.Fatal("one overtakes the other")
				}
				bytes += left[j].n
				most := float64(left[j].at-left[i].at)*float64(im.Rate)/1e9 + float64(im.Burst) + float64(left[i].n) + 1e-3*float64(im.Rate)/1e9*float64(j-i+1) + float64(j-i+1)
				if float64(bytes) > most {
					t.Fatalf("%d bytes between %d and %d, at most %v", bytes, left[i].at, left[j].at, most)
				}
			}
		}
	})
}
