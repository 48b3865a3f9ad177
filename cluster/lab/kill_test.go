package lab

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/wan"
)

// partVar makes the test binary play another program in a test.
const partVar = "WEDSYNC_LAB_TEST_PART"

// play is a command that enters the lab, starts a process in every place, says which, and waits to be stopped.
func play(choice string) int {
	l, err := Enter(Config{Choice: Choice(choice)})
	if exit, ok := err.(*Exit); ok {
		return exit.Code
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	n, err := l.Network(profile())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("place lab", os.Getpid())
	for _, place := range append([]string{wan.Venue}, n.Regions()...) {
		cmd := exec.Command("sleep", "60")
		if err := n.Start(place, cmd); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("place", place, cmd.Process.Pid)
	}
	fmt.Println("kind", n.Kind(), "uid", os.Getuid())
	<-ctx.Done()
	if err := n.Close(); err != nil { // ends the threads of the places, and so the processes
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 42
}

// played is a running play.
type played struct {
	cmd    *exec.Cmd
	pids   map[string]int
	kind   string
	spaces map[string]bool // network namespaces of its processes, beside our own
}

func startPlay(t *testing.T, choice Choice) *played {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), partVar+"="+string(choice), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &played{cmd: cmd, pids: make(map[string]int), spaces: make(map[string]bool)}
	t.Cleanup(func() { cmd.Process.Kill() })
	own, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	lines := bufio.NewScanner(out)
	for p.kind == "" && lines.Scan() {
		f := strings.Fields(lines.Text())
		switch f[0] {
		case "place":
			pid, err := strconv.Atoi(f[2])
			must(t, err)
			p.pids[f[1]] = pid
			space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
			must(t, err)
			if space != own {
				p.spaces[space] = true
			}
		case "kind":
			p.kind = f[1]
		}
	}
	if p.kind == "" {
		t.Fatalf("the command ended: %v", cmd.Wait())
	}
	return p
}

// nothingLeft waits until no process of the play is there and no process is in one of its namespaces.
func (p *played) nothingLeft(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if left = p.left(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %s", strings.Join(left, "; "))
}

func (p *played) left(t *testing.T) (left []string) {
	t.Helper()
	for place, pid := range p.pids {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
			left = append(left, fmt.Sprintf("process %d of %s", pid, place))
		}
	}
	// A namespace lives while a thread, a descriptor or a mount keeps it.
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		links, err := filepath.Glob(pattern)
		must(t, err)
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && p.spaces[to] {
				left = append(left, "namespace "+to+" by "+link)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for space := range p.spaces {
		if strings.Contains(string(mounts), space) {
			left = append(left, "mounted namespace "+space)
		}
	}
	return left
}

func TestNothingIsLeftHoweverItEnds(t *testing.T) {
	for _, choice := range []Choice{Packet, Proxy} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
			t.Run(fmt.Sprintf("%s/%v", choice, sig), func(t *testing.T) {
				if choice == Packet {
					needsLab(t)
				}
				p := startPlay(t, choice)
				if choice == Packet && len(p.spaces) != 4 {
					t.Errorf("%d namespaces for 4 places", len(p.spaces))
				}
				if left := p.left(t); len(left) < 5 {
					t.Errorf("the test would not see what is left: it sees only %v of a lab that runs", left)
				}
				must(t, p.cmd.Process.Signal(sig))
				_ = p.cmd.Wait() // the code is checked next
				want := 42
				if sig == syscall.SIGKILL {
					want = -1
				}
				if code := p.cmd.ProcessState.ExitCode(); code != want {
					t.Errorf("exit code %d, want %d", code, want)
				}
				p.nothingLeft(t)
			})
		}
	}
}

// The lab itself may be killed by something else, such as the kernel when memory runs out.
func TestKilledLabTakesItsProcessesAndIsReported(t *testing.T) {
	needsLab(t)
	p := startPlay(t, Packet)
	must(t, syscall.Kill(p.pids["lab"], syscall.SIGKILL))
	_ = p.cmd.Wait() // the code is checked next
	if code := p.cmd.ProcessState.ExitCode(); code != 128+9 {
		t.Errorf("exit code %d, want 137", code)
	}
	p.nothingLeft(t)
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	needsLab(t)
	missing := filepath.Join(t.TempDir(), "no-tun")
	err := Probe(t.Context(), missing)
	if err == nil || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("no device: %v", err)
	}
	must(t, os.WriteFile(missing, nil, 0o600))
	if err := Probe(t.Context(), missing); err == nil {
		t.Error("a plain file was taken for a TUN device")
	}
	if err := Probe(t.Context(), "/dev/net/tun"); err != nil {
		t.Errorf("the real device: %v", err)
	}
}

func TestChoices(t *testing.T) {
	if err := (Config{Choice: "carrier-pigeon"}).Validate(); err == nil {
		t.Error("a network that does not exist was accepted")
	}
	l, err := (&Lab{Kind: wan.Proxy, logger: slog.Default()}).Network(wan.Profile{})
	if err == nil {
		l.Close()
		t.Error("an empty profile was accepted")
	}
}
