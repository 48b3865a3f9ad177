// Package pgtest runs a real PostgreSQL for a test: a new database cluster in a temporary directory, on
// a free port of the loopback, with logical decoding on, stopped and removed when the test ends.
//
// The server programs come from Debian's package postgresql (`make test` installs it). They refuse to
// run as root, so that root's tests run them as the user postgres, or nobody.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wedsync/wedsync/internal/loopback"
)

// patience bounds every wait for the database.
const patience = 30 * time.Second

// Server is one running PostgreSQL.
type Server struct {
	bin, dir string
	port     string
	run      *syscall.Credential // nil: as whoever runs the test
	cmd      *exec.Cmd
	output   bytes.Buffer
}

// Start runs a PostgreSQL until the test ends. A machine without one fails the test, saying what to
// install: tests that skip silently prove nothing.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{bin: programs(tb)}
	dir, err := os.MkdirTemp("", "wedsync-postgres-")
	if err != nil {
		tb.Fatal(err)
	}
	s.dir = dir
	tb.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is temporary
	if os.Geteuid() == 0 {
		s.run = unprivileged(tb)
		if err := os.Chown(dir, int(s.run.Uid), int(s.run.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	init := s.command("initdb", "--pgdata", s.data(), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	s.port = strings.TrimPrefix(loopback.Must(tb), "127.0.0.1:")
	s.Up(tb)
	tb.Cleanup(func() { s.Kill(tb) })
	return s
}

// URL names a database of the server, as its superuser.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/%s", s.port, database)
}

// Connect opens a connection that is closed when the test ends.
func (s *Server) Connect(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL(database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be down
	return conn
}

// Up starts the server again after Kill, on the same port with the same data, and waits until it answers.
func (s *Server) Up(tb testing.TB) {
	tb.Helper()
	s.output.Reset()
	s.cmd = s.command("postgres", "-D", s.data(), "-h", "127.0.0.1", "-p", s.port, "-k", s.dir,
		"-c", "wal_level=logical", "-c", "max_replication_slots=100", "-c", "max_wal_senders=100", "-c", "max_connections=400",
		// A killed process loses nothing by this, and that is all that tests kill.
		"-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "shared_buffers=16MB", "-c", "wal_sender_timeout=5s")
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(context.Background(), s.URL("postgres"))
		if err == nil {
			_ = conn.Close(context.Background()) // it has answered
			return
		}
		if time.Now().After(deadline) {
			s.Kill(tb)
			tb.Fatalf("PostgreSQL does not answer: %v\n%s", err, s.output.String())
		}
	}
}

// Kill ends the server at once (SIGQUIT: no clean-up, recovery at the next start) and waits until all its
// processes are gone. A server that is down stays down.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
	_ = s.cmd.Wait() // the way it ends is the one asked for
	s.cmd = nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	// It dies with the test, also if that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.run, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	return cmd
}

// programs finds the folder of initdb and postgres: the newest of Debian's, else what PATH has.
func programs(tb testing.TB) string {
	tb.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		tb.Fatal(err)
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0])
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		tb.Fatal("PostgreSQL is not installed: run `apt-get install postgresql` (15 or newer)")
	}
	return filepath.Dir(initdb)
}

// version reads the number of /usr/lib/postgresql/NUMBER/bin/initdb.
func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // 0 if it is none: the last choice
	return n
}

func unprivileged(tb testing.TB) *syscall.Credential {
	tb.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU == nil && errG == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	tb.Fatal("PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")
	return nil
}
