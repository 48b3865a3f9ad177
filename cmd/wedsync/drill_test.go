package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/reports/nodes"
)

// bin holds the three binaries, built once for all tests of this package.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wedsync-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = dir
	// The same flags as in the Makefile, so that the build cache serves both.
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "../wedsync", "../wedsync-server", "../k6")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binaries: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// result is what a run of wedsync left behind.
type result struct {
	code   int
	output string
}

func wedsync(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "wedsync"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Run() // the exit code says it
	return result{cmd.ProcessState.ExitCode(), out.String()}
}

// summary is what these tests read of a bundle's summary.json.
type summary struct {
	Verdict string `json:"verdict"`
	Claims  []struct {
		ID      string `json:"id"`
		Verdict string `json:"verdict"`
	} `json:"claims"`
	Problems []struct {
		ID string `json:"id"`
	} `json:"problems"`
}

// verdict is that of one claim.
func (s *summary) verdict(claim string) string {
	for _, c := range s.Claims {
		if c.ID == claim {
			return c.Verdict
		}
	}
	return "missing"
}

func readSummary(t *testing.T, bundle string) summary {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(bundle, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// tries is how often a drill may be played until it is judged: on a busy machine the generator may be too
// slow for a verdict on latencies, which says nothing about the server.
const tries = 3

// TestSoundServerPasses plays a drill against a sound server. Its correctness must hold each time.
func TestSoundServerPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a drill of about 20 s")
	}
	for try := 1; ; try++ {
		out := t.TempDir()
		r := wedsync(t, "drill", "run", "--out", out, "testdata/small.yaml")
		bundle := filepath.Join(out, "small")
		s := readSummary(t, bundle)
		for _, claim := range []string{"nothing-wrong", "held"} {
			if v := s.verdict(claim); v != "PASS" {
				t.Fatalf("claim %s is %s\n%s", claim, v, r.output)
			}
		}
		if r.code == 0 && s.Verdict == "PASS" {
			if v := wedsync(t, "verify", bundle); v.code != 0 {
				t.Fatalf("its bundle does not verify: exit %d\n%s", v.code, v.output)
			}
			return
		}
		if try == tries {
			t.Fatalf("no PASS in %d tries: verdict %s, exit %d\n%s", tries, s.Verdict, r.code, r.output)
		}
	}
}

// TestFlawedServersFail plays the same drill against servers that each break one promise: it must fail, and
// name the messages.
func TestFlawedServersFail(t *testing.T) {
	if testing.Short() {
		t.Skip("plays four drills of about 20 s each")
	}
	for _, c := range []struct{ flaw, claim string }{
		{"drop-urgent:1000", "nothing-wrong"},
		{"delay-urgent:1000:300ms", "urgent"},
		{"twice-urgent:1000", "nothing-wrong"},
		{"ack-early", "held"},
	} {
		t.Run(c.flaw, func(t *testing.T) {
			for try := 1; ; try++ {
				out := t.TempDir()
				r := wedsync(t, "drill", "run", "--out", out, "--flaw", c.flaw, "testdata/small.yaml")
				s := readSummary(t, filepath.Join(out, "small"))
				if r.code == 0 || s.Verdict == "PASS" {
					t.Fatalf("verdict %s, exit %d\n%s", s.Verdict, r.code, r.output)
				}
				if s.Verdict == "FAIL" && r.code == 1 && s.verdict(c.claim) == "FAIL" {
					if len(s.Problems) == 0 || s.Problems[0].ID == "" {
						t.Errorf("no message is named: %+v", s.Problems)
					}
					return
				}
				if try == tries {
					t.Fatalf("no FAIL of %s in %d tries: verdict %s, exit %d\n%s", c.claim, tries, s.Verdict, r.code, r.output)
				}
			}
		})
	}
}

// TestDrillWithoutMessagesDoesNotPass plays a fault in which nobody says anything.
func TestDrillWithoutMessagesDoesNotPass(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a drill")
	}
	out := t.TempDir()
	r := wedsync(t, "drill", "run", "--out", out, "testdata/quiet.yaml")
	if s := readSummary(t, filepath.Join(out, "quiet")); s.Verdict == "PASS" || r.code == 0 {
		t.Fatalf("verdict %s, exit %d\n%s", s.Verdict, r.code, r.output)
	}
}

// TestDrillLeavesNothingBehind ends a drill in the middle of a fault, in the three ways in which that happens.
func TestDrillLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("plays three drills")
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			out := t.TempDir()
			namespaces, groups := networkNamespaces(t), controlGroups(t)
			cmd := exec.Command(filepath.Join(bin, "wedsync"), "drill", "run", "--out", out, "testdata/fault.yaml")
			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan struct{})
			go func() { cmd.Wait(); close(exited) }() // ends with the process, which the test ends
			journal := filepath.Join(out, "fault", "raw", "chaos.jsonl")
			await(t, 90*time.Second, "the fault", func() bool {
				text, _ := os.ReadFile(journal)
				return strings.Contains(string(text), `"event":"proved"`) && quotaInForce.Match(text)
			})
			if len(processes(t)) < 5 {
				t.Fatalf("expected servers, k6 and the drill to run, found %v", processes(t))
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			await(t, 30*time.Second, "the end of every process", func() bool { return len(processes(t)) == 0 })
			<-exited
			await(t, 10*time.Second, "the end of every namespace", func() bool { return networkNamespaces(t) <= namespaces })
			await(t, 10*time.Second, "the end of every control group", func() bool { return controlGroups(t) <= groups })
			if signal != syscall.SIGKILL {
				if code := cmd.ProcessState.ExitCode(); code != exitNothing {
					t.Errorf("exit %d, want %d: nothing was proved\n%s", code, exitNothing, output.String())
				}
				if text, _ := os.ReadFile(journal); !strings.Contains(string(text), `"event":"reverted"`) {
					t.Errorf("the journal does not say that the fault was reverted:\n%s", text)
				}
			}
		})
	}
}

