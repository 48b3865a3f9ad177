package drill

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(tinyVar) != "" {
		serveTiny()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestShippedDrillsAreValid loads every drill of the repository.
func TestShippedDrillsAreValid(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v (%v), want the shipped drills", files, err)
	}
	for _, file := range files {
		d, err := Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if d.Metadata.Name+".yaml" != file {
			t.Errorf("%s is named %q; the bundle should be named after the file", file, d.Metadata.Name)
		}
	}
}

const valid = `apiVersion: wedsync.dev/v1
kind: Drill
metadata: {name: try}
title: A try
topology: {regions: [a, b]}
scenario: {script: story.js}
phases: {warmup: 5s, before: 5s, drain: 1s}
claims:
  - {id: one, says: it holds, kind: none}
`

func TestLoadSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"unknown field":        {"title: A try", "titel: A try", []string{"line 4", "titel", "not part of a drill"}},
		"not YAML":             {"title: A try", "title: [", []string{"line"}},
		"duration":             {"before: 5s", "before: 5 seconds", []string{"line 7", "not a duration"}},
		"negative duration":    {"before: 5s", "before: -5s", []string{"line 7", "not a duration"}},
		"kind":                 {"kind: Drill", "kind: Drail", []string{"Drail", "kind: Drill"}},
		"name":                 {"name: try", "name: Try It", []string{"metadata.name"}},
		"one region":           {"[a, b]", "[a]", []string{"at least two regions"}},
		"nodes":                {"regions: [a, b]", "regions: [a, b], nodes: 12", []string{"topology.nodes is 12"}},
		"data":                 {"regions: [a, b]", "regions: [a, b], data: tape", []string{"topology.data", "tape"}},
		"no script":            {"story.js", "nowhere.js", []string{"scenario.script", "nowhere.js"}},
		"no wan file":          {"regions: [a, b]", "regions: [a, b], wan: moon.yaml", []string{"topology.wan", "moon.yaml"}},
		"repeat alone":         {"title: A try", "repeat: 3", []string{"repeat without an experiment"}},
		"fault of no length":   {"title: A try", "experiment: x.yaml", []string{"phases.fault"}},
		"no claims":            {"  - {id: one, says: it holds, kind: none}\n", "  []\n", []string{"at least one"}},
		"claim of no kind":     {"kind: none}", "kind: nine}", []string{"claims[0]", "nine"}},
		"two mistakes at once": {"kind: Drill\nmetadata: {name: try}", "kind: Drail\nmetadata: {name: Try It}", []string{"Drail", "metadata.name"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, strings.Replace(valid, c.old, c.new, 1))
			_, err := Load(file)
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, want := range append(c.want, file) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "drill.") && strings.Contains(err.Error(), "type") {
				t.Errorf("error %q talks about Go types", err)
			}
		})
	}
}

func TestLoadFillsDefaults(t *testing.T) {
	d, err := Load(write(t, valid))
	if err != nil {
		t.Fatal(err)
	}
	if d.Topology.Nodes != 1 || d.Repeat != 0 || len(d.Claims) != 1 || d.Longest() != 10*time.Second {
		t.Fatalf("got %+v, longest %v", d, d.Longest())
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("claims: {a: [1"))
	f.Fuzz(func(t *testing.T, source []byte) {
		if d, err := parse(source); err == nil {
			d.File = "fuzz.yaml"
			_ = d.validate() // must not panic
		}
	})
}

// write puts a drill and the script that it names into a directory of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"try.yaml": text, "story.js": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "try.yaml")
}
