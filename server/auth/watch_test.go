package auth

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	openRules   = `rules: [{allow: [read, write], roles: "*", topics: "**"}]`
	closedRules = `rules: [{deny: [read, write], roles: "*", topics: "**"}]`
)

// journal is a log that is written and read at the same time.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	synctest.Test(t, func(t *testing.T) {
		var log journal
		logger := slog.New(slog.NewTextHandler(&log, nil))
		if _, err := Watch(t.Context(), path, logger, func() {}); err == nil {
			t.Error("a missing file was accepted")
		}
		writeFile(t, path, []byte("rules: 7"))
		if _, err := Watch(t.Context(), path, logger, func() {}); err == nil || !strings.Contains(err.Error(), path+":1:") {
			t.Errorf("a broken file: %v", err)
		}
		writeFile(t, path, []byte(openRules))
		var changes atomic.Int32
		policy, err := Watch(t.Context(), path, logger, func() { changes.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, allowed bool, wantChanges, wantErrors int) {
			t.Helper()
			time.Sleep(4 * pollEvery)
			synctest.Wait()
			if got := policy(&Claims{}, "room", Broadcast, Read); got != allowed {
				t.Errorf("%s: allowed %v, want %v", when, got, allowed)
			}
			if n := strings.Count(log.String(), "level=ERROR"); int(changes.Load()) != wantChanges || n != wantErrors {
				t.Errorf("%s: %d changes and %d errors, want %d and %d:\n%s", when, changes.Load(), n, wantChanges, wantErrors, &log)
			}
		}
		expect("at first", true, 0, 0)
		writeFile(t, path, []byte(closedRules))
		expect("changed", false, 1, 0)
		writeFile(t, path, []byte("rules:\n  - allow: everything\n"))
		expect("broken", false, 1, 1)
		writeFile(t, path, []byte(closedRules))
		expect("as before", false, 1, 1)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("removed", false, 1, 2)
		writeFile(t, path, []byte(openRules))
		expect("back, and changed", true, 2, 2)
		if !strings.Contains(log.String(), "policy.yaml:2: rules[0].allow:") {
			t.Errorf("the log does not say where the mistake is:\n%s", &log)
		}
	})
}

// Half of a file can be a valid policy that says something else, here by lacking a condition.
func TestWatchWaitsForTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, path, []byte(closedRules))
	synctest.Test(t, func(t *testing.T) {
		var changes atomic.Int32
		policy, err := Watch(t.Context(), path, slog.New(slog.NewTextHandler(io.Discard, nil)), func() { changes.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		half := "rules:\n  - allow: read\n    roles: '*'\n    topics: '**'\n"
		for n := range 20 { // somebody writes for a long time
			writeFile(t, path, []byte(half+strings.Repeat("#", n)))
			time.Sleep(pollEvery)
			synctest.Wait()
			if policy(&Claims{}, "room", Broadcast, Read) {
				t.Fatalf("half of a file is in force after %d looks", n)
			}
		}
		writeFile(t, path, []byte(half+"    where: {member: true}\n"))
		time.Sleep(2 * pollEvery)
		synctest.Wait()
		if changes.Load() != 1 || policy(&Claims{}, "room", Broadcast, Read) || !policy(bearer(t, `{"member":true}`), "room", Broadcast, Read) {
			t.Errorf("the whole file is not in force; %d changes", changes.Load())
		}
	})
}
