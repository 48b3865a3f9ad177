package lab

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	switch part := os.Getenv(partVar); part {
	case "":
	case "source":
		os.Exit(code(playSource(os.Args[1], os.Args[2], os.Args[3])))
	case "sink":
		os.Exit(code(playSink(os.Args[1])))
	default:
		os.Exit(play(part))
	}
	os.Exit(RunTests(leakChecked{m}))
}

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// needsLab skips a test that only the packet-level network can pass.
func needsLab(t testing.TB) {
	t.Helper()
	if !Inside() {
		t.Skip("SKIPPED: this machine refuses namespaces or TUN devices; see `wedsync doctor`")
	}
}

func code(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
