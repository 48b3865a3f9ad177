package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Report is what a run has measured.
type Report struct {
	Environment Environment       `json:"environment"`
	Versions    map[string]string `json:"versions,omitempty"` // of the subjects whose version is known
	Quick       bool              `json:"quick"`
	Rounds      []*Round          `json:"rounds"` // as they were played
	Skipped     []Skipped         `json:"skipped,omitempty"`
}

// Skipped is a case that this machine does not allow.
type Skipped struct {
	Benchmark string `json:"benchmark"`
	Case      string `json:"case"`
	Why       string `json:"why"`
}

// Environment is where figures come from, as far as it explains them.
type Environment struct {
	At        time.Time `json:"at"`
	CPUs      int       `json:"cpus"`
	Arch      string    `json:"arch"`
	GoVersion string    `json:"go_version"` // of this program, and of the floor
	Kernel    string    `json:"kernel"`
	Load      float64   `json:"load"` // mean of the minute before the run; the rounds say how busy others were in them
}

// environment describes this machine; what cannot be read stays empty.
func environment() Environment {
	e := Environment{At: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Arch: runtime.GOARCH, GoVersion: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		e.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &e.Load)
	}
	return e
}

// Invalid are the rounds that prove nothing, a line each.
func (r *Report) Invalid() (all []string) {
	for _, round := range r.Rounds {
		if len(round.Invalid) > 0 {
			all = append(all, fmt.Sprintf("%s, round %d, %s: %s", round.Key(), round.Number, round.Subject, strings.Join(round.Invalid, "; ")))
		}
	}
	return all
}

// WriteJSON writes everything that was measured, and what it says about the targets.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*Report
		Verdicts []Verdict `json:"verdicts"`
	}{r, r.Verdicts()})
}

// WriteHistograms writes BENCHMARK.hlog (HdrHistogram log, nanoseconds) for every benchmark: a line per round and
// distribution, whose tag says what it is.
func (r *Report) WriteHistograms(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the histograms: %w", err)
	}
	for _, name := range known() {
		if err := r.writeHistograms(dir, name); err != nil {
			return fmt.Errorf("writing the histograms of %s: %w", name, err)
		}
	}
	return nil
}

func (r *Report) writeHistograms(dir, benchmark string) (err error) {
	var rounds []*Round
	for _, round := range r.Rounds {
		if round.Benchmark == benchmark {
			rounds = append(rounds, round)
		}
	}
	if len(rounds) == 0 {
		return nil
	}
	file, err := os.Create(filepath.Join(dir, benchmark+".hlog"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	log := hdr.NewHistogramLogWriter(file)
	if err := errors.Join(log.OutputLogFormatVersion(), log.OutputLegend()); err != nil {
		return err
	}
	for _, round := range rounds {
		for _, l := range round.latencies {
			// The form of a tag has no room for the commas and spaces of a case.
			name := strings.NewReplacer(",", "", " ", "_").Replace(round.Case)
			l.hist.SetTag(fmt.Sprintf("subject=%s/case=%s/round=%d/%s", round.Subject, name, round.Number, strings.ReplaceAll(l.name, " ", "_")))
			l.hist.SetStartTimeMs(round.began.UnixMilli())
			l.hist.SetEndTimeMs(round.ended.UnixMilli())
			if err := log.OutputIntervalHistogram(l.hist); err != nil {
				return err
			}
		}
	}
	return nil
}
