package bench

import (
	"fmt"
	"slices"
	"time"
)

// CurveName is the benchmark of what a server costs from a thousand connections to ten thousand, for docs/capacity.md. It
// takes long and is played only if it is asked for.
const CurveName = "curve"

// The load of the curve is that of many small weddings, and the same for each connection at every size: what changes from
// one end of the curve to the other is their number alone.
const (
	curveRoom       = 10  // connections of a room, its publisher included
	curveBackground = 2.0 // messages per second and room
	curveUrgent     = 0.1 // urgent messages per second and room
)

// curveCases are two at each size: connections that idle, and connections with load.
func curveCases(quick bool) []Case {
	sizes := []int{1000, 2000, 5000, 10000}
	settle, warm, length := 3*time.Second, 3*time.Second, 20*time.Second
	if quick {
		sizes, settle, warm, length = []int{20, 40}, 50*time.Millisecond, 50*time.Millisecond, 300*time.Millisecond
	}
	var all []Case
	for _, n := range sizes {
		rooms := n / curveRoom
		load := broadcastLoad{rooms: rooms, members: curveRoom - 1, background: curveBackground, urgent: curveUrgent * float64(rooms), warm: warm, length: length}
		all = append(all,
			Case{CurveName, fmt.Sprintf(curveIdle, n), n, connectLoad{sockets: n, settle: settle}},
			Case{CurveName, fmt.Sprintf(curveLoad, n), n, load})
	}
	return all
}

// The names of the cases, which say their size.
const (
	curveIdle = "%d connections, idle"
	curveLoad = "%d connections, with load"
)

// curveDeliveries is how many deliveries a connection costs the server in a second, on average over members and
// publishers.
const curveDeliveries = (curveBackground + curveUrgent) * (curveRoom - 1) / curveRoom

// cases are those that were asked for.
func (c *Config) cases() []Case {
	only := c.Only
	if len(only) == 0 {
		only = Names
	}
	return slices.DeleteFunc(append(cases(c.Quick), curveCases(c.Quick)...), func(one Case) bool { return !slices.Contains(only, one.Benchmark) })
}

// known are the names of all benchmarks.
func known() []string { return append(slices.Clone(Names), CurveName) }
