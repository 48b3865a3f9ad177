package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// up is a running `wedsync cluster up`.
type up struct {
	cmd   *exec.Cmd
	temp  string
	lines []string
	pids  []int // of the servers
}

// startUp starts a cluster of two regions on free ports and waits until it says how to use it.
func startUp(t *testing.T, args ...string) (*up, int) {
	t.Helper()
	base := freePorts(t, 6) // up to three servers per region
	cmd := exec.Command(filepath.Join(bin, "wedsync"), append([]string{"cluster", "up", "--regions", "2", "--port-base", strconv.Itoa(base)}, args...)...)
	cmd.Stderr = os.Stderr
	temp := t.TempDir() // a killed one cannot tidy up
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	u := &up{cmd: cmd, temp: temp}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		u.lines = append(u.lines, lines.Text())
		if f := strings.Fields(lines.Text()); len(f) == 6 && strings.HasPrefix(f[3], "ws://") {
			pid, err := strconv.Atoi(f[2])
			if err != nil {
				t.Fatal(err)
			}
			u.pids = append(u.pids, pid)
		}
		if lines.Text() == "Ctrl-C stops it." {
			return u, base
		}
	}
	t.Fatalf("it ended: %v\n%s", cmd.Wait(), strings.Join(u.lines, "\n"))
	return nil, 0
}

// freePorts finds a first port of so many that are free in a row.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for base := 14001; base < 15000; base += n {
		var open []net.Listener
		for i := range n {
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i)); err == nil {
				open = append(open, l)
			}
		}
		for _, l := range open {
			l.Close()
		}
		if len(open) == n {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func (u *up) has(text string) bool {
	return strings.Contains(strings.Join(u.lines, "\n"), text)
}

func TestClusterUpServesTheHostAndStopsCleanly(t *testing.T) {
	for _, network := range []string{"auto", "proxy"} {
		t.Run(network, func(t *testing.T) {
			u, base := startUp(t, "--network", network, "--flaw", "drop-urgent:1000")
			for _, want := range []string{"authenticated  ey", "service_role   ey", "WEDSYNC_REGIONS=eu-west=ws://127.0.0.1:", "bin/k6 run", "eu-west - us-east 70ms"} {
				if !u.has(want) {
					t.Errorf("it does not print %q:\n%s", want, strings.Join(u.lines, "\n"))
				}
			}
			if len(u.pids) != 2 {
				t.Errorf("servers: %v", u.pids)
			}
			for i := range 2 {
				client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
				start := time.Now()
				response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", base+i))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if took := time.Since(start); response.StatusCode != http.StatusOK || took < 10*time.Millisecond {
					t.Errorf("server %d answered %s after %v, want 200 after a round trip of 10ms or more", i, response.Status, took)
				}
			}
			u.end(t, syscall.SIGINT, 0)
		})
	}
}

func TestClusterIsUpgradedAndScaledByOtherCommands(t *testing.T) {
	u, base := startUp(t)
	command := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "wedsync"), append([]string{"cluster"}, args...)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+u.temp)
		out, _ := cmd.CombinedOutput() // the code says it
		return string(out), cmd.ProcessState.ExitCode()
	}
	expect := func(out string, code int) func(wantCode int, want ...string) {
		return func(wantCode int, want ...string) {
			t.Helper()
			for _, text := range want {
				if code != wantCode || !strings.Contains(out, text) {
					t.Errorf("exit code %d, want %d; output should say %q:\n%s", code, wantCode, text, out)
				}
			}
		}
	}
	expect(command("status"))(0, "eu-west-1", "ready", strconv.Itoa(u.pids[1]))
	expect(command("upgrade"))(0, "replacing 2 nodes", "eu-west-1: process", "us-east-1: process")
	status, _ := command("status")
	for _, pid := range u.pids {
		if strings.Contains(status, fmt.Sprintf(" %d ", pid)) || alive(pid) {
			t.Errorf("process %d is left after an upgrade:\n%s", pid, status)
		}
	}
	expect(command("scale", "us-east", "2"))(0, "us-east-2: added", "us-east has 2 node(s)")
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", base+3)) // the second of the second region
	if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusOK {
		t.Errorf("the added server: %v, %v", response, err)
	}
	expect(command("scale", "us-east", "1"))(0, "us-east-2: drained and removed")
	expect(command("scale", "the-moon", "1"))(1, "the-moon")
	expect(command("upgrade", "--server", "/bin/false"))(1, "upgrading eu-west-1", "exit status 1")
	expect(command("status"))(0, "down")
	u.end(t, syscall.SIGINT, 0)
	expect(command("status"))(2, "wedsync cluster up", "--dir")
}

func TestClusterUpLeavesNothingWhenKilled(t *testing.T) {
	u, _ := startUp(t)
	u.end(t, syscall.SIGKILL, -1)
	u, _ = startUp(t, "--network", "proxy")
	u.end(t, syscall.SIGKILL, -1)
}

// end sends a signal and checks the exit code, and that the servers are gone.
func (u *up) end(t *testing.T, sig syscall.Signal, code int) {
	t.Helper()
	if err := u.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_ = u.cmd.Wait() // the code is checked
	if got := u.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("after %v: exit code %d, want %d", sig, got, code)
	}
	for _, pid := range u.pids {
		deadline := time.Now().Add(5 * time.Second)
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("after %v: server %d is left", sig, pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestClusterUpRefusesWhatItCannotDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("regions: [a, b]\nacess: 1ms\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--regions", "7"}, 2, "write a profile and give it with --profile"},
		{[]string{"--nodes", "0"}, 2, "choose 1 to"},
		{[]string{"--nodes", "2", "--max-nodes", "1"}, 2, "choose --nodes (2) to"},
		{[]string{"--port-base", "65535"}, 2, "up to 65535"},
		{[]string{"--port-base", port}, 1, "--port-base"},
		{[]string{"--server", "/no/such/server"}, 2, "make build"},
		{[]string{"--profile", bad}, 2, "bad.yaml:2: unknown key"},
		{[]string{"--network", "pigeon"}, 2, "must be one of"},
		{[]string{"--server", "/bin/false", "--port-base", strconv.Itoa(freePorts(t, 9))}, 1, "exit status 1"},
		{[]string{"--flaw", "explode", "--port-base", strconv.Itoa(freePorts(t, 9))}, 1, "explode"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			cmd := exec.Command(filepath.Join(bin, "wedsync"), append([]string{"cluster", "up"}, c.args...)...)
			cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // a failed one keeps its logs
			out, err := cmd.CombinedOutput()
			code := 0
			if exit, ok := err.(*exec.ExitError); ok {
				code = exit.ExitCode()
			}
			if code != c.code || !strings.Contains(string(out), c.want) {
				t.Errorf("exit code %d, want %d; output should say %q:\n%s", code, c.code, c.want, out)
			}
		})
	}
}

func TestDoctor(t *testing.T) {
	cmd := exec.Command(filepath.Join(bin, "wedsync"), "doctor")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "can run the drills") {
		t.Errorf("%v:\n%s", err, out)
	}
	cmd = exec.Command(filepath.Join(bin, "wedsync"), "doctor")
	cmd.Env = append(os.Environ(), "PATH="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "apt install make") {
		t.Errorf("without tools: %v\n%s", err, out)
	}
}
