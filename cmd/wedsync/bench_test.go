package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no peers":  {[]string{"--peers", t.TempDir()}, "run `make bench-peers`"},
		"dialect":   {[]string{"--target", "a=ws://127.0.0.1:1/,pid=1,dialect=stomp"}, "choose from centrifugo, socketio, supabase"},
		"benchmark": {[]string{"--only", "fan"}, `there is no benchmark "fan"`},
	} {
		r := wedsync(t, append([]string{"bench"}, c.args...)...)
		if r.code != exitUsage || !strings.Contains(strings.Join(strings.Fields(r.output), " "), c.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", name, r.code, exitUsage, c.says, r.output)
		}
	}
}

// A quick run measures our server and the floor, and judges nothing.
func TestBenchQuick(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.json")
	r := wedsync(t, "bench", "--quick", "--rounds=1", "--only=connect,storm", "--json", file)
	if r.code != 0 || !strings.Contains(r.output, "a quick run measures nothing") {
		t.Fatalf("exit code %d:\n%s", r.code, r.output)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Rounds   []struct{ Subject string }
		Verdicts []struct{ Status string }
	}
	if err := json.Unmarshal(text, &report); err != nil || len(report.Rounds) != 4 || len(report.Verdicts) == 0 || report.Verdicts[0].Status != "unknown" {
		t.Errorf("%v\n%s", err, text)
	}
}
