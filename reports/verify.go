package reports

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Verify computes everything in a bundle again and compares it byte by byte:
//
//   - every file against SHA256SUMS, no file missing and none too many;
//   - every input against the manifest;
//   - summary.json, report.html, junit.xml and the percentile files against what the inputs give;
//   - if evidenceFile is not "", the drill's section of that EVIDENCE.md against what the inputs give.
//
// It returns the summary that it computed, and an error that names every file that differs and where.
// The summary is nil if the inputs could not be read. Whether its verdict is a PASS is a different question.
func Verify(dir, evidenceFile string) (*Summary, error) {
	errs := []error{verifySums(dir)}
	s, err := Analyze(dir)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	rendered, err := render(s)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: missing; `wedsync report %s` renders it", name, dir))
			continue
		}
		errs = append(errs, compare(name, text, rendered[name]))
	}
	present, err := files(dir)
	if err != nil {
		return s, err
	}
	for _, name := range present {
		if _, known := rendered[name]; derived(name) && !known && name != SumsFile {
			errs = append(errs, fmt.Errorf("%s: the raw data gives no such file", name))
		}
	}
	if evidenceFile != "" {
		errs = append(errs, verifyEvidence(s, evidenceFile, dir))
	}
	return s, errors.Join(errs...)
}

// verifySums compares every file with SHA256SUMS.
func verifySums(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, SumsFile))
	if err != nil {
		return fmt.Errorf("%s: missing; `wedsync report %s` writes it", SumsFile, dir)
	}
	now, err := sums(dir)
	if err != nil {
		return err
	}
	if bytes.Equal(text, now) {
		return nil
	}
	hashes := func(text []byte) map[string]string {
		of := map[string]string{}
		for line := range strings.Lines(string(text)) {
			hash, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
			of[name] = hash
		}
		return of
	}
	was, is := hashes(text), hashes(now)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(was)) {
		switch {
		case is[name] == "":
			errs = append(errs, fmt.Errorf("%s: missing; %s lists it", name, SumsFile))
		case is[name] != was[name]:
			errs = append(errs, fmt.Errorf("%s: changed: sha256 %s, %s says %s", name, short(is[name]), SumsFile, short(was[name])))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if was[name] == "" {
			errs = append(errs, fmt.Errorf("%s: not in %s; a bundle holds nothing else", name, SumsFile))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: not in its usual form", SumsFile))
	}
	return errors.Join(errs...)
}

func verifyEvidence(s *Summary, file, dir string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the evidence: %w", err)
	}
	from, to, err := sectionOf(text, s.Drill)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if from < 0 {
		return fmt.Errorf("%s: has no section of %s", file, s.Drill)
	}
	want, err := evidence(s, file, dir)
	if err != nil {
		return err
	}
	return compare(file+", section "+s.Drill, text[from:to], want)
}

// compare says at which line two texts begin to differ.
func compare(name string, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	is, should := strings.SplitAfter(string(got), "\n"), strings.SplitAfter(string(want), "\n")
	for i := range max(len(is), len(should)) {
		a, b := "the end", "the end"
		if i < len(is) {
			a = is[i]
		}
		if i < len(should) {
			b = should[i]
		}
		if a != b {
			return fmt.Errorf("%s: line %d is not what the raw data gives:\n  it reads %s\n  computed %s", name, i+1, excerpt(a, b), excerpt(b, a))
		}
	}
	return fmt.Errorf("%s: differs", name)
}

// excerpt is the part of a line around where it begins to differ from another.
func excerpt(line, other string) string {
	at := 0
	for at < len(line) && at < len(other) && line[at] == other[at] {
		at++
	}
	from, to := max(at-40, 0), min(at+60, len(line))
	text := fmt.Sprintf("%q", line[from:to])
	if from > 0 {
		text = "…" + text
	}
	if to < len(line) {
		text += "…"
	}
	return text
}
