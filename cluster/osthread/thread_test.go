package osthread

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestItIsAlwaysTheSameThreadAndNotTheMainOne(t *testing.T) {
	for range 20 { // new goroutines land on various threads
		th := New()
		defer th.Close()
		ids := make(map[int]bool)
		for range 10 {
			th.Do(func() { ids[unix.Gettid()] = true })
		}
		if len(ids) != 1 || ids[os.Getpid()] {
			t.Fatalf("ran on threads %v of process %d", ids, os.Getpid())
		}
	}
}

func TestCloseKillsWhatItStarted(t *testing.T) {
	th := New()
	cmd := exec.Command("sleep", "60")
	if err := th.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if pgid, err := unix.Getpgid(cmd.Process.Pid); err != nil || pgid != cmd.Process.Pid {
		t.Errorf("process group %d, %v: want its own", pgid, err)
	}
	th.Close()
	th.Close()
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("ended with %v, want to be killed with its thread", err)
	}
}

func TestNothingRunsAfterClose(t *testing.T) {
	th := New()
	th.Close()
	if th.Do(func() { t.Error("ran") }) {
		t.Error("Do says that it ran")
	}
	if err := th.Start(exec.Command("true")); !errors.Is(err, ErrClosed) {
		t.Errorf("Start: %v", err)
	}
}

func TestStartReportsWhatIsNoProgram(t *testing.T) {
	th := New()
	defer th.Close()
	if err := th.Start(exec.Command("/no/such/program")); err == nil {
		t.Error("started")
	}
}
