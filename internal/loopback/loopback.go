// Package loopback finds addresses on which servers can listen whose peers must know them before.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Below the ports from which Linux chooses those of outgoing connections (ip_local_port_range, 32768
// up): such a connection of any process could otherwise take the address before its server does.
const firstPort, ports = 20000, 12000

var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// Address returns a TCP address on 127.0.0.1 on which nobody listens, another one at every call.
func Address() (string, error) {
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(ports)
		if given.ports[port] {
			continue
		}
		given.ports[port] = true
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("found no free port on 127.0.0.1")
}

// Must is Address in a test, which it ends if there is none.
func Must(t interface {
	Helper()
	Fatal(...any)
}) string {
	t.Helper()
	address, err := Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
