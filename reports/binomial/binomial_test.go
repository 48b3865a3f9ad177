package binomial

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestUpperKnownValues(t *testing.T) {
	tests := []struct {
		misses, n  int
		confidence float64
		want       float64
	}{
		// With no miss the bound is 1 - (1-c)^(1/n), the "rule of three".
		{0, 1, 0.95, 0.95},
		{0, 3, 0.95, 1 - math.Pow(0.05, 1.0/3)},
		{0, 10, 0.95, 0.2588656},
		{0, 2995, 0.95, 0.000999740},
		// R: qbeta(0.95, k+1, n-k), and the sizes of reference/reports.md at which the bound reaches 0.001.
		{1, 10, 0.95, 0.3941633},
		{1, 4742, 0.95, 0.001},
		{2, 6294, 0.95, 0.001},
		{10, 16959, 0.95, 0.001},
		{5, 100, 0.975, 0.1128349},
		{50, 100, 0.95, 0.5863783},
		// Nothing is known of no trials, and nothing is excluded when all missed.
		{0, 0, 0.95, 1},
		{4, 4, 0.95, 1},
	}
	for _, tt := range tests {
		got := Upper(tt.misses, tt.n, tt.confidence)
		if math.Abs(got-tt.want) > 2e-4*tt.want {
			t.Errorf("Upper(%d, %d, %v) = %.7f, want %.7f", tt.misses, tt.n, tt.confidence, got, tt.want)
		}
	}
}

// The definition itself is the oracle: at the bound, seeing so few misses has probability 1-c.
func TestUpperSolvesItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 2000).Draw(t, "n")
		k := rapid.IntRange(0, min(n-1, 40)).Draw(t, "k")
		u := Upper(k, n, 0.95)
		sum := 0.0
		for i := range k + 1 {
			ln, _ := math.Lgamma(float64(n + 1))
			li, _ := math.Lgamma(float64(i + 1))
			lr, _ := math.Lgamma(float64(n - i + 1))
			sum += math.Exp(ln - li - lr + float64(i)*math.Log(u) + float64(n-i)*math.Log1p(-u))
		}
		if math.Abs(sum-0.05) > 1e-6 {
			t.Fatalf("P(Bin(%d, %v) <= %d) = %v, want 0.05", n, u, k, sum)
		}
	})
}

func TestUpperManyTrials(t *testing.T) {
	got := Upper(0, 10_000_000, 0.95)
	if want := 1 - math.Pow(0.05, 1e-7); math.Abs(got-want) > 1e-12 {
		t.Errorf("Upper(0, 1e7) = %g, want %g", got, want)
	}
}
