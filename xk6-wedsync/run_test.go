package xk6wedsync

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
	"github.com/wedsync/wedsync/xk6-wedsync/rehearsal"
)

// These tests run the built k6 as a user does.

// Exit codes of k6.
const (
	exitThresholds = 99
	exitSignal     = 105
)

// buildDir holds the binary that built makes; TestMain removes it.
var buildDir string

// built is cmd/k6, compiled once for all tests.
var built = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "wedsync-k6-"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "k6")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path, "../cmd/k6")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building k6: %w\n%s", err, out)
	}
	return path, nil
})

// k6 is one run.
type k6 struct {
	*testing.T
	cmd *exec.Cmd
	out bytes.Buffer
	dir string // of --out wedsync
}

func command(t *testing.T, script string, env ...string) *k6 {
	t.Helper()
	if testing.Short() {
		t.Skip("builds k6")
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	k := &k6{T: t, dir: filepath.Join(t.TempDir(), "out")}
	k.cmd = exec.CommandContext(t.Context(), path, "run", "--no-usage-report", "--address", "", "--out", "wedsync="+k.dir, script)
	k.cmd.Env = append(os.Environ(), env...)
	k.cmd.Stdout, k.cmd.Stderr = &k.out, &k.out
	return k
}

// wait returns the exit code.
func (k *k6) wait() int {
	k.Helper()
	err := k.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		k.Fatal(err)
	}
	k.Cleanup(func() {
		if k.Failed() {
			k.Log(k.out.String())
		}
	})
	return k.cmd.ProcessState.ExitCode()
}

func (k *k6) start() {
	k.Helper()
	if err := k.cmd.Start(); err != nil {
		k.Fatal(err)
	}
}

