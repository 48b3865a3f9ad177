package limit

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// step is what happens to a rate, and what it says then.
type step struct {
	wait    time.Duration
	add     int
	average float64
}

// The limit is 100 in each case.
func TestRate(t *testing.T) {
	const edge = bucketTime
	for name, steps := range map[string][]step{
		"nothing":                          {{0, 0, 0}, {edge, 0, 0}, {time.Hour, 0, 0}},
		"a bucket counts when it is full":  {{0, 500, 0}, {edge - 1, 0, 0}, {1, 0, 50}},
		"the edge belongs to the next one": {{edge, 500, 0}, {edge, 0, 500.0 / 15}},
		"a burst at the start passes":      {{0, 999, 0}, {edge, 0, 99.9}, {edge, 0, 66.6}},
		"a larger one is over, for 5 s":    {{0, 1000, 0}, {edge, 0, 100}, {edge, 0, 1000.0 / 15}},
		"steady, just below": {{0, 499, 0}, {edge, 499, 49.9}, {edge, 499, 998.0 / 15}, {edge, 499, 1497.0 / 20},
			{edge, 499, 1996.0 / 25}},
		"a burst after a quiet minute": {{time.Hour, 5999, 0}, {edge, 0, 5999.0 / 60}, {11 * edge, 0, 5999.0 / 60}, {edge, 0, 0}},
		"a larger one":                 {{time.Hour, 6000, 0}, {edge, 0, 100}},
		"silence wears it off":         {{0, 3000, 0}, {edge, 0, 300}, {2 * edge, 0, 150}, {5 * edge, 0, 3000.0 / 45}},
		"silence of exactly a minute":  {{0, 3000, 0}, {12 * edge, 0, 50}, {edge, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRate(100)
				for i, s := range steps {
					time.Sleep(s.wait)
					r.Add(s.add)
					if got := r.Average(); math.Abs(got-s.average) > 1e-9 {
						t.Errorf("step %d: average %v, want %v", i, got, s.average)
					}
					if got, want := r.Exceeded(), s.average >= 100; got != want {
						t.Errorf("step %d: exceeded %v at %v", i, got, s.average)
					}
				}
			})
		})
	}
}

func TestRateWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRate(0)
		r.Add(1_000_000)
		time.Sleep(bucketTime)
		if r.Exceeded() || r.Average() != 100_000 {
			t.Errorf("exceeded %v, average %v", r.Exceeded(), r.Average())
		}
	})
}

// What is refused is not counted: a client that tries again and again does not keep itself out.
func TestRefusedEventsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRate(100)
		for range 1000 {
			if !r.Take(1) {
				t.Fatal("refused within the first bucket")
			}
		}
		time.Sleep(bucketTime)
		for range 5000 {
			if r.Take(1) {
				t.Fatal("taken over the limit")
			}
		}
		time.Sleep(bucketTime)
		if !r.Take(1) {
			t.Errorf("refused at an average of %v", r.Average())
		}
	})
}

// A history says what a list of all buckets says.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		all := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000), 1, 40).Draw(t, "buckets")
		for i, events := range all {
			h.push(events)
			last := all[max(0, i+1-12) : i+1]
			var sum int64
			for _, e := range last {
				sum += e
			}
			if want := float64(sum) / (5 * float64(len(last))); math.Abs(h.average()-want) > 1e-9 {
				t.Fatalf("after %v: %v, want %v", all[:i+1], h.average(), want)
			}
		}
	})
}

// Whatever is added at the same time is counted, over the edges of buckets too.
func TestRateLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRate(100)
		const adders, edges = 8, 6
		var wg sync.WaitGroup
		for range adders {
			wg.Go(func() {
				for range edges {
					r.Add(10)
					time.Sleep(bucketTime) // all of them wake at the edge
				}
			})
		}
		wg.Wait()
		if got, want := r.Average()*bucketTime.Seconds()*(edges+1), 10.0*adders*edges; math.Abs(got-want) > 1e-6 {
			t.Errorf("%v events, want %v", got, want)
		}
	})
}

func TestRateAddAllocatesNothing(t *testing.T) {
	r := NewRate(100)
	if n := testing.AllocsPerRun(100, func() { r.Add(1); r.Exceeded() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRateAdd(b *testing.B) {
	r := NewRate(100)
	b.ReportAllocs()
	for b.Loop() {
		r.Add(1)
	}
}

func BenchmarkRateAddParallel(b *testing.B) {
	r := NewRate(100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Add(1)
		}
	})
}

func BenchmarkRateExceeded(b *testing.B) {
	r := NewRate(100)
	b.ReportAllocs()
	for b.Loop() {
		r.Exceeded()
	}
}
