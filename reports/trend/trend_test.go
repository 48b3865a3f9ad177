package trend

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// samples makes a sample a second.
func samples(n int, v func(t float64) float64) []Point {
	all := make([]Point, n)
	for i := range all {
		all[i] = Point{float64(i), v(float64(i))}
	}
	return all
}

func TestFitALine(t *testing.T) {
	l := Fit(samples(3600, func(t float64) float64 { return 100 + t/36 }))
	low, growth, high := l.Growth()
	if l.Blocks != 120 || l.Effective != 120 || math.Abs(l.Slope-1.0/36) > 1e-12 || l.Error != 0 || math.Abs(l.At(3600)-200) > 1e-9 {
		t.Errorf("%+v", l)
	}
	// From the middle of the first block to that of the last one.
	if want := 3570.0 / 36 / l.Level; math.Abs(growth-want) > 1e-12 || low != growth || high != growth {
		t.Errorf("grew by %v (%v to %v), want %v", growth, low, high, want)
	}
}

func TestFitTooLittle(t *testing.T) {
	for name, all := range map[string][]Point{"nothing": nil, "one": {{5, 5}}, "two blocks": samples(60, func(float64) float64 { return 7 })} {
		l := Fit(all)
		low, _, high := l.Growth()
		if !math.IsInf(l.Error, 1) || !math.IsInf(low, -1) || !math.IsInf(high, 1) {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if _, _, high := (Line{Blocks: 20}).Growth(); !math.IsInf(high, 1) {
		t.Error("a share of nothing")
	}
}

// A gap, and a last block that was cut off, leave no blocks behind that know less than the others.
func TestAverageLeavesOut(t *testing.T) {
	all := samples(610, func(t float64) float64 { return t })
	all = append(all[:100], all[165:]...)
	if got := average(all); len(got) != 18 { // of 21: without 120-149, 150-179 and 600-609
		t.Errorf("%d blocks: %v", len(got), got)
	}
}

// process is one without growth: its samples resemble their neighbours by resemblance, from 0 (noise) to 1 (a random walk).
func process(r *rand.Rand, n int, resemblance float64) []Point {
	x := 0.0
	if resemblance < 1 {
		x = r.NormFloat64() / math.Sqrt(1-resemblance*resemblance)
	}
	return samples(n, func(float64) float64 {
		x = resemblance*x + r.NormFloat64()
		return 1000 + x
	})
}

// The intervals hold what they promise: of processes that do not grow, 95 % of them contain 0. How far they fall short is
// in the package comment.
func TestIntervals(t *testing.T) {
	const runs = 400
	for _, tt := range []struct {
		seconds     int
		resemblance float64
		least       float64 // share of intervals
	}{
		{600, 0, 0.93}, {600, 0.9, 0.93}, {600, 0.97, 0.93}, {600, 0.99, 0.93}, {600, 1, 0.86},
		{1800, 0, 0.93}, {1800, 0.9, 0.93}, {1800, 0.97, 0.93}, {1800, 0.99, 0.93}, {1800, 0.997, 0.93}, {1800, 1, 0.90},
	} {
		r := rand.New(rand.NewPCG(1, uint64(tt.seconds)))
		held := 0
		for range runs {
			if l := Fit(process(r, tt.seconds, tt.resemblance)); math.Abs(l.Slope) <= l.Error {
				held++
			}
		}
		if share := float64(held) / runs; share < tt.least {
			t.Errorf("%d s, resemblance %v: %.3f of the intervals hold 0, want %v", tt.seconds, tt.resemblance, share, tt.least)
		}
	}
}

// What the intervals are for: with the error of the textbook, which takes samples for independent, most of those of a
// process that does not grow would say that it does.
func TestNaiveIntervalsFail(t *testing.T) {
	const runs = 100
	r := rand.New(rand.NewPCG(1, 2))
	held := 0
	for range runs {
		all := process(r, 1800, 0.99)
		n, meanV, meanT := float64(len(all)), 0.0, float64(len(all)-1)/2
		for _, p := range all {
			meanV += p.V / n
		}
		var tt, tv, squares float64
		for _, p := range all {
			tt += (p.T - meanT) * (p.T - meanT)
			tv += (p.T - meanT) * (p.V - meanV)
		}
		for _, p := range all {
			e := p.V - meanV - tv/tt*(p.T-meanT)
			squares += e * e
		}
		if math.Abs(tv/tt) <= 1.96*math.Sqrt(squares/(n-2)/tt) {
			held++
		}
	}
	if share := float64(held) / runs; share > 0.3 {
		t.Errorf("%.2f of the naive intervals hold 0", share)
	}
}

// Growth that is there is found.
func TestGrowthIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := process(r, 1800, 0.9) // deviates by 2.3
	for i := range all {
		all[i].V += all[i].T / 18 // 100 on 1000 in half an hour
	}
	if low, growth, high := Fit(all).Growth(); low < 0.09 || high > 0.11 || growth < low || growth > high {
		t.Errorf("grew by %v to %v", low, high)
	}
}

// Whatever the samples, the interval is around the slope, shifting and scaling samples shifts and scales the line, and
// nothing is not a number.
func TestFitIsLinear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 0, 400).Draw(t, "values")
		step := rapid.Float64Range(0.1, 100).Draw(t, "step")
		a, b := make([]Point, len(values)), make([]Point, len(values))
		for i, v := range values {
			a[i], b[i] = Point{float64(i) * step, v}, Point{float64(i)*step + 1000, 2*v + 5}
		}
		l, m := Fit(a), Fit(b)
		if l.Blocks != m.Blocks {
			t.Fatalf("%d and %d blocks", l.Blocks, m.Blocks)
		}
		if l.Blocks < leastBlocks {
			return
		}
		if math.IsNaN(l.Slope) || math.IsNaN(l.Error) || l.Error < 0 || l.Effective < leastEffective && l.Error != 0 || l.Effective > float64(l.Blocks) && l.Effective != leastEffective {
			t.Fatalf("%+v", l)
		}
		if scale := math.Abs(l.Slope) + l.Error + 1e-3; math.Abs(m.Slope-2*l.Slope) > 1e-6*scale || math.Abs(m.Error-2*l.Error) > 1e-6*scale {
			t.Fatalf("%+v becomes %+v", l, m)
		}
	})
}