// history counts the records of the run by kind, and fails if they are not whole.
func (k *k6) history() map[journal.Kind]int {
	k.Helper()
	file, err := os.Open(filepath.Join(k.dir, journal.HistoryFile))
	if err != nil {
		k.Fatal(err)
	}
	defer file.Close()
	n := map[journal.Kind]int{}
	if err := journal.Read(file, func(r journal.Record) error { n[r.Kind]++; return nil }); err != nil {
		k.Fatal(err)
	}
	return n
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.js")
	if err := os.WriteFile(path, []byte(`import { Wedding, rehearse } from 'k6/x/wedsync';`+"\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSmoke(t *testing.T) {
	k := command(t, "../examples/smoke.js")
	k.start()
	if code := k.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(k.out.String(), "11 of 11 vendors know") {
		t.Error("the receipt is not shown")
	}
	if n := k.history(); n[journal.Vendor] != 12 || n[journal.Pub] != 1 || n[journal.Recv] != 11 || n[journal.Lag] == 0 {
		t.Errorf("journal: %v", n)
	}
	if b, err := os.ReadFile(filepath.Join(k.dir, journal.LatencyFile)); err != nil || !bytes.Contains(b, []byte("Tag=lane=urgent/region=")) {
		t.Errorf("latency log: %v\n%.500s", err, b)
	}
}

// TestGates: thresholds on our metrics decide k6's exit code, and one on a count fails where nothing happened.
func TestGates(t *testing.T) {
	story := `
		export default async function () {
			const w = new Wedding({ regions: rehearse(), vendors: 3 });
			await w.arrive();
			if (%v) await w.urgent('planner-1', 'x');
			await w.leave();
		}
		export const options = { thresholds: { %s } };`
	for name, c := range map[string]struct {
		publish bool
		gate    string
		code    int
	}{
		"kept":                       {true, `wedsync_urgent_delivered: ['count>=2'], 'wedsync_urgent_latency{path:live}': ['max<60000']`, 0},
		"breached":                   {true, `wedsync_urgent_latency: ['max<0.000001']`, exitThresholds},
		"breached in a phase":        {true, `'wedsync_urgent_latency{phase:steady}': ['max<0.000001']`, exitThresholds},
		"no data, with a count":      {false, `wedsync_urgent_delivered: ['count>0']`, exitThresholds},
		"no data, without: the trap": {false, `wedsync_urgent_latency: ['max<0.000001']`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := command(t, script(t, fmt.Sprintf(story, c.publish, c.gate)))
			k.start()
			if code := k.wait(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
		})
	}
}

// TestWeddingDay plays the real scenario, small.
func TestWeddingDay(t *testing.T) {
	s, regions := stage(t)
	k := command(t, "../scenarios/wedding-day.js", "WEDSYNC_REGIONS="+regions, "WEDDINGS=4", "VENDORS=5", "DURATION=3s", "URGENT_EVERY=1s",
		"UPDATE_EVERY=500ms", "SINGLE_HOMED=0.2", "SEED=3")
	k.start()
	// A busy machine may cross the latency threshold; what the journal counts does not depend on it.
	if code := k.wait(); code != 0 && code != exitThresholds {
		t.Errorf("exit code %d", code)
	}
	n := k.history()
	const pubs = 4*3 + 4*6
	if n[journal.Vendor] != 20 || n[journal.Pub] != pubs || n[journal.Done] != pubs || n[journal.Recv] != 4*pubs {
		t.Errorf("journal: %v", n)
	}
	empty(t, s)
}

// TestScenarios plays each of the others, small and short.
func TestScenarios(t *testing.T) {
	day := []string{"WEDDINGS=3", "VENDORS=6", "DURATION=2s", "URGENT_EVERY=1s", "UPDATE_EVERY=500ms"}
	for name, c := range map[string]struct {
		env  []string
		want func(n map[journal.Kind]int) bool
	}{
		"photo-upload-flood": {[]string{"BULK_EVERY=100ms", "BULK_BYTES=200"}, func(n map[journal.Kind]int) bool { return n[journal.Bulk] == 3*20 && n[journal.Pub] == 3*6 }},
		"slow-readers":       {[]string{"STALLED=0.4", "STALL_EVERY=1s", "STALL_FOR=300ms"}, func(n map[journal.Kind]int) bool { return n[journal.Stall] >= 2*7 }},
		"connection-storm": {[]string{"STORM_VENDORS=40", "STORM_WITHIN=200ms", "STORM_AT=500ms", "STORM_STAY=100ms"},
			func(n map[journal.Kind]int) bool { return n[journal.Arrived] == 18+40 && n[journal.Pub] == 3*6+1 }},
		"rolling-upgrade": {nil, func(n map[journal.Kind]int) bool { return n[journal.Arrived] == 18 && n[journal.Pub] == 3*6 }},
		"scaling-ramp": {[]string{"LEVELS=10,40,10,20", "STEP=600ms"}, // a wedding has 12 connections, and two of them are needed a second time
			func(n map[journal.Kind]int) bool {
				return n[journal.Arrived] == (4+1)*6 && n[journal.Leaving] == n[journal.Arrived]
			}},
		"soak": {nil, func(n map[journal.Kind]int) bool { return n[journal.Arrived] == 18 && n[journal.Pub] == 3*6 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, regions := stage(t)
			k := command(t, "../scenarios/"+name+".js", slices.Concat([]string{"WEDSYNC_REGIONS=" + regions}, day, c.env)...)
			k.start()
			// A busy machine may cross the latency threshold; what the journal counts does not depend on it.
			if code := k.wait(); code != 0 && code != exitThresholds {
				t.Errorf("exit code %d", code)
			}
			if n := k.history(); !c.want(n) || n[journal.Leaving] != n[journal.Arrived] {
				t.Errorf("journal: %v", n)
			}
			empty(t, s)
		})
	}
}

// TestInterrupt sends SIGINT in the middle: no socket stays, and the journal has its end.
func TestInterrupt(t *testing.T) {
	s, regions := stage(t)
	k := command(t, "../scenarios/wedding-day.js", "WEDSYNC_REGIONS="+regions, "WEDDINGS=10", "VENDORS=6", "DURATION=1h")
	k.start()
	within(t, 30*time.Second, "120 sockets", func() bool { return s.Sockets() == 120 })
	sent := time.Now()
	if err := k.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := k.wait(); code != exitSignal {
		t.Errorf("exit code %d, want %d", code, exitSignal)
	}
	t.Logf("ended %s after SIGINT", time.Since(sent).Round(time.Millisecond))
	empty(t, s)
	if n := k.history(); n[journal.Leaving] != 60 {
		t.Errorf("journal: %v", n)
	}
}

// TestDrill lets a drill set the phase and end the run.
func TestDrill(t *testing.T) {
	_, regions := stage(t)
	control, err := net.Listen("unix", filepath.Join(t.TempDir(), "control"))
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	k := command(t, script(t, `
		export default async function () {
			const w = new Wedding({ regions: __ENV.WEDSYNC_REGIONS, vendors: 3 });
			await w.arrive();
			const moments = w.schedule({ every: '50ms' });
			for (let at = await moments.next(); at !== null; at = await moments.next()) w.urgent('planner-1', 'x', { at });
			await w.leave();
		}
		export const options = { thresholds: { 'wedsync_urgent_delivered{phase:fault}': ['count>0'], 'wedsync_urgent_sent{phase:after}': ['count==0'] } };`),
		"WEDSYNC_REGIONS="+regions, "WEDSYNC_CONTROL="+control.Addr().String())
	k.start()
	drill, err := control.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer drill.Close()
	var report fleet.Report
	reports := json.NewDecoder(drill)
	next := func() {
		t.Helper()
		if err := reports.Decode(&report); err != nil {
			t.Fatal(err)
		}
	}
	for next(); report.Urgent.Sent == 0 || report.Joined < report.Homes; {
		next()
	}
	if _, err := io.WriteString(drill, `{"phase":"fault"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	next()
	next()
	if _, err := io.WriteString(drill, `{"stop":true}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if code := k.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if report.Vendors != 3 || report.Homes != 6 || report.Urgent.Delivered == 0 {
		t.Errorf("report: %+v", report)
	}
}

// TestForgottenLeave: a script that never leaves has its sockets closed all the same, and its journal ends whole.
func TestForgottenLeave(t *testing.T) {
	s, regions := stage(t)
	k := command(t, script(t, `export default async function () {
		const w = new Wedding({ regions: __ENV.WEDSYNC_REGIONS, vendors: 3 });
		await w.arrive();
	}`), "WEDSYNC_REGIONS="+regions)
	k.start()
	if code := k.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := k.history(); n[journal.Leaving] != 3 {
		t.Errorf("journal: %v", n)
	}
	empty(t, s)
}

// TestUsedFolder: the history of another run is never overwritten.
func TestUsedFolder(t *testing.T) {
	k := command(t, "../examples/smoke.js")
	if err := os.MkdirAll(filepath.Join(k.dir, "raw"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir, journal.HistoryFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	k.start()
	if code := k.wait(); code == 0 || !strings.Contains(k.out.String(), "give each run a folder of its own") {
		t.Errorf("exit code %d", code)
	}
}

// stage opens a rehearsal in this process, and the value of WEDSYNC_REGIONS for it.
func stage(t *testing.T) (*rehearsal.Server, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds k6")
	}
	s, err := rehearsal.Start("eu-west", "us-east", "ap-southeast")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var regions []string
	for name, url := range s.URLs() {
		regions = append(regions, name+"="+url)
	}
	return s, strings.Join(regions, ",")
}

func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", d, what)
		}
	}
}
