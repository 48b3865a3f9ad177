//go:build unix

package socket

import (
	"errors"
	"syscall"
)

// writeNow writes as much of out as fits into the kernel's buffer. Nothing fitting is no error.
func writeNow(fd uintptr, out []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), out)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		default:
			return max(n, 0), err
		}
	}
}
