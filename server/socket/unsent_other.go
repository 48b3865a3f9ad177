//go:build !linux

package socket

import "syscall"

// limitUnsent does nothing here: see unsent_linux.go for what is lost.
func limitUnsent(syscall.RawConn) {}
