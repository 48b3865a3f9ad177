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

// FloorName is the subject that all others are compared with.
const FloorName = "floor"

// Subject is a server under measurement: one that the harness starts anew for every round, or one that runs already.
type Subject struct {
	Name    string
	Command func(listen, dir string) []string // program and arguments; dir is empty and removed afterwards. nil: it runs already
	URL     string                            // of one that runs already, such as ws://127.0.0.1:4000/socket
	PID     int                               // of the process to measure, of one that runs already
}

// Wedsync is our own server: one node, in memory of the page cache, without the limits of an application.
func Wedsync(binary string) Subject {
	return Subject{Name: "wedsync", Command: func(listen, dir string) []string {
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

// ParseTarget reads NAME=ws://HOST:PORT/PATH,pid=N: another server on this machine.
func ParseTarget(spec string) (Subject, error) {
	wrong := func(what string) (Subject, error) {
		return Subject{}, fmt.Errorf("target %q: %s; use NAME=ws://127.0.0.1:PORT/socket,pid=N", spec, what)
	}
	name, rest, ok := strings.Cut(spec, "=")
	address, id, hasPID := strings.Cut(rest, ",pid=")
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
	return Subject{Name: name, URL: address, PID: pid}, nil
}

// endpoint is what clients dial: the transport's path and the version behind the address; its own query stays.
func endpoint(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("the address of a subject: %w", err)
	}
	if !strings.HasSuffix(u.Path, "/websocket") {
		u = u.JoinPath("websocket")
	}
	query := u.Query()
	query.Set("vsn", "2.0.0")
	u.RawQuery = query.Encode()
	return u.String(), nil
}
