// Package control lets other commands act on a running `wedsync cluster up`.
//
// The cluster serves a unix socket in its directory, which only its user can reach; commands find it there. What is
// spoken is HTTP, so that curl can speak it too:
//
//	GET  /status                          the nodes, as JSON
//	POST /upgrade?server=FILE             replace every node in turn; without a file, by the same program
//	POST /scale?region=NAME&nodes=N       add or drain nodes until there are so many
//
// The last two answer with a line of JSON for every step: {"text": …}, and at the end {"error": …} or {"done": true}. They
// go on when whoever asked goes away: half an upgrade is worse than a whole one.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster"
)

// socketName is the file in the cluster's directory.
const socketName = "control.sock"

// Status is a node as `wedsync cluster status` shows it.
type Status struct {
	Node        string    `json:"node"`
	Region      string    `json:"region"`
	State       string    `json:"state"` // ready, draining, down, frozen, or not ready and why
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	Binary      string    `json:"binary"`
	SHA256      string    `json:"sha256"` // of the binary
	RSS         int64     `json:"rss"`    // bytes
	Connections int       `json:"connections"`
}

// line is a line of the answer of an operation.
type line struct {
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
	Done  bool   `json:"done,omitempty"`
}

// Config says what to serve.
type Config struct {
	Cluster *cluster.Cluster
	Dir     string // of the cluster; the socket is made there
	// Scaling says that a Scaler decides how many nodes there are: scale is refused then.
	Scaling bool
	Logger  *slog.Logger // default slog.Default()
}

// Server serves one cluster.
type Server struct {
	cfg  Config
	http *http.Server
	dir  *os.File // open as long as the socket is: its path leads through it
	ctx  context.Context
	stop context.CancelFunc

	served chan struct{} // closed when nothing is accepted any more
	one    sync.Mutex    // held by an operation that changes the cluster
}

// Serve opens the socket. A directory in which another cluster runs is an error.
func Serve(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if _, err := Open(cfg.Dir); err == nil {
		return nil, fmt.Errorf("a cluster is running in %s already", cfg.Dir)
	}
	if err := os.Remove(filepath.Join(cfg.Dir, socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the control socket of a cluster that was killed: %w", err)
	}
	dir, path, err := socketPath(cfg.Dir)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(filepath.Join(cfg.Dir, socketName), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the control socket in %s: %w", cfg.Dir, err), dir.Close())
	}
	s := &Server{cfg: cfg, dir: dir, served: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("POST /upgrade", s.operation(s.upgrade))
	mux.HandleFunc("POST /scale", s.operation(s.scale))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { // owned by s; ended by Close
		defer close(s.served)
		_ = s.http.Serve(listener) // always an error: that it was closed
	}()
	return s, nil
}

// closeWithin is how long operations may take to give up.
const closeWithin = 20 * time.Second

// Close ends operations where they stand and removes the socket.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("ending what others have asked of the cluster: %w", err), s.http.Close())
	}
	<-s.served
	return errors.Join(err, s.dir.Close())
}

// socketPath returns a path of the socket that is short enough for the kernel (108 bytes), however long that of the
// directory is. The path holds as long as the returned file is open.
func socketPath(dir string) (*os.File, string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, "", fmt.Errorf("opening the cluster's directory: %w", err)
	}
	return d, fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName), nil
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	nodes := s.cfg.Cluster.Nodes()
	all := make([]Status, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() { all[i] = look(r.Context(), n) }) // bounded by lookWithin; waited for below
	}
	asked.Wait()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(all); err != nil {
		s.cfg.Logger.Debug("whoever asked for the status has gone", "error", err)
	}
}

// lookWithin is how long a node may take to say how it is.
const lookWithin = 2 * time.Second

func look(ctx context.Context, n *cluster.Node) Status {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	status := Status{Node: n.Name, Region: n.Region, State: "down"}
	if life, ok := n.Life(); ok {
		status.PID, status.Started, status.Binary, status.SHA256 = life.PID, life.Started, life.Binary, life.SHA256
	}
	if !n.Alive() {
		return status
	}
	switch {
	case n.Draining():
		status.State = "draining"
	case n.State() == 'T':
		status.State = "frozen"
	default:
		status.State = "ready"
		if err := n.Ready(ctx); err != nil {
			status.State = "not ready: " + err.Error()
		}
	}
	// What cannot be had stays 0: the state says why.
	if u, err := n.Usage(); err == nil {
		status.RSS = u.RSS
	}
	if series, err := n.Metrics(ctx, "wedsync_connections"); err == nil {
		for _, m := range series {
			status.Connections += int(m.Value)
		}
	}
	return status
}

// operation makes a handler of something that takes its time and tells how it is going.
func (s *Server) operation(do func(ctx context.Context, r *http.Request, say func(format string, args ...any)) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := json.NewEncoder(w)
		tell := func(l line) {
			_ = out.Encode(l) // whoever asked may have gone; the operation goes on
			_ = http.NewResponseController(w).Flush()
		}
		if !s.one.TryLock() {
			tell(line{Error: "another upgrade or change of scale is under way; wait until it has ended"})
			return
		}
		err := do(s.ctx, r, func(format string, args ...any) { tell(line{Text: fmt.Sprintf(format, args...)}) })
		s.one.Unlock() // before it is told: whoever hears of the end may ask for the next at once
		if err != nil {
			tell(line{Error: err.Error()})
			return
		}
		tell(line{Done: true})
	}
}

func (s *Server) upgrade(ctx context.Context, r *http.Request, say func(string, ...any)) error {
	begun := time.Now()
	nodes := s.cfg.Cluster.Nodes()
	say("replacing %d nodes, one after the other", len(nodes))
	last := begun
	return s.cfg.Cluster.Upgrade(ctx, r.FormValue("server"), func(n *cluster.Node) {
		life, _ := n.Life() // it has just been started
		say("%s: process %d, ready after %v", n, life.PID, time.Since(last).Round(time.Millisecond))
		last = time.Now()
	})
}

func (s *Server) scale(ctx context.Context, r *http.Request, say func(string, ...any)) error {
	if s.cfg.Scaling {
		return errors.New("the servers of this cluster decide how many of them there are (--scaling)")
	}
	region := r.FormValue("region")
	want, err := strconv.Atoi(r.FormValue("nodes"))
	if err != nil || want < 1 {
		return fmt.Errorf("nodes %q: a region has at least one", r.FormValue("nodes"))
	}
	for {
		var nodes []*cluster.Node
		for _, n := range s.cfg.Cluster.Nodes() {
			if n.Region == region {
				nodes = append(nodes, n)
			}
		}
		begun := time.Now()
		switch {
		case len(nodes) < want: // also for a region that is not there, which Add refuses
			n, err := s.cfg.Cluster.Add(ctx, region)
			if err != nil {
				return err
			}
			say("%s: added, ready after %v", n, time.Since(begun).Round(time.Millisecond))
		case len(nodes) > want:
			n := nodes[len(nodes)-1]
			if err := s.cfg.Cluster.Remove(ctx, n); err != nil {
				return err
			}
			say("%s: drained and removed, after %v", n, time.Since(begun).Round(time.Millisecond))
		default:
			say("%s has %d node(s)", region, want)
			return nil
		}
	}
}
