package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/wedsync/wedsync/internal/clock"
)

// ManifestSchema names the version of manifest.json.
const ManifestSchema = "wedsync.manifest/1"

// Manifest says how a run came about: what was run, on what, with what. It holds nothing that was
// measured. The drill writes it once, when the run is over; it is an input of the report like the raw
// files.
type Manifest struct {
	Schema string `json:"schema"`
	RunID  string `json:"run_id"`
	Drill  string `json:"drill"`
	Seed   uint64 `json:"seed"`
	// Flaw is how the server was broken on purpose; empty for an honest run.
	Flaw    string   `json:"flaw,omitempty"`
	Command []string `json:"command"`

	Start clock.Anchor `json:"start"`
	End   clock.Anchor `json:"end"`

	Source   Source   `json:"source"`
	Versions Versions `json:"versions"`
	Machine  Machine  `json:"machine"`
	Network  Network  `json:"network"`
	Nodes    []Node   `json:"nodes"`

	// GeneratorExit is k6's exit code; 99 means that a threshold of the script was crossed.
	GeneratorExit int `json:"generator_exit"`
	// Trouble lists what went wrong with the drill itself, such as a fault that could not be reverted. A
	// run with trouble does not pass.
	Trouble []string `json:"trouble,omitempty"`
	// Notes lists what a reader should know and what changes nothing.
	Notes []string `json:"notes,omitempty"`

	// Files are the inputs of the report, with what they held when the run was over.
	Files []File `json:"files"`
}

// Source is the code that ran.
type Source struct {
	Commit string `json:"commit"`
	Dirty  bool   `json:"dirty"` // there were changes that no commit holds
}

// Versions are those of the tools.
type Versions struct {
	Wedsync string `json:"wedsync"`
	Go      string `json:"go"`
	K6      string `json:"k6"`
}

// Machine is what the run ran on; all regions and the generator share it.
type Machine struct {
	OS          string `json:"os"`
	Kernel      string `json:"kernel"`
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
}

// Network is what lay between the regions.
type Network struct {
	Kind        string            `json:"kind"`        // packet or proxy
	Description string            `json:"description"` // one line
	Profile     string            `json:"profile"`     // name of the WAN profile
	Source      string            `json:"source"`      // where its figures come from
	AccessNS    int64             `json:"access_ns"`   // round trip between vendors and any region
	RoundTrips  []RoundTrip       `json:"round_trips"`
	Facts       map[string]string `json:"facts,omitempty"` // settings such as the kernel's TCP timers
}

// RoundTrip is the distance between two regions.
type RoundTrip struct {
	A  string `json:"a"`
	B  string `json:"b"`
	NS int64  `json:"ns"`
}

// Node is one server process.
type Node struct {
	Name   string `json:"name"`
	Region string `json:"region"`
}

// File is one input of the report.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Took is how long the run took.
func (m *Manifest) Took() time.Duration { return time.Duration(m.End.MonoNS - m.Start.MonoNS) }

// WriteManifest notes the inputs in dir, with their hashes, in the manifest and writes it as the
// bundle's manifest.json. Call it when everything else of the run is on the disk.
func WriteManifest(dir string, m Manifest) error {
	inputs, err := inputFiles(dir)
	if err != nil {
		return err
	}
	m.Files = nil
	for _, path := range inputs {
		f, err := fileOf(dir, path)
		if err != nil {
			return fmt.Errorf("writing the manifest: %w", err)
		}
		m.Files = append(m.Files, f)
	}
	text, err := canonical(m)
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ManifestFile), text, 0o644); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

// readManifest reads manifest.json strictly.
func readManifest(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest (is %s a bundle?): %w", dir, err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something follows the object", ManifestFile)
	}
	if m.Schema != ManifestSchema {
		return nil, fmt.Errorf("%s: schema %q, this version reads %q", ManifestFile, m.Schema, ManifestSchema)
	}
	return &m, nil
}