// quotaInForce is in a journal when the processor time of a node is limited.
var quotaInForce = regexp.MustCompile(`"event":"injected".*"action":"cpu-quota"`)

// controlGroups counts the groups that limit our processes; there are none where the machine has no cgroups for us.
func controlGroups(t *testing.T) (n int) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), "wedsync-") {
			n++
		}
		return nil // groups come and go while we look
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEveryActionIsProved plays each kind of action once, most of them at the same time.
func TestEveryActionIsProved(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a drill of about 30 s")
	}
	out := t.TempDir()
	r := wedsync(t, "drill", "run", "--out", out, "testdata/actions.yaml")
	bundle := filepath.Join(out, "actions")
	s := readSummary(t, bundle)
	for _, claim := range []string{"nothing-wrong", "held", "faults"} {
		if v := s.verdict(claim); v != "PASS" {
			t.Errorf("claim %s is %s", claim, v)
		}
	}
	file, err := os.Open(filepath.Join(bundle, "raw", "nodes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sampled, err := nodes.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(sampled) != 7 { // six, and the one that was added
		t.Errorf("%d nodes were sampled", len(sampled))
	}
	if t.Failed() {
		journal, _ := os.ReadFile(filepath.Join(bundle, "raw", "chaos.jsonl"))
		t.Logf("%s\n%s", r.output, journal)
	}
}

// processes lists the running processes of the binaries under test.
func processes(t *testing.T) (running []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, bin) {
			running = append(running, link+" "+exe)
		}
	}
	return running
}

// networkNamespaces counts the network namespaces that any process is in.
func networkNamespaces(t *testing.T) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[string]bool{}
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil {
			distinct[ns] = true
		}
	}
	return len(distinct)
}

func await(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s; running: %v", limit, what, processes(t))
		}
	}
}

// TestBadInput reads the messages as a user would.
func TestBadInput(t *testing.T) {
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, err := os.ReadFile("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"no command":    {nil, []string{"expected one of"}},
		"unknown flag":  {[]string{"drill", "run", "--fast", "x.yaml"}, []string{"--fast"}},
		"no such file":  {[]string{"drill", "run", "nowhere.yaml"}, []string{"nowhere.yaml"}},
		"unknown field": {[]string{"drill", "run", write("typo.yaml", strings.Replace(string(small), "title:", "titel:", 1))}, []string{"typo.yaml", "line 5", "titel"}},
		"wrong action": {[]string{"chaos", "validate", write("wrong.yaml", `apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: boom}
spec:
  action: pod-explode
  mode: all
  selector: {labelSelectors: {topology.kubernetes.io/region: eu-west}}
`)}, []string{"wrong.yaml:5", "spec.action", "pod-kill"}},
		"no bundle": {[]string{"verify", "nowhere"}, []string{"nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := wedsync(t, c.args...)
			if r.code != exitUsage {
				t.Errorf("exit %d, want %d", r.code, exitUsage)
			}
			for _, want := range c.want {
				if !strings.Contains(r.output, want) {
					t.Errorf("the output does not say %q:\n%s", want, r.output)
				}
			}
			if strings.Contains(r.output, "goroutine ") {
				t.Errorf("a panic:\n%s", r.output)
			}
		})
	}
}

// TestDryRunTouchesNothing also shows that a drill whose fault hits nobody is refused.
func TestDryRunTouchesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "evidence")
	r := wedsync(t, "drill", "run", "--dry-run", "--out", out, "testdata/fault.yaml")
	if r.code != 0 || !strings.Contains(r.output, "ap-southeast-1") {
		t.Fatalf("exit %d:\n%s", r.code, r.output)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a dry run made a bundle")
	}
	fault, err := os.ReadFile("../../chaos/experiments/region-silent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	drill, err := os.ReadFile("testdata/fault.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"fault.yaml": strings.NewReplacer("../../../chaos/experiments/region-silent.yaml", "moon.yaml", "../../../scenarios/wedding-day.js", "story.js").Replace(string(drill)),
		"moon.yaml":  strings.ReplaceAll(string(fault), "ap-southeast", "the-moon"),
		"story.js":   "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = wedsync(t, "drill", "run", "--dry-run", filepath.Join(dir, "fault.yaml"))
	if r.code != exitUsage || !strings.Contains(r.output, "the-moon") || !strings.Contains(r.output, "ap-southeast") {
		t.Fatalf("a fault that matches no region: exit %d, want %d, naming the label and those that exist:\n%s", r.code, exitUsage, r.output)
	}
}
