package bench

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/wedsync/wedsync/cluster/osthread"
)

// Server is a subject that serves until Stop, for measurements that bring clients of their own.
type Server struct {
	HTTP      string // http://host:port
	WebSocket string // ws://host:port/socket
	PID       int

	running *running
	thread  *osthread.Thread
}

// Serve starts a subject that speaks the protocol of Supabase, and waits until it is ready.
func Serve(ctx context.Context, s Subject) (*Server, error) {
	thread := osthread.New() // a child dies with the thread that started it
	r, err := s.start(ctx, thread, 0)
	if err != nil {
		thread.Close()
		return nil, err
	}
	address := strings.TrimPrefix(r.url, "ws://")
	host, _, _ := strings.Cut(address, "/")
	return &Server{HTTP: "http://" + host, WebSocket: "ws://" + host + "/socket", PID: r.pid, running: r, thread: thread}, nil
}

// Stop ends the server. An error says that it had ended by itself.
func (s *Server) Stop() error {
	err := s.running.stop()
	s.thread.Close()
	return err
}

// Usage is what a process has taken: processor time since it began, and memory that is resident now.
func Usage(pid int) (cpu time.Duration, residentBytes int64, err error) {
	cpu, err1 := cpuTime(pid)
	kib, err2 := residentKiB(pid)
	return cpu, kib << 10, errors.Join(err1, err2)
}
