package bench

import (
	"context"
	"fmt"
	"time"
)

// Names of the benchmarks that run if nothing else is asked for, in their order.
var Names = []string{"connect", "fanout", "wedding", "storm"}

// Case is one load at one size.
type Case struct {
	Benchmark, Name string
	sockets         int
	load            load
}

// load is what is done to a subject. It fills in the figures of a round; its error says that measuring failed, not
// that the subject did badly.
type load interface {
	measure(ctx context.Context, subject *running, r *Round) error
}

// cases are all loads, or small and short ones of the same kinds.
func cases(quick bool) []Case {
	sizes := struct {
		connect, storm []int
		settle, warm   time.Duration
		length         time.Duration
		subscribers    int
		fanout         []float64
		rooms, members int
		background     []float64
		urgent         float64
	}{
		connect: []int{1000, 5000, 10000}, storm: []int{1000, 5000},
		settle: 3 * time.Second, warm: 3 * time.Second, length: 15 * time.Second,
		subscribers: 1000, fanout: []float64{50, 100},
		rooms: 100, members: 10, background: []float64{20, 90, 130}, urgent: 40,
	}
	if quick {
		sizes.connect, sizes.storm = []int{100}, []int{100}
		sizes.settle, sizes.warm, sizes.length = 100*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond
		sizes.subscribers, sizes.fanout = 50, []float64{20}
		sizes.rooms, sizes.members, sizes.background = 10, 5, []float64{20}
	}
	var all []Case
	for _, n := range sizes.connect {
		all = append(all, Case{"connect", fmt.Sprintf("%d sockets", n), n, connectLoad{sockets: n, settle: sizes.settle}})
	}
	for _, rate := range sizes.fanout {
		b := broadcastLoad{rooms: 1, members: sizes.subscribers, background: rate, warm: sizes.warm, length: sizes.length}
		all = append(all, Case{"fanout", fmt.Sprintf("1 to %d, %g msg/s", b.members, rate), b.sockets(), b})
	}
	for _, rate := range sizes.background {
		b := broadcastLoad{rooms: sizes.rooms, members: sizes.members, background: rate, urgent: sizes.urgent, warm: sizes.warm, length: sizes.length}
		all = append(all, Case{"wedding", fmt.Sprintf("%d x %d, %g msg/s each, %g urgent/s", b.rooms, b.members, rate, b.urgent), b.sockets(), b})
	}
	for _, n := range sizes.storm {
		all = append(all, Case{"storm", fmt.Sprintf("%d sockets", n), n, stormLoad{sockets: n}})
	}
	return all
}
