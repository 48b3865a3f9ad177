package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// roleVar tells a process what it is: nothing, the lab, or a probe. It is taken from the environment
// before main runs, so that no process below inherits it.
const (
	roleVar   = "WEDSYNC_LAB_ROLE"
	roleLab   = "lab"
	roleProbe = "probe"
)

var role = takeRole()

func takeRole() string {
	r := os.Getenv(roleVar)
	os.Unsetenv(roleVar) // cannot fail: the name is valid
	return r
}

// Inside reports whether this process runs inside the lab.
func Inside() bool { return role == roleLab }

// again is this very command, in new user and network namespaces.
func again(role string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
		// The lab is told of signals by us, once. In the terminal's process group it would also be told by the
		// terminal, and take the second Ctrl-C for impatience.
		Setpgid: true,
	}
	return cmd
}

// outside runs the lab and returns *Exit with its exit code.
func outside(cfg Config) error {
	listeners, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	cmd := again(roleLab, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	desk, theirs, err := newPriorityDesk()
	if err != nil {
		return errors.Join(err, closeListeners(listeners))
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	for _, l := range listeners {
		f, err := l.(*net.TCPListener).File()
		if err = errors.Join(err, l.Close()); err != nil {
			return fmt.Errorf("handing a listener to the lab: %w", err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	code, err := supervise(cmd, func() {
		theirs.Close()
		desk.serve(cmd.Process.Pid)
	})
	desk.close()
	if err != nil {
		return fmt.Errorf("running the lab: %w", err)
	}
	return &Exit{Code: code}
}

// relayed are the signals that ask a program to end. SIGQUIT is there for its goroutine dump.
var relayed = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// supervise runs a command to its end, passes signals on to it, and returns its exit code; 128 and the signal
// if it was killed. It calls started once the command runs.
func supervise(cmd *exec.Cmd, started func()) (int, error) {
	// The kernel kills the lab when the thread that started it ends, so this one must last.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, relayed...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	started()
	ended := make(chan struct{})
	relay := make(chan struct{})
	go func() { // ends with the command
		defer close(relay)
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s) // it may have ended by now
			case <-ended:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	<-relay
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// FilesWanted is the number of descriptors with which 1,200 dual-homed vendors have room to spare.
const FilesWanted = 16384

// RaiseFiles raises the limit on open files as far as this process may, for itself and what it starts, and
// returns it; with an error if it stays under FilesWanted.
func RaiseFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit on open files: %w", err)
	}
	wanted := unix.Rlimit{Cur: max(limit.Max, FilesWanted), Max: max(limit.Max, FilesWanted)}
	err := syscall.Setrlimit(unix.RLIMIT_NOFILE, (*syscall.Rlimit)(&wanted))
	if err == nil {
		return wanted.Cur, nil
	}
	// Only root may go over the hard limit.
	wanted = unix.Rlimit{Cur: limit.Max, Max: limit.Max}
	err = errors.Join(err, syscall.Setrlimit(unix.RLIMIT_NOFILE, (*syscall.Rlimit)(&wanted)))
	return limit.Max, fmt.Errorf("raising the limit from %d to %d: %w (see `ulimit -Hn`, /etc/security/limits.conf)", limit.Max, FilesWanted, err)
}
