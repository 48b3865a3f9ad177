package reports

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// render renders every file of a bundle that is computed from others, SHA256SUMS excepted.
func render(s *Summary) (map[string][]byte, error) {
	all, err := hgrm(s)
	if err != nil {
		return nil, err
	}
	if all[SummaryFile], err = canonical(s); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", SummaryFile, err)
	}
	if all[ReportFile], err = page(s); err != nil {
		return nil, err
	}
	if all[JUnitFile], err = junit(s); err != nil {
		return nil, err
	}
	return all, nil
}

// Write analyzes a bundle and writes everything that is computed: summary.json, report.html, junit.xml,
// the percentile files and SHA256SUMS. What an earlier Write left and this one does not make is removed.
func Write(dir string) error {
	s, err := Analyze(dir)
	if err != nil {
		return err
	}
	rendered, err := render(s)
	if err != nil {
		return err
	}
	present, err := files(dir)
	if err != nil {
		return err
	}
	for _, name := range present {
		if _, again := rendered[name]; derived(name) && !again {
			if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("removing an older %s: %w", name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if err := os.WriteFile(filepath.Join(dir, name), rendered[name], 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	text, err := sums(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, SumsFile), text, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", SumsFile, err)
	}
	return nil
}
