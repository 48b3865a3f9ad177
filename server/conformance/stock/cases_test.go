package stock

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// caseTimeout bounds one case, and runTimeout a run of Node.
const (
	caseTimeout = 45 * time.Second
	runTimeout  = 3 * time.Minute
)

const noNode = "Node is missing (%v): install Node 20 or newer with npm, for example `apt-get install nodejs npm`"

// install fetches the pinned packages, unless those of the lock file are there.
func install(t *testing.T) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf(noNode, err)
		}
	}
	lock, err := os.Stat("js/package-lock.json")
	must(t, err)
	// npm writes this file at the end of an installation.
	if done, err := os.Stat("js/node_modules/.package-lock.json"); err == nil && done.ModTime().After(lock.ModTime()) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	if out, err := inGroup(ctx, "npm", "ci").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v (it needs the npm registry once)\n%s", err, out)
	}
}

// result is one case as js/reporter.mjs reports it.
type result struct {
	Name    string        `json:"name"`
	OK      bool          `json:"ok"`
	Skipped bool          `json:"skipped"`
	Elapsed time.Duration `json:"elapsed_ns"`
	Error   string        `json:"error"`
}

// play runs the cases of a file; each becomes a subtest.
func (v *venue) play(t *testing.T, file string) {
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	cmd := inGroup(ctx, "node", "--test", "--test-reporter=./reporter.mjs",
		"--test-force-exit", // the client keeps timers of what has long been answered
		fmt.Sprintf("--test-timeout=%d", caseTimeout.Milliseconds()), file)
	cmd.Env = append(os.Environ(), v.told)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	cases, failed := 0, 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Errorf("not a result: %s", lines.Text())
			continue
		}
		cases++
		if !r.OK {
			failed++
		}
		report(t, &r)
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	if err != nil && failed == 0 || cases == 0 {
		t.Errorf("node --test %s: %v, %d cases\n%s", file, err, cases, complaints.String())
	}
	if failed > 0 {
		t.Logf("%d of %d cases failed", failed, cases)
	}
}

// report makes a result a subtest.
func report(t *testing.T, r *result) {
	t.Run(r.Name, func(t *testing.T) {
		switch {
		case r.Skipped:
			t.Errorf("skipped: a case that does not run proves nothing")
		case !r.OK:
			t.Errorf("%v: %s", r.Elapsed.Round(time.Millisecond), r.Error)
		}
	})
}

// inGroup is a command in the folder of the cases that ends, with all that it has started, when ctx does.
func inGroup(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "js"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
