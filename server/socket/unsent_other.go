//go:build !linux

package socket

import "net"

// limitUnsent does nothing here: see unsent_linux.go for what is lost.
func limitUnsent(net.Conn) {}
