package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestChaosExitCodes: wrong files are a matter of usage, 2, and the shipped experiments are not wrong.
func TestChaosExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("kind: PodChaos\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const shipped = "../../chaos/experiments"
	for _, tc := range []struct {
		args []string
		want int
	}{
		{[]string{"chaos", "validate", shipped}, 0},
		{[]string{"chaos", "validate", shipped + "/region-kill.yaml", bad}, 2},
		{[]string{"chaos", "validate", "nowhere.yaml"}, 2},
		{[]string{"chaos", "validate"}, 2},
		{[]string{"chaos", "list", shipped}, 0},
		{[]string{"chaos", "list", bad}, 2},
	} {
		if got := run(tc.args); got != tc.want {
			t.Errorf("wedsync %v: exit code %d, want %d", tc.args, got, tc.want)
		}
	}
}
