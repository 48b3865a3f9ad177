package limit

import (
	"slices"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		calls int
		per   time.Duration
		at    []time.Duration
		want  []bool
	}{
		"the sixth is one too many": {5, 30 * s, []time.Duration{0, 0, 0, 0, 0, 0}, []bool{true, true, true, true, true, false}},
		"fixed, not sliding":        {2, 30 * s, []time.Duration{0, 29 * s, 29 * s, 30 * s, 30 * s, 30 * s}, []bool{true, true, false, true, true, false}},
		"it begins with a call":     {2, 30 * s, []time.Duration{100 * s, 129 * s, 129 * s, 130 * s}, []bool{true, true, false, true}},
		"no calls set: no limit":    {0, 30 * s, []time.Duration{0, 0, 0}, []bool{true, true, true}},
		"no span set: no limit":     {1, 0, []time.Duration{0, 0, 0}, []bool{true, true, true}},
	} {
		w := NewWindow(c.calls, c.per)
		begin := time.Now()
		var got []bool
		for _, at := range c.at {
			got = append(got, w.Take(begin.Add(at)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
