package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/cluster/osthread"
)

// The thread that carries the packets competes with the servers and the load generator for the processor. When
// they use all of it, packets come late, and a slow machine looks like a slow server. A real-time priority cures that:
// the router needs a small share of the processor, at the right times. All threads of the process get it, for Go
// lets a thread go on only when another gives way, which one of normal priority may not get the time to do. What the
// lab starts does not inherit it (osthread.Thread.Start).
//
// Inside the lab nobody may set such a priority, even as root of the user namespace; the process outside may, if its
// user has CAP_SYS_NICE. So the lab asks:
//
//	lab: "real-time, please"  ->  outside: sched_setattr  ->  lab: "real-time", or "normal" and why
//
// Nothing depends on it. Facts say which it was, and Counters.Late what came of it.

// priorityFD is the descriptor, inside the lab, of the socket on which to ask.
const priorityFD = 3

// answerWithin bounds the wait for an answer, should the process outside be stopped.
const answerWithin = time.Second

// priorityDesk is the outer end of that socket.
type priorityDesk struct {
	socket *os.File
	done   chan struct{}
}

// newPriorityDesk returns the desk, and the end for the lab.
func newPriorityDesk() (*priorityDesk, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket to the lab: %w", err)
	}
	return &priorityDesk{socket: os.NewFile(uintptr(fds[0]), "priority desk"), done: make(chan struct{})}, os.NewFile(uintptr(fds[1]), "priority"), nil
}

// serve answers for the process with the given id, until the lab has ended or close is called.
func (d *priorityDesk) serve(pid int) {
	go func() { // owned by d; ends when the socket does
		defer close(d.done)
		message := make([]byte, 64)
		for {
			if n, err := d.socket.Read(message); err != nil || n == 0 {
				return
			}
			answer := "real-time"
			if err := eachThread(pid, realTime); err != nil {
				answer = "normal: " + err.Error()
			}
			if _, err := d.socket.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
}

func (d *priorityDesk) close() {
	d.socket.Close()
	<-d.done
}

// realTime gives a thread the lowest real-time priority, which is over all normal ones.
func realTime(tid int) error {
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if err := unix.SchedSetAttr(tid, attr, 0); err != nil {
		return fmt.Errorf("setting a real-time priority: %w", err)
	}
	return nil
}

// eachThread does something to every thread of a process.
func eachThread(pid int, do func(tid int) error) error {
	// A thread that is born meanwhile has what its parent had: once more finds it.
	for range 2 {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return fmt.Errorf("listing threads: %w", err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("listing threads: %w", err)
			}
			if err := do(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// priority is the lab's end; nil outside.
var priority = func() *os.File {
	if !Inside() {
		return nil
	}
	unix.CloseOnExec(priorityFD)
	return os.NewFile(priorityFD, "priority")
}()

// prioritize asks for a real-time priority and returns the answer.
func prioritize() string {
	if priority == nil {
		return "normal"
	}
	answer := make([]byte, 256)
	n := 0
	err := priority.SetDeadline(time.Now().Add(answerWithin))
	if err == nil {
		_, err = priority.Write([]byte("real-time, please"))
	}
	if err == nil {
		n, err = priority.Read(answer)
	}
	if err != nil {
		return "normal: " + err.Error()
	}
	return string(answer[:n])
}

// relax gives this process a normal priority again, for which nobody need be asked.
func relax() error {
	return eachThread(os.Getpid(), osthread.Normal)
}
