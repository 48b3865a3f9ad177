// Package osthread keeps an operating-system thread for work that must happen on one and the same thread.
//
// Two things in Linux belong to a thread and not to the process: the network namespace it is in, and
// the children whose parent-death signal (prctl PR_SET_PDEATHSIG) fires when the thread that started them ends.
// Go moves goroutines between threads, so both need a thread that is held.
package osthread

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Thread runs functions, one after the other, on a thread of its own.
type Thread struct {
	work chan func()
	once sync.Once
	done chan struct{}
}

// New starts a thread. It lives until Close.
func New() *Thread {
	t := &Thread{work: make(chan func()), done: make(chan struct{})}
	go t.run() // owned by t, ended by Close
	return t
}

// run holds its thread until the end, and ends it then: Go does not use a thread again whose
// goroutine ended without unlocking it, so what was done to the thread (setns) does not leak.
func (t *Thread) run() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread cannot end before the process, and what /proc/<pid> shows is its
		// state: leave it as it is, and hold it just long enough to get another one.
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(started)
			t.serve()
		}()
		<-started
		runtime.UnlockOSThread()
		return
	}
	t.serve()
}

func (t *Thread) serve() {
	defer close(t.done)
	for f := range t.work {
		f()
	}
}

// Do runs f on the thread and waits for it. It must not be called after Close, nor from within f.
func (t *Thread) Do(f func()) {
	finished := make(chan struct{})
	t.work <- func() {
		defer close(finished)
		f()
	}
	<-finished
}

// Start starts a command from the thread, in a process group of its own, so that a Ctrl-C at the
// terminal reaches whoever supervises it and not the command itself. The kernel kills it when the thread ends:
// at Close, or when this process dies in any way.
func (t *Thread) Start(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true
	t.Do(func() { err = cmd.Start() })
	return err
}

// Close ends the thread, and with it what it has started. It may be called more than once.
func (t *Thread) Close() {
	t.once.Do(func() { close(t.work) })
	<-t.done
}
