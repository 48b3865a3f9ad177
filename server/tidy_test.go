package server

import (
	"slices"
	"testing"
)

func TestTurnover(t *testing.T) {
	t.Parallel()
	const many = tidyAfter
	for name, c := range map[string]struct {
		looks []int // sockets that had come or gone, at every look
		tidy  []int // looks at which it is time
	}{
		"the start is tidied once":       {[]int{0, 0, 0}, []int{0}},
		"a storm, once it is over":       {[]int{0, many / 2, many, many, many}, []int{0, 3}},
		"not while clients come":         {[]int{0, many, 2 * many, 3 * many}, []int{0}},
		"not for a few":                  {[]int{0, many - 1, many - 1}, []int{0}},
		"but for a few, again and again": {[]int{0, many - 1, many - 1, many, many}, []int{0, 4}},
		"each storm once":                {[]int{0, many, many, many, 2 * many, 2 * many, 2 * many}, []int{0, 2, 5}},
	} {
		turn := turnover{tidied: -tidyAfter}
		var got []int
		for i, now := range c.looks {
			if turn.settled(now) {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.tidy) {
			t.Errorf("%s: tidied at the looks %v, want %v", name, got, c.tidy)
		}
	}
}
