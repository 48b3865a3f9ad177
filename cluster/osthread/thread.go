// Package osthread keeps an operating-system thread for work that must happen on one and the same thread.
//
// Two things in Linux belong to a thread and not to the process: the network namespace it is in, and
// the children whose parent-death signal (prctl PR_SET_PDEATHSIG) fires when the thread that started them ends.
// Go moves goroutines between threads, so both need a thread that is held.
package osthread

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Thread runs functions, one after the other, on a thread of its own.
type Thread struct {
	work    chan func()
	closing chan struct{}
	once    sync.Once // closes closing
	done    chan struct{}
}

// ErrClosed is returned by Start when the thread has ended.
var ErrClosed = errors.New("the thread has ended")

// New starts a thread. It lives until Close.
func New() *Thread {
	t := &Thread{work: make(chan func()), closing: make(chan struct{}), done: make(chan struct{})}
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
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.closing:
			return
		}
	}
}

// Do runs f on the thread and waits for it; false: the thread has ended, and f was not run. It must not be called
// from within f.
func (t *Thread) Do(f func()) bool {
	finished := make(chan struct{})
	select {
	case t.work <- func() { defer close(finished); f() }:
		<-finished
		return true
	case <-t.closing:
		return false
	}
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
	ran := t.Do(func() {
		var nice int
		if nice, err = normalChildren(); err != nil {
			return
		}
		if err = cmd.Start(); err == nil && nice > 0 {
			// It may have ended by now, and then it needs none.
			_ = unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, nice)
		}
	})
	if !ran {
		return ErrClosed
	}
	return err
}

// Close ends the thread, and with it what it has started. It may be called more than once.
func (t *Thread) Close() {
	t.once.Do(func() { close(t.closing) })
	<-t.done
}

// normalChildren makes what the calling thread starts have a normal priority, even if the thread has a real-time one, and
// returns the nice value that it should have: the kernel forgets that one. The thread keeps its own: among threads that wait for
// each other (a garbage collector for everybody, and without sleeping at that) a single one of normal priority can
// stop all the others for as long as the machine is busy.
func normalChildren() (nice int, err error) {
	now, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return 0, fmt.Errorf("reading the priority of a thread: %w", err)
	}
	if now.Policy == unix.SCHED_NORMAL {
		return 0, nil // what it starts inherits the nice value too
	}
	reversed, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0, fmt.Errorf("reading the nice value of a thread: %w", err)
	}
	nice = 20 - reversed
	if now.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0 {
		return nice, nil
	}
	same := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: now.Policy, Priority: now.Priority, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if err := unix.SchedSetAttr(0, same, 0); err != nil {
		return 0, fmt.Errorf("keeping a real-time priority from what is started: %w", err)
	}
	return nice, nil
}

// Normal gives a thread (0: the calling one) a normal priority again, if it has a real-time one. Its nice value stays.
func Normal(tid int) error {
	now, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return fmt.Errorf("reading the priority of a thread: %w", err)
	}
	if now.Policy == unix.SCHED_NORMAL {
		return nil
	}
	// The kernel counts from 40 down to 1, so that no answer looks like an error.
	reversed, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err != nil {
		return fmt.Errorf("reading the nice value of a thread: %w", err)
	}
	// Only a privileged user may take back what normalChildren has done; it makes no difference any more.
	normal := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(20 - reversed), Flags: now.Flags & unix.SCHED_FLAG_RESET_ON_FORK}
	if err := unix.SchedSetAttr(tid, normal, 0); err != nil {
		return fmt.Errorf("setting a normal priority: %w", err)
	}
	return nil
}
