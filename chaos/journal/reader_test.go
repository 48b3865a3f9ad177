package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func times(t, wall int64) string { return fmt.Sprintf(`{"t":%d,"wall_ns":%d,`, t, wall) }

func TestReadIsStrict(t *testing.T) {
	golden, err := os.ReadFile("testdata/chaos.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(golden), "\n")
	for _, tc := range []struct {
		name   string
		damage func(l []string) []string
		want   string
	}{
		{"unknown key", func(l []string) []string { l[2] = strings.Replace(l[2], `"event"`, `"x":1,"event"`, 1); return l }, `line 3: not a journal entry: json: unknown field "x"`},
		{"unknown event", func(l []string) []string { l[2] = strings.Replace(l[2], "steady", "stable", 1); return l }, `line 3: event "stable"`},
		{"line missing", func(l []string) []string { return append(l[:3:3], l[4:]...) }, "line 4: seq is 5, want 4"},
		{"lines swapped", func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }, "line 5: seq is 6, want 5"},
		{"time backwards", func(l []string) []string { l[6] = strings.Replace(l[6], `"t":1006`, `"t":6`, 1); return l }, "line 7: t is 6 after 1005"},
		{"no time", func(l []string) []string { l[0] = strings.Replace(l[0], `"t":1000`, `"t":0`, 1); return l }, "line 1: t is 0"},
		{"two values on a line", func(l []string) []string { l[0] = strings.TrimSpace(l[0]) + "{}\n"; return l }, "line 1: more than one"},
		{"empty line", func(l []string) []string { l[1] = "\n" + l[1]; return l }, "line 2: not a journal entry"},
		{"reverted without reverting", func(l []string) []string {
			l[8] = strings.Replace(l[8], "reverting", "reverted", 1)
			return l
		}, "line 9: reverted of injection 1 directly after its proved"},
		{"second intent", func(l []string) []string {
			l[13] = strings.Replace(l[13], `"injection":2`, `"injection":1`, 1)
			return l
		}, "line 14: intent of injection 1 directly after its gone"},
		{"torn", func(l []string) []string { l[len(l)-2] = l[len(l)-2][:20]; return l }, "line 19: the last line is incomplete"},
		{"endless line", func(l []string) []string { l[0] = strings.Repeat("x", maxLine+2); return l }, "line 1: longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			damaged := strings.Join(tc.damage(append([]string{}, lines...)), "")
			entries, err := Read(strings.NewReader(damaged))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if tc.name == "torn" {
				if !errors.Is(err, ErrTorn) {
					t.Error("not ErrTorn")
				}
				// What stood before the damage is still good for a revert.
				if open := Unreverted(entries); len(open) != 1 || open[0].Injection != 2 {
					t.Errorf("open injections: %+v", open)
				}
			}
		})
	}
}

// FuzzRead: no input panics, and what is accepted survives being written again.
func FuzzRead(f *testing.F) {
	golden, err := os.ReadFile("testdata/chaos.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"t":1,"wall_ns":1,"seq":1,"event":"note","detail":{"n":1e400}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := Read(bytes.NewReader(b))
		Unreverted(entries)
		if err != nil {
			return
		}
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		for _, e := range entries {
			if err := enc.Encode(e); err != nil {
				t.Fatal(err)
			}
		}
		back, err := Read(&again)
		if err != nil || len(back) != len(entries) {
			t.Fatalf("read %d entries, then %d: %v", len(entries), len(back), err)
		}
	})
}
