package wan

import (
	"testing"

	"pgregory.net/rapid"
)

// The ring is a queue: what comes out is what went in, in order, never due earlier than what went before.
func TestRingIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q ring
		var model []packet
		var last int64
		for i, push := range rapid.SliceOfN(rapid.Bool(), 0, 500).Draw(t, "pushes") {
			if push || len(model) == 0 {
				p := packet{due: rapid.Int64Range(0, 1000).Draw(t, "due"), n: i}
				if !q.push(p) {
					t.Fatal("full")
				}
				last = max(last, p.due)
				model = append(model, packet{due: last, n: i})
				continue
			}
			if got := q.pop(); got != model[0] {
				t.Fatalf("popped %+v, want %+v", got, model[0])
			}
			model = model[1:]
		}
		if q.len() != len(model) {
			t.Fatalf("len %d, want %d", q.len(), len(model))
		}
	})
}

func TestRingIsBounded(t *testing.T) {
	var q ring
	for range maxQueue {
		if !q.push(packet{}) {
			t.Fatal("full too early")
		}
	}
	if q.push(packet{}) {
		t.Error("more than maxQueue packets were taken")
	}
	q.pop()
	if !q.push(packet{}) {
		t.Error("no room after a packet left")
	}
}
