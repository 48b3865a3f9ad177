package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

// Node is one server: its identity and addresses, which last, and its process, which comes and goes.
type Node struct {
	Name   string // unique, such as eu-west-1
	Region string
	Index  int // within the region, from 0

	cfg       Config
	http, log string // where it serves (wan.Network.Bind)
	venue     string // where the venue finds it
	args      []string

	mu   sync.Mutex // guards the following
	bin  binary     // what the next Start runs
	proc *process   // nil before the first Start
}

// binary is a program file and the SHA-256 of what it holds, in hex.
type binary struct{ path, sha256 string }

// Life is one process of a node.
type Life struct {
	PID     int
	Started time.Time
	Binary  string // path of the program
	SHA256  string // of the program, hex
}

// Exit is how a process of a node ended.
type Exit struct {
	At       time.Time
	Wanted   bool   // by Kill, Stop or Close
	Status   string // such as "exit status 1" or "signal: killed"
	LastWord string // the end of its log
}

// Labels are what a chaos experiment selects nodes by: those that a StatefulSet on Kubernetes would have.
func (n *Node) Labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":             "wedsync-server",
		"topology.kubernetes.io/region":      n.Region,
		"statefulset.kubernetes.io/pod-name": n.Name,
	}
}

// Container is the name of the server's container, for the same purpose.
const Container = "server"

// String is the name.
func (n *Node) String() string { return n.Name }

// HTTP is the node's base URL as the venue reaches it.
func (n *Node) HTTP() string { return "http://" + n.venue }

// WebSocket is the URL for clients in the venue, which add /websocket to it.
func (n *Node) WebSocket() string { return "ws://" + n.venue + "/socket" }

// Addr is host:port of the node's HTTP service, for wan.Network.DialFrom.
func (n *Node) Addr() string { return n.http }

// LogAddr is host:port of the node's log server.
func (n *Node) LogAddr() string { return n.log }

// LogFile is where the output of the node's processes goes.
func (n *Node) LogFile() string { return filepath.Join(n.cfg.Dir, "logs", n.Name+".log") }

// DataDir is what the node keeps when its process ends.
func (n *Node) DataDir() string { return filepath.Join(n.cfg.Dir, "data", n.Name) }

// peersFile is where the node finds out who the other nodes are, now and later.
func (n *Node) peersFile() string { return filepath.Join(n.cfg.Dir, "peers", n.Name) }

// place gives the node its addresses and its command line.
func (n *Node) place(cfg Config, bin binary) (err error) {
	n.cfg, n.bin = cfg, bin
	if n.http, err = cfg.Network.Bind(n.Region, n.Index, httpPort); err != nil {
		return err
	}
	if n.log, err = cfg.Network.Bind(n.Region, n.Index, logPort); err != nil {
		return err
	}
	if n.venue, err = cfg.Network.Reach(wan.Venue, n.http); err != nil {
		return err
	}
	n.args = []string{"--node", n.Name, "--region", n.Region, "--listen", n.http, "--log-listen", n.log,
		"--data", n.DataDir(), "--peers-file", n.peersFile()}
	if cfg.Flaw != "" {
		n.args = append(n.args, "--flaw", cfg.Flaw)
	}
	n.args = append(n.args, cfg.ExtraArgs...)
	return nil
}

// Start starts the node's process, with the data of the last one. It is an error if one is running.
func (n *Node) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("starting %s: %w", n.Name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil && n.proc.alive() {
		return fmt.Errorf("starting %s: its process %d is running", n.Name, n.proc.pid())
	}
	log, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n.Name, err)
	}
	defer log.Close() // the process has its own descriptor
	cmd := exec.Command(n.bin.path, n.args...)
	// Secrets go through the environment: a command line can be read by every user of the machine.
	cmd.Env = append(os.Environ(), n.cfg.Env...)
	cmd.Env = append(cmd.Env, "WEDSYNC_JWT_SECRET="+n.cfg.JWTSecret, "WEDSYNC_CLUSTER_SECRET="+n.cfg.ClusterSecret)
	cmd.Stdout, cmd.Stderr = log, log
	if err := n.cfg.Network.Start(n.Region, cmd); err != nil {
		return fmt.Errorf("starting %s (%s): %w", n.Name, n.bin.path, err)
	}
	n.proc = supervise(cmd, n, n.bin)
	return nil
}

// Kill ends the process at once (SIGKILL) and returns when it is gone. A node that is down stays so.
func (n *Node) Kill() error { return n.end(0) }

// Stop asks the process to end (SIGTERM) and kills it after the grace. It returns when the process is gone.
func (n *Node) Stop(grace time.Duration) error { return n.end(grace) }

