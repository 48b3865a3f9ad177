package socket

import "syscall"

// pen is what a writer needs for a system call: a batch's buffer, and the call prepared so that it allocates
// nothing.
type pen struct {
	batch [batchBytes]byte
	call  func(fd uintptr) // p.write, made once

	out []byte
	n   int
	err error
}

func newPen() *pen {
	p := new(pen)
	p.call = p.write
	return p
}

// try writes as much of out as the connection takes without waiting.
func (p *pen) try(conn syscall.RawConn, out []byte) (n int, err error) {
	if conn == nil {
		return 0, nil
	}
	p.out = out
	if err := conn.Control(p.call); err != nil { // closed
		return 0, err
	}
	p.out = nil
	return p.n, p.err
}

// write is given the descriptor, which stays open meanwhile.
func (p *pen) write(fd uintptr) { p.n, p.err = writeNow(fd, p.out) }
