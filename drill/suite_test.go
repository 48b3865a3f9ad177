package drill

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSuites: those of the repository are valid, and each larger one has what the smaller ones have.
func TestSuites(t *testing.T) {
	all, err := Suites(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, s := range all {
		names = append(names, s.Metadata.Name)
		if i == 0 {
			continue
		}
		for _, d := range all[i-1].Drills {
			in := false
			for _, other := range s.Drills {
				in = in || other.File == d.File
			}
			if !in {
				t.Errorf("%s is in %s, and not in %s", d.File, all[i-1].Metadata.Name, s.Metadata.Name)
			}
		}
	}
	if got := strings.Join(names, " "); got != "smoke gate release game-day" {
		t.Errorf("suites: %s", got)
	}
}

func TestSuiteErrors(t *testing.T) {
	steady, err := filepath.Abs("steady.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	relative, err := filepath.Rel(dir, steady)
	if err != nil {
		t.Fatal(err)
	}
	head := "apiVersion: wedsync.dev/v1\nkind: Suite\nmetadata: {name: mine}\n"
	for name, tt := range map[string]struct{ text, want string }{
		"another kind":    {"apiVersion: v1\nkind: Drill\nmetadata: {name: mine}\nbudget: 10m\ndrills: [" + relative + "]", "a suite starts with"},
		"no drills":       {head + "budget: 1m", "a suite without a drill"},
		"no such drill":   {head + "budget: 1m\ndrills: [none.yaml]", "none.yaml"},
		"twice":           {head + "budget: 10m\ndrills: [" + relative + ", " + relative + "]", "would write the same bundle"},
		"too little time": {head + "budget: 1s\ndrills: [" + relative + "]", "take"},
		"unknown key":     {head + "budget: 10m\ndrill: [x]", "drill"},
		"a bad name":      {strings.Replace(head, "mine", "My Suite", 1) + "budget: 10m\ndrills: [" + relative + "]", "metadata.name"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "suite.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadSuite(file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := LoadSuite(filepath.Join(dir, "none.yaml")); err == nil {
		t.Error("a suite that is not there was read")
	}
}

func TestSuiteFile(t *testing.T) {
	for in, want := range map[string]string{"gate": "drill/suites/gate.yaml", "mine.yaml": "mine.yaml", "a/b": "a/b"} {
		if got := SuiteFile("drill", in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestShortest(t *testing.T) {
	d := &Drill{Repeat: 3, Phases: Phases{Warmup: Duration(time.Minute), Before: Duration(8 * time.Second), Fault: Duration(8 * time.Second),
		Recovery: Duration(25 * time.Second), After: Duration(4 * time.Second)}}
	if got := d.Shortest(); got != 119*time.Second {
		t.Errorf("without a fault: %v", got)
	}
	d.Experiment = "x"
	if got := d.Shortest(); got != 44*time.Second {
		t.Errorf("with faults, whose recovery may take no time: %v", got)
	}
}
