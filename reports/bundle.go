package reports

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The files of a bundle. Inputs are what the run left behind; everything else is computed from them.
const (
	ManifestFile = "manifest.json"        // input: how the run came about
	DrillFile    = "drill.yaml"           // input: what it was to show
	HistoryFile  = "raw/history.jsonl.gz" // input: what the load generator saw
	ChaosFile    = "raw/chaos.jsonl"      // input: what was done to the regions
	LogFile      = "raw/log.jsonl.gz"     // input: what every node's log held at the end
	LatencyFile  = "raw/latency.hlog"     // input: the generator's own histograms, as a cross-check
	NodesFile    = "raw/nodes.jsonl"      // input: what the server processes took; bundles of before have none

	SummaryFile = "summary.json"
	ReportFile  = "report.html"
	JUnitFile   = "junit.xml"
	SumsFile    = "SHA256SUMS"

	// percentile curves are urgent.hgrm and, per population, urgent-NAME.hgrm
	curvePrefix, curveSuffix = "urgent", ".hgrm"
)

// derived reports whether a file of a bundle is computed from the others.
func derived(name string) bool {
	switch name {
	case SummaryFile, ReportFile, JUnitFile, SumsFile:
		return true
	}
	return strings.HasPrefix(name, curvePrefix) && strings.HasSuffix(name, curveSuffix)
}

// files lists a bundle's files, by slash path, sorted.
func files(dir string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file; a bundle holds nothing else", name)
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the bundle: %w", err)
	}
	slices.Sort(all)
	return all, nil
}

// inputFiles lists the inputs of a bundle, the manifest excepted.
func inputFiles(dir string) ([]string, error) {
	all, err := files(dir)
	return slices.DeleteFunc(all, func(name string) bool { return derived(name) || name == ManifestFile }), err
}

func fileOf(dir, name string) (File, error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, file)
	if err != nil {
		return File{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return File{Path: name, Bytes: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}

// checkInputs compares the inputs with what the manifest says they held, and returns everything that
// differs.
func checkInputs(dir string, m *Manifest) error {
	var errs []error
	listed := map[string]File{}
	for _, f := range m.Files {
		listed[f.Path] = f
	}
	for _, needed := range []string{DrillFile, HistoryFile, ChaosFile, LogFile, LatencyFile} {
		if _, ok := listed[needed]; !ok {
			errs = append(errs, fmt.Errorf("%s: not in the manifest; a bundle needs it", needed))
		}
	}
	present, err := inputFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range present {
		want, ok := listed[name]
		delete(listed, name)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: not in the manifest; it does not belong to this run", name))
			continue
		}
		if got, err := fileOf(dir, name); err != nil {
			errs = append(errs, err)
		} else if got != want {
			errs = append(errs, fmt.Errorf("%s: changed since the run: sha256 %s, the manifest says %s", name, short(got.SHA256), short(want.SHA256)))
		}
	}
	for _, f := range m.Files {
		if _, missing := listed[f.Path]; missing {
			errs = append(errs, fmt.Errorf("%s: missing; the manifest lists it", f.Path))
		}
	}
	return errors.Join(errs...)
}

func short(hash string) string { return hash[:min(len(hash), 12)] + "…" }

// sums renders SHA256SUMS over every other file of the bundle, in the form that sha256sum -c reads.
func sums(dir string) ([]byte, error) {
	all, err := files(dir)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, name := range all {
		if name == SumsFile {
			continue
		}
		f, err := fileOf(dir, name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "%s  %s\n", f.SHA256, path.Clean(name))
	}
	return text.Bytes(), nil
}

// canonical is the one spelling of a value as JSON: keys sorted, two spaces, a newline at the end.
func canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // 64-bit integers must survive
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil { // maps are encoded with sorted keys
		return nil, err
	}
	return text.Bytes(), nil
}
