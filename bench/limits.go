package bench

import (
	"fmt"
	"os"
	"syscall"
)

const (
	// sources are the loopback addresses that clients dial from, so that ephemeral ports suffice: each has its own.
	sources = 8
	// spareFiles are the descriptors that a process needs besides those of the sockets.
	spareFiles = 256
)

// limits is what bounds the number of sockets.
type limits struct {
	files uint64 // open files of this process, and of each that it starts
	ports int    // ephemeral ports of one address
}

// raiseLimits raises the soft limit on open files to the hard one, and returns what there is.
func raiseLimits() (limits, error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return limits{}, fmt.Errorf("reading the limit on open files: %w", err)
	}
	files.Cur = files.Max
	// Of package syscall: it makes processes that are started later inherit the limit.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return limits{}, fmt.Errorf("raising the limit on open files to the hard limit, %d: %w", files.Max, err)
	}
	l := limits{files: files.Cur}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return limits{}, fmt.Errorf("reading the range of ephemeral ports: %w", err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		return limits{}, fmt.Errorf("reading the range of ephemeral ports %q: %w", text, err)
	}
	l.ports = last - first + 1
	return l, nil
}

// lacks says what is missing for n sockets; empty: nothing.
func (l limits) lacks(n int) string {
	if need := uint64(n + spareFiles); need > l.files {
		return fmt.Sprintf("%d sockets need %d open files, the hard limit is %d: raise it (`ulimit -Hn`, /etc/security/limits.conf)", n, need, l.files)
	}
	if n > l.ports*sources {
		return fmt.Sprintf("%d sockets from %d addresses need more ephemeral ports than %d each: widen net.ipv4.ip_local_port_range", n, sources, l.ports)
	}
	return ""
}
