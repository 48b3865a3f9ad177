package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much the kernel may hold of a connection that it has not put on the wire yet.
// By default it takes megabytes (3.9 MB measured, 0.18 MB with the limit) for a peer that reads
// slowly, and an urgent frame would wait behind all of them; with the limit they stay in our queue,
// where it overtakes them.
const unsentBytes = 32 << 10

// limitUnsent sets the limit. Where it cannot be set, all works, but a slow reader's urgent frames
// overtake less.
func limitUnsent(conn syscall.RawConn) {
	_ = conn.Control(func(fd uintptr) { // fails on a connection that is closed
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes) // or is not TCP
	})
}
