// Package beta is the regularized incomplete beta function, behind which the tails of the binomial distribution and of
// Student's t stand alike. It has its own page because two confidence bounds need it and the standard library has none.
package beta

import "math"

// Inc is the regularized incomplete beta function I_x(a, b), by Lentz's continued fraction
// (Numerical Recipes 6.4), which converges fast for x < (a+1)/(a+b+2) and is mirrored otherwise.
func Inc(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - Inc(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	return front * fraction(a, b, x) / a
}

// StudentT returns the value that a t-distributed variable does not exceed with probability p, 0.5 <= p < 1. Degrees of
// freedom need not be whole: those of an effective sample size are not.
//
//	P(|T| > t) = I_x(df/2, 1/2)        x = df / (df + t²)
func StudentT(df, p float64) float64 {
	// Bisection over x, which rises from 0 to 1 with the probability of the two tails.
	tails := 2 * (1 - p)
	low, high := 0.0, 1.0
	for range 200 {
		mid := (low + high) / 2
		if Inc(df/2, 0.5, mid) < tails {
			low = mid
		} else {
			high = mid
		}
	}
	return math.Sqrt(df * (1 - high) / high)
}

// fraction evaluates the continued fraction of Inc. The number of terms grows with the square root
// of max(a, b); 10 000 serve for 10^7 trials and more.
func fraction(a, b, x float64) float64 {
	const (
		tiny = 1e-300 // stands in for a zero denominator
		eps  = 1e-15
	)
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c := 1.0
	d := 1 / guard(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m <= 10_000; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / guard(1+even*d)
		c = guard(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / guard(1+odd*d)
		c = guard(1 + odd/c)
		step := d * c
		h *= step
		if math.Abs(step-1) < eps {
			break
		}
	}
	return h
}
