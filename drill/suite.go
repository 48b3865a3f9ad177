package drill

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// SuiteKind heads every suite file.
const SuiteKind = "Suite"

// Suite is some drills that answer one question together, within a time. Paths in it are relative to the file.
type Suite struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   Metadata `yaml:"metadata"`
	// Title says in one line what the suite is for.
	Title string `yaml:"title"`
	// Budget is how long all of it takes on a quiet machine with two cores.
	Budget Duration `yaml:"budget"`
	Files  []string `yaml:"drills"`

	Drills []*Drill `yaml:"-"`
	File   string   `yaml:"-"`
}

// LoadSuite reads a suite and all of its drills. The error says all that is wrong.
func LoadSuite(path string) (*Suite, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the suite: %w; the suites beside it are %s", err, suitesIn(filepath.Dir(path)))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the suite: %w", err)
	}
	s := &Suite{File: path}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, plainYAMLError(err))
	}
	if err := s.complete(); err != nil {
		return nil, fmt.Errorf("%s is not a valid suite:\n%w", path, err)
	}
	return s, nil
}

// suitesIn names the suites of a folder.
func suitesIn(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.yaml")) // the pattern is sound
	if len(files) == 0 {
		return "none"
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".yaml")
	}
	return strings.Join(files, ", ")
}

// complete loads the drills and says all that is wrong.
func (s *Suite) complete() error {
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if s.APIVersion != APIVersion || s.Kind != SuiteKind {
		wrong("this is %q %q; a suite starts with apiVersion: %s and kind: %s", s.APIVersion, s.Kind, APIVersion, SuiteKind)
	}
	if !nameSyntax.MatchString(s.Metadata.Name) {
		wrong("metadata.name %q: use lower-case letters, digits and dashes", s.Metadata.Name)
	}
	if len(s.Files) == 0 {
		wrong("drills: a suite without a drill proves nothing; name at least one")
	}
	names := map[string]string{}
	var shortest time.Duration
	for _, file := range s.Files {
		d, err := Load(filepath.Join(filepath.Dir(s.File), file))
		if err != nil {
			all = append(all, err)
			continue
		}
		if other, twice := names[d.Metadata.Name]; twice {
			wrong("drills: %s and %s are both called %s, and would write the same bundle", other, file, d.Metadata.Name)
		}
		names[d.Metadata.Name] = file
		s.Drills = append(s.Drills, d)
		shortest += d.Shortest()
	}
	if time.Duration(s.Budget) < shortest {
		wrong("budget is %v, and the measured phases of the drills alone take %v", time.Duration(s.Budget), shortest)
	}
	return errors.Join(all...)
}

// Shortest is the least that the drill takes: the phases that are held for a time, and nothing for those that end when
// something has come about.
func (d *Drill) Shortest() time.Duration {
	p := d.Phases
	cycle := p.Fault + p.After
	if !d.faulty() {
		cycle += p.Recovery
	}
	return time.Duration(p.Before + Duration(d.Repeat)*cycle)
}

// SuiteFile is where a suite is: a path, or the name of one in the folder suites beside the drills.
func SuiteFile(dir, suite string) string {
	if strings.ContainsRune(suite, filepath.Separator) || strings.HasSuffix(suite, ".yaml") {
		return suite
	}
	return filepath.Join(dir, "suites", suite+".yaml")
}

// Suites reads all suites beside the drills of a folder, the one with the smallest budget first.
func Suites(dir string) ([]*Suite, error) {
	files, err := filepath.Glob(filepath.Join(dir, "suites", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("looking for suites: %w", err)
	}
	var all []*Suite
	for _, file := range files {
		s, err := LoadSuite(file)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Suite) int { return int(a.Budget - b.Budget) })
	return all, nil
}
