package bench

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/cluster"
)

// Names of subjects: the one that all others are compared with, and the one that targets are set for.
const (
	FloorName = "floor"
	OwnName   = "wedsync"
)

// Subject is a server under measurement: one that the harness starts anew for every round, or one that runs already.
type Subject struct {
	Name    string
	Dialect Dialect                           // that its clients speak; nil: Supabase's
	Version string                            // of the program, for the report; empty: not known
	Command func(listen, dir string) []string // program and arguments; dir is empty and removed afterwards. nil: it runs already
	Ready   string                            // path that answers 200 once it serves; default: /readyz
	URL     string                            // of one that runs already, such as ws://127.0.0.1:4000/socket
	PID     int                               // of the process to measure, of one that runs already
}

// Wedsync is our own server: one node, in memory of the page cache, without the limits of an application.
func Wedsync(binary string) Subject {
	return Subject{Name: OwnName, Command: func(listen, dir string) []string {
		args := []string{binary, "--dev", "--listen=" + listen, "--data=" + dir, "--sync=interval", "--log-level=WARN", "--max-connections=0"}
		return append(args, cluster.Unlimited...)
	}}
}

// FloorSubject is Floor in a process of its own: command with the address to listen on as its last argument.
func FloorSubject(command ...string) Subject {
	return Subject{Name: FloorName, Command: func(listen, _ string) []string {
		return append(command[:len(command):len(command)], listen)
	}}
}

// ParseTarget reads NAME=ws://HOST:PORT/PATH,pid=N[,dialect=NAME]: another server on this machine.
func ParseTarget(spec string) (Subject, error) {
	wrong := func(what string) (Subject, error) {
		return Subject{}, fmt.Errorf("target %q: %s; use NAME=ws://127.0.0.1:PORT/socket,pid=N[,dialect=NAME]", spec, what)
	}
	name, rest, ok := strings.Cut(spec, "=")
	address, options, hasPID := strings.Cut(rest, ",pid=")
	id, spoken, hasDialect := strings.Cut(options, ",dialect=")
	if !ok || name == "" || !hasPID {
		return wrong("it needs a name, an address and the process to measure")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ws" {
		return wrong("the address must begin with ws://")
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() || ip.To4() == nil {
		return wrong("the address must be one of 127.0.0.0/8, for CPU and memory are read from this machine")
	}
	pid, err := strconv.Atoi(id)
	if err != nil || pid < 1 {
		return wrong("pid must be a positive number")
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, os.ErrNotExist) {
		return wrong("there is no such process")
	}
	s := Subject{Name: name, URL: address, PID: pid}
	if hasDialect {
		if s.Dialect, err = ParseDialect(spoken); err != nil {
			return wrong(err.Error())
		}
	}
	return s, nil
}