func (n *Node) end(grace time.Duration) error {
	p := n.process()
	if p == nil {
		return nil
	}
	if err := p.end(grace); err != nil {
		return fmt.Errorf("stopping %s: %w", n.Name, err)
	}
	return nil
}

// Drain asks the process to end (SIGTERM) while the rest of the cluster goes on, and waits for it: it moves its clients
// and hands over what it holds. To need more than DrainGrace (it is killed then), or to fail, is an error. When ctx
// ends the process is left as it is.
func (n *Node) Drain(ctx context.Context) error {
	p := n.process()
	if p == nil || !p.alive() {
		return fmt.Errorf("draining %s: it is not running", n.Name)
	}
	if err := p.ask(); err != nil {
		return fmt.Errorf("draining %s: %w", n.Name, err)
	}
	select {
	case <-p.gone:
	case <-ctx.Done():
		return fmt.Errorf("draining %s: %w", n.Name, context.Cause(ctx))
	case <-time.After(DrainGrace):
		return errors.Join(fmt.Errorf("draining %s: it had not ended after %v and was killed; its log is %s", n.Name, DrainGrace, n.LogFile()), p.kill())
	}
	if !p.succeeded() {
		return fmt.Errorf("draining %s: it ended with %s; the end of %s:\n%s", n.Name, p.exit.Status, n.LogFile(), p.exit.LastWord)
	}
	return nil
}

// Draining reports whether the process has been asked to end and has not.
func (n *Node) Draining() bool {
	p := n.process()
	return p != nil && p.alive() && p.wanted.Load()
}

// Life returns the latest process, which may have ended; false before the first Start.
func (n *Node) Life() (Life, bool) {
	p := n.process()
	if p == nil {
		return Life{}, false
	}
	return Life{PID: p.pid(), Started: p.started, Binary: p.bin.path, SHA256: p.bin.sha256}, true
}

// Signal sends a signal to the process, such as SIGSTOP and SIGCONT.
func (n *Node) Signal(sig syscall.Signal) error {
	p := n.process()
	if p == nil || !p.alive() {
		return fmt.Errorf("sending %v to %s: it is not running", sig, n.Name)
	}
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("sending %v to %s: %w", sig, n.Name, err)
	}
	return nil
}

// Alive reports whether the node has a process; a frozen one is alive.
func (n *Node) Alive() bool {
	p := n.process()
	return p != nil && p.alive()
}

// Pid is the process id, also for some time after its end; 0 before the first Start.
func (n *Node) Pid() int {
	if p := n.process(); p != nil {
		return p.pid()
	}
	return 0
}

// State is the process state as the kernel names it (proc(5)): R and S run, T is stopped by a signal; 0 if there is none.
func (n *Node) State() byte {
	if p := n.process(); p != nil && p.alive() {
		return p.state()
	}
	return 0
}

// Exited returns how the last process ended; false while it runs and before there was one.
func (n *Node) Exited() (Exit, bool) {
	p := n.process()
	if p == nil || p.alive() {
		return Exit{}, false
	}
	return p.exit, true
}

func (n *Node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// Ready asks the node, from the venue, whether it is ready to serve. It speaks HTTP on a connection of its own: an
// http.Transport would go on dialling a silent node after ctx has ended.
func (n *Node) Ready(ctx context.Context) error {
	conn, err := n.cfg.Network.DialFrom(ctx, wan.Venue, n.http)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	response, err := ask(conn, n.HTTP()+"/readyz")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("/readyz: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // the status alone is enough if this fails
		return fmt.Errorf("/readyz: %s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

// Status asks the node for a path, from the venue, and returns the code of the answer.
func (n *Node) Status(ctx context.Context, method, path string) (int, error) {
	conn, err := n.cfg.Network.DialFrom(ctx, wan.Venue, n.http)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	response, err := request(conn, method, n.HTTP()+path)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

func ask(conn net.Conn, url string) (*http.Response, error) {
	return request(conn, http.MethodGet, url)
}

func request(conn net.Conn, method, url string) (*http.Response, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), request)
}

// How often readiness is asked for, and how long one answer may take.
const (
	readyEvery   = 50 * time.Millisecond
	readyTimeout = 2 * time.Second
)

func (n *Node) waitReady(ctx context.Context) error {
	var last error
	for {
		if exit, ended := n.Exited(); ended {
			return fmt.Errorf("%s has ended (%s); the end of %s:\n%s", n.Name, exit.Status, n.LogFile(), exit.LastWord)
		}
		ask, cancel := context.WithTimeout(ctx, readyTimeout)
		err := n.Ready(ask)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (last answer: %w); its log is %s", n.Name, ctx.Err(), errOr(last), n.LogFile())
		case <-time.After(readyEvery):
		}
	}
}

var errNone = errors.New("none")

func errOr(err error) error {
	if err == nil {
		return errNone
	}
	return err
}
