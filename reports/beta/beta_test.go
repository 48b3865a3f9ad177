package beta

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Values of the printed tables; what lies between whole degrees of freedom lies between their values.
func TestStudentT(t *testing.T) {
	for _, tt := range []struct{ df, p, want float64 }{
		{1, 0.975, 12.7062}, {2, 0.975, 4.302653}, {10, 0.975, 2.228139}, {10, 0.95, 1.812461}, {58, 0.975, 2.001717},
		{1e6, 0.975, 1.959966}, {5, 0.5, 0},
	} {
		if got := StudentT(tt.df, tt.p); math.Abs(got-tt.want) > 5e-4*max(tt.want, 1) {
			t.Errorf("StudentT(%v, %v) = %v, want %v", tt.df, tt.p, got, tt.want)
		}
	}
	if a, b, c := StudentT(2, 0.975), StudentT(2.5, 0.975), StudentT(3, 0.975); a <= b || b <= c {
		t.Errorf("%v, %v, %v", a, b, c)
	}
}

// Of whole degrees of freedom the distribution has closed forms: 1 is Cauchy's, 2 is 1/2 + t / (2 √(2 + t²)).
func TestStudentTClosedForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0.5, 0.9999).Draw(t, "p")
		if x := StudentT(1, p); math.Abs(0.5+math.Atan(x)/math.Pi-p) > 1e-9 {
			t.Fatalf("one degree, p %v: %v", p, x)
		}
		if x := StudentT(2, p); math.Abs(0.5+x/(2*math.Sqrt(2+x*x))-p) > 1e-9 {
			t.Fatalf("two degrees, p %v: %v", p, x)
		}
	})
}

func TestInc(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(0, 1).Draw(t, "x")
		a := rapid.Float64Range(0.5, 50).Draw(t, "a")
		// I_x(a, 1) = x^a, and the mirror.
		if got := Inc(a, 1, x); math.Abs(got-math.Pow(x, a)) > 1e-10 {
			t.Fatalf("Inc(%v, 1, %v) = %v", a, x, got)
		}
		if got := Inc(a, 2.5, x) + Inc(2.5, a, 1-x); math.Abs(got-1) > 1e-10 {
			t.Fatalf("the two sides of %v sum to %v", x, got)
		}
	})
}
