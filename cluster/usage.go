package cluster

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Usage is what a process takes of the machine.
type Usage struct {
	RSS int64         // bytes of memory that it has
	CPU time.Duration // processor time that it has used, of all its threads
}

// clockTick is the unit of times in /proc, the same on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage reads what the node's process takes, from the kernel's books.
func (n *Node) Usage() (Usage, error) {
	p := n.process()
	if p == nil || !p.alive() {
		return Usage{}, fmt.Errorf("the usage of %s: it is not running", n.Name)
	}
	u, err := p.usage()
	if err != nil {
		return Usage{}, fmt.Errorf("the usage of %s: %w", n.Name, err)
	}
	return u, nil
}

// The fields of /proc/<pid>/stat (proc(5)), counted from the state, which stands behind the name in parentheses.
const (
	statUser   = 11 // clock ticks
	statSystem = 12
)

func (p *process) usage() (u Usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return u, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= statSystem {
		return u, fmt.Errorf("/proc/%d/stat has %d fields", p.pid(), len(fields))
	}
	for _, i := range []int{statUser, statSystem} {
		ticks, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return u, err
		}
		u.CPU += time.Duration(ticks) * clockTick
	}
	// The resident set stands in stat too, but proc(5) calls it inaccurate there.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return u, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	kib, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	if u.RSS, err = strconv.ParseInt(string(kib), 10, 64); err != nil {
		return u, fmt.Errorf("/proc/%d/status has no VmRSS: %w", p.pid(), err)
	}
	u.RSS <<= 10
	return u, nil
}
