package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wedsync/wedsync/cluster/osthread"
	"github.com/wedsync/wedsync/internal/loopback"
)

// readyWithin is how long a subject has to begin to serve.
const readyWithin = 15 * time.Second

// running is a subject that serves.
type running struct {
	url     string // to dial
	dialect Dialect
	pid     int
	base    int64 // RSS before the first client, KiB
	stop    func() error
}

// start starts a subject in a process of its own, waits until it serves and has settled, and notes what it takes
// without clients. One that runs already is just looked at.
func (s *Subject) start(ctx context.Context, thread *osthread.Thread, settle time.Duration) (*running, error) {
	r := &running{dialect: s.Dialect, pid: s.PID, stop: func() error { return nil }}
	if r.dialect == nil {
		r.dialect = supabase{}
	}
	address := s.URL
	if s.Command != nil {
		listen, err := loopback.Address()
		if err != nil {
			return nil, err
		}
		if err := r.launch(ctx, thread, s, listen); err != nil {
			return nil, err
		}
		address = "ws://" + listen
	}
	if err := r.look(ctx, address, settle); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// look notes what is to be known of a subject before the first client.
func (r *running) look(ctx context.Context, address string, settle time.Duration) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("the address of a subject: %w", err)
	}
	r.url = r.dialect.endpoint(u)
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	r.base, err = residentKiB(r.pid)
	return err
}

// launch starts the process and waits until it is ready.
func (r *running) launch(ctx context.Context, thread *osthread.Thread, s *Subject, listen string) error {
	dir, err := os.MkdirTemp("", "wedsync-bench-")
	if err != nil {
		return fmt.Errorf("making a directory for %s: %w", s.Name, err)
	}
	said, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return errors.Join(fmt.Errorf("making the log of %s: %w", s.Name, err), os.RemoveAll(dir))
	}
	command := s.Command(listen, filepath.Join(dir, "data"))
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	err = thread.Start(cmd)
	_ = said.Close() // the process has its own descriptor, and this one has written nothing
	if err != nil {
		return errors.Join(fmt.Errorf("starting %s: %w", s.Name, err), os.RemoveAll(dir))
	}
	gone := make(chan struct{})
	go func() { // owned by r; ends with the process, which stop kills
		defer close(gone)
		_ = cmd.Wait() // a killed process is an error here, and what we wanted
	}()
	r.pid = cmd.Process.Pid
	r.stop = func() error {
		early := false
		select {
		case <-gone:
			early = true
		default:
			_ = cmd.Process.Kill() // fails if it has ended just now
			<-gone
		}
		var err error
		if early {
			err = fmt.Errorf("%s ended by itself (%v); its last words: %s", s.Name, cmd.ProcessState, lastWords(said.Name()))
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := ready(ctx, "http://"+listen+cmp.Or(s.Ready, "/readyz"), gone); err != nil {
		return errors.Join(fmt.Errorf("waiting for %s: %w", s.Name, err), r.stop())
	}
	return nil
}

// ready asks until the server says that it is ready, or has gone.
func ready(ctx context.Context, probe string, gone <-chan struct{}) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, probe, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-gone:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords are the end of a log; what cannot be read is empty, since it is for an error message.
func lastWords(file string) []byte {
	const most = 2000
	text, _ := os.ReadFile(file)
	return bytes.TrimSpace(text[max(0, len(text)-most):])
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
