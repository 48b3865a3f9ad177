// Package binomial bounds the rate behind a count: after k misses in n trials, how often might it miss?
//
// The bound is Clopper and Pearson's exact one (Biometrika 26, 1934). The upper bound u at confidence c
// is the rate at which k or fewer misses in n would be seen with probability 1-c only:
//
//	P(Bin(n, u) <= k) = 1 - c        n trials, k misses, c confidence (0.95)
//
// By the identity between binomial tails and the beta distribution, u is the c-quantile of
// Beta(k+1, n-k), and P(Bin(n, u) <= k) = 1 - I_u(k+1, n-k), with I the regularized incomplete beta
// function. It holds for independent trials: deliveries of one message are not independent of each
// other, so callers count messages.
package binomial

import "math"

// Upper returns the upper bound of the miss rate after misses in n trials, at the given one-sided
// confidence. Of no trials it returns 1: nothing is known.
func Upper(misses, n int, confidence float64) float64 {
	if n <= 0 || misses >= n {
		return 1
	}
	a, b := float64(misses+1), float64(n-misses)
	// Bisection: I_x(a, b) rises with x from 0 to 1. Sixty halvings reach the resolution of a float64
	// around the smallest bounds that matter.
	low, high := 0.0, 1.0
	for range 60 {
		mid := (low + high) / 2
		if betaInc(a, b, mid) < confidence {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// betaInc is the regularized incomplete beta function I_x(a, b), by Lentz's continued fraction
// (Numerical Recipes 6.4), which converges fast for x < (a+1)/(a+b+2) and is mirrored otherwise.
func betaInc(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - betaInc(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	return front * fraction(a, b, x) / a
}

// fraction evaluates the continued fraction of betaInc. The number of terms grows with the square root
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
