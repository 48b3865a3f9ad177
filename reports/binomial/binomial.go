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

import "github.com/wedsync/wedsync/reports/beta"

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
		if beta.Inc(a, b, mid) < confidence {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
