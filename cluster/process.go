package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one life of a node.
type process struct {
	cmd     *exec.Cmd
	bin     binary
	started time.Time
	wanted  atomic.Bool   // its end was asked for
	gone    chan struct{} // closed when the process has been reaped
	exit    Exit          // valid once gone is closed
}

// supervise watches a started command until it ends. An end that nobody asked for is said aloud.
func supervise(cmd *exec.Cmd, n *Node, bin binary) *process {
	p := &process{cmd: cmd, bin: bin, started: time.Now(), gone: make(chan struct{})}
	go func() { // owned by the node; ends with the process, which Close sees to
		defer close(p.gone)
		_ = cmd.Wait() // the state says more
		p.exit = Exit{At: time.Now(), Wanted: p.wanted.Load(), Status: cmd.ProcessState.String(), LastWord: tail(n.LogFile(), 15)}
		if !p.exit.Wanted {
			n.cfg.Logger.Error("a server has ended by itself", "node", n.Name, "pid", p.pid(), "status", p.exit.Status,
				"log", n.LogFile(), "end_of_log", p.exit.LastWord)
		}
	}()
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// signal reaches this very process (by pidfd where the kernel has it), or nobody if it has ended.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// end ends the process: kindly if there is a grace, by force after it.
func (p *process) end(grace time.Duration) error {
	if !p.alive() {
		return nil
	}
	if grace > 0 {
		if err := p.ask(); err != nil {
			return err
		}
		select {
		case <-p.gone:
			return nil
		case <-time.After(grace):
		}
	}
	return p.kill()
}

// ask asks the process to end. A frozen process gets the signal only once it runs again.
func (p *process) ask() error {
	p.wanted.Store(true)
	if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
		return fmt.Errorf("asking process %d to end: %w", p.pid(), err)
	}
	return nil
}

// kill ends the process by force and returns when it is gone.
func (p *process) kill() error {
	p.wanted.Store(true)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing process %d: %w", p.pid(), err)
	}
	<-p.gone
	return nil
}

// succeeded reports whether a process that has ended did so with success.
func (p *process) succeeded() bool { return p.cmd.ProcessState.Success() }

// state reads the third field of /proc/<pid>/stat, which stands behind the name in parentheses.
func (p *process) state() byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0 // it ended just now
	}
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) {
		return stat[i+2]
	}
	return 0
}

// tail returns the last lines of a file; what cannot be read is empty, since it is for an error message.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-16<<10), io.SeekStart)
	}
	text, _ := io.ReadAll(f)
	text = bytes.TrimSpace(text)
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '\n' {
			if lines--; lines == 0 {
				return string(text[i+1:])
			}
		}
	}
	return string(text)
}
