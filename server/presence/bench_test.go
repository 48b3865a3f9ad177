package presence

import (
	"fmt"
	"testing"
)

// BenchmarkJoinLeave is one member that joins and leaves a room, and everything that this costs on
// all three nodes: encode, send to two peers, decode, merge, and one diff for each change and node.
func BenchmarkJoinLeave(b *testing.B) {
	for _, members := range []int{100, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			w := newTrio(members)
			var joined, left cost
			b.ReportAllocs()
			for b.Loop() {
				joined, left = w.join(b), w.leave(b)
			}
			b.ReportMetric(float64(joined.gossip), "gossip-B/join")
			b.ReportMetric(float64(left.gossip), "gossip-B/leave")
			b.ReportMetric(float64(joined.diff), "diff-B/join")
			b.ReportMetric(float64(left.diff), "diff-B/leave")
		})
	}
}

// BenchmarkState is the presence_state that each member gets once, when it joins.
func BenchmarkState(b *testing.B) {
	for _, members := range []int{100, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			w := newTrio(members)
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(w.nodes[0].state(wedding, ""))
			}
			b.ReportMetric(float64(size), "state-B")
		})
	}
}

// BenchmarkFullState is a peer that comes back after missed changes: encode, decode and merge of
// the whole set of a node with so many entries.
func BenchmarkFullState(b *testing.B) {
	for _, members := range []int{100, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			o := newOwn("east", 1)
			for i := range members {
				o.track(uint64(i), supplier(uint64(i)))
			}
			o.cut()
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				r := lone()
				r.peers["east"] = &peer{name: "east", metas: map[uint64]*meta{}}
				size = 0
				for _, m := range o.full("west") {
					data := m.encode()
					size += len(data)
					got, err := decode(data)
					if err != nil {
						b.Fatal(err)
					}
					r.receive(got, t0)
				}
			}
			b.ReportMetric(float64(size), "gossip-B")
		})
	}
}
