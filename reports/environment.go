package reports

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/internal/clock"
)

// Run is what only the drill knows about a run when it begins.
type Run struct {
	Drill   string
	Seed    uint64
	Flaw    string
	Command []string
	Start   clock.Anchor
	K6      string // the generator's binary, to read its version from
}

// NewManifest describes a run that begins now, and the machine and code it begins on. What cannot be
// found out is left empty: the report shows it as unknown.
func NewManifest(run Run) Manifest {
	start := time.Unix(0, run.Start.WallNS).UTC()
	m := Manifest{
		Schema: ManifestSchema, RunID: fmt.Sprintf("%s-%s-seed%d", run.Drill, start.Format("20060102T150405Z"), run.Seed),
		Drill: run.Drill, Seed: run.Seed, Flaw: run.Flaw, Command: run.Command, Start: run.Start,
		Source: source(), Machine: machine(),
	}
	m.Versions.Go = runtime.Version()
	if build, ok := debug.ReadBuildInfo(); ok {
		m.Versions.Wedsync = build.Main.Version
	}
	if build, err := buildinfo.ReadFile(run.K6); err == nil {
		for _, dep := range build.Deps {
			if dep.Path == "go.k6.io/k6" {
				m.Versions.K6 = dep.Version
			}
		}
	}
	return m
}

// source asks git, because the build is made without version stamps. The evidence itself does not make
// the tree dirty: each drill of a series rewrites a part of it.
func source() Source {
	commit, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return Source{}
	}
	changes, err := exec.Command("git", "status", "--porcelain", "--", ":/", ":(top,exclude)evidence", ":(top,exclude)EVIDENCE.md").Output()
	return Source{Commit: strings.TrimSpace(string(commit)), Dirty: err != nil || len(bytes.TrimSpace(changes)) > 0}
}

func machine() Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), CPU: procValue("/proc/cpuinfo", "model name")}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.MemoryBytes = kib << 10
	}
	return m
}

// procValue returns the first value of a key in a file of "key : value" lines.
func procValue(path, key string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if k, v, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
