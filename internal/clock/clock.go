// Package clock reads the one clock that all processes of a machine share: CLOCK_MONOTONIC.
//
// The load generator stamps messages, the drill stamps faults, and the report lays both on one
// time axis. Go's time.Time keeps its monotonic reading to itself, and the wall clock may step
// in the middle of a run, so the raw files carry CLOCK_MONOTONIC in nanoseconds instead. It
// counts from boot, is the same in every process, and is not slowed or moved by user
// namespaces (it is by time namespaces, which nothing here uses).
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Anchor is one instant on both clocks: what a reader needs to turn monotonic times into dates.
type Anchor struct {
	WallNS int64 `json:"wall_ns"` // Unix time, nanoseconds
	MonoNS int64 `json:"mono_ns"` // CLOCK_MONOTONIC, nanoseconds
}

// Now returns CLOCK_MONOTONIC in nanoseconds.
func Now() int64 {
	var ts unix.Timespec
	// The call fails only for a clock id that the kernel does not know.
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("reading CLOCK_MONOTONIC: " + err.Error())
	}
	return ts.Nano()
}

// Read returns the present instant on both clocks, at most the time of two clock reads apart.
func Read() Anchor {
	return Anchor{WallNS: time.Now().UnixNano(), MonoNS: Now()}
}

// start ties Go's hidden monotonic reading to CLOCK_MONOTONIC once per process.
var start = struct {
	t    time.Time
	mono int64
}{time.Now(), Now()}

// Of returns the CLOCK_MONOTONIC nanoseconds of t, which must carry a monotonic reading, as the
// times from time.Now in this process do.
func Of(t time.Time) int64 {
	return start.mono + int64(t.Sub(start.t))
}
