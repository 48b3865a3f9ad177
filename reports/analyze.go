package reports

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/nodes"
)

// Analyze computes every figure of a bundle from its inputs: raw/, manifest.json and drill.yaml. It is a
// pure function of these files. An error means that the inputs cannot be read, or are not the ones that
// the run left behind; everything else, a history that was cut off included, is the verdict's to say.
func Analyze(dir string) (*Summary, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	if err := checkInputs(dir, m); err != nil {
		return nil, fmt.Errorf("the bundle's inputs are not those of its run:\n%w", err)
	}
	a := &analysis{manifest: m}
	if err := a.read(dir); err != nil {
		return nil, err
	}
	return a.summary(), nil
}

// analysis is everything that a summary is computed from.
type analysis struct {
	manifest *Manifest
	drill    *claim.Drill
	judged   *check.Judgement
	store    *check.Store
	recorded recorded // what raw/latency.hlog counts
	nodes    []nodes.Node
	actions  map[uint64]ActionProof // by injection

	zero   int64 // beginning of the measured span: where the report's time axis starts
	health *check.Health
	curves []Curve
	held   *check.Holding // of both lanes
	trends []TrendRow     // of the flat claims
}

func (a *analysis) read(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, DrillFile))
	if err != nil {
		return fmt.Errorf("reading the drill: %w", err)
	}
	if a.drill, err = claim.Parse(DrillFile, text); err != nil {
		return err
	}
	history, err := readRaw(dir, HistoryFile, check.ReadHistory)
	if err != nil {
		return err
	}
	entries, err := readRaw(dir, ChaosFile, journal.Read)
	if err != nil {
		return err
	}
	if a.store, err = readRaw(dir, LogFile, check.ReadStore); err != nil {
		return err
	}
	if a.recorded, err = readRaw(dir, LatencyFile, readRecorded); err != nil {
		return err
	}
	if slices.ContainsFunc(a.manifest.Files, func(f File) bool { return f.Path == NodesFile }) {
		if a.nodes, err = readRaw(dir, NodesFile, nodes.Read); err != nil {
			return err
		}
	}
	a.actions = actions(entries)
	if a.drill.Name != a.manifest.Drill {
		return fmt.Errorf("%s is of drill %q, %s of %q", DrillFile, a.drill.Name, ManifestFile, a.manifest.Drill)
	}
	if history.Seed != a.manifest.Seed {
		return fmt.Errorf("%s has seed %d, %s has %d: they are not of one run", HistoryFile, history.Seed, ManifestFile, a.manifest.Seed)
	}
	a.judge(history, check.ReadDiary(entries))
	return nil
}

func (a *analysis) judge(history *check.History, diary *check.Diary) {
	a.judged = check.Judge(history, diary)
	a.health = a.judged.Health()
	a.curves = curves(a.judged)
	if from, _, ok := a.judged.Measured(a.judged.Last()); ok {
		a.zero = from
	} else {
		a.zero = history.Start.Mono
	}
	regionOf := map[string]string{}
	for _, n := range a.manifest.Nodes {
		regionOf[n.Name] = n.Region
	}
	a.held = a.judged.Held(a.store, "", regionOf)
}

func readRaw[T any](dir, name string, read func(io.Reader) (T, error)) (v T, err error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return v, fmt.Errorf("reading the raw data: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if v, err = read(file); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// summary puts the figures together.
func (a *analysis) summary() *Summary {
	s := &Summary{
		Schema: SummarySchema, Drill: a.drill.Name, Title: a.drill.Title, RunID: a.manifest.RunID,
		Claims: a.claims(), Checks: a.checks(),
		Latency: a.curves, Phases: a.phases(), Delivery: a.delivery(), Answers: a.answers(), Holding: a.holding(),
		Failovers: a.failovers(), Injections: a.injections(), Generator: a.generator(),
		Flaws: a.judged.Counted, Problems: a.problems(), Fleet: a.fleet(),
		Bulk: a.bulk(), Moves: a.moves(), Pauses: a.pauses(), Recoveries: a.recoveries(), Nodes: a.nodeRows(), Trends: a.trends,
		Inputs: a.manifest.Files, manifest: a.manifest,
	}
	s.Verdict, s.Says = verdict(s.Claims, s.Checks)
	s.charts = a.charts()
	return s
}

// verdict composes the verdict of a run and says it in a sentence.
func verdict(rows []Row, checks []Check) (claim.Verdict, string) {
	var parts []claim.Ruling
	held := 0
	for _, r := range rows {
		parts = append(parts, claim.Ruling{Verdict: r.Verdict, Weight: r.weight})
		if r.Verdict == claim.Pass {
			held++
		}
	}
	if len(rows) == 0 {
		parts = append(parts, claim.Ruling{Verdict: claim.Insufficient})
	}
	for _, c := range checks {
		parts = append(parts, claim.Ruling{Verdict: c.Verdict, Weight: claim.Latency})
	}
	worst := claim.Worst(parts...).Verdict
	if worst == claim.Pass {
		return worst, fmt.Sprintf("All %d claims hold.", len(rows))
	}
	says := fmt.Sprintf("%d of %d claims hold.", held, len(rows))
	if i := slices.IndexFunc(rows, func(r Row) bool { return r.Verdict == worst }); i >= 0 {
		return worst, says + " " + rows[i].Claim.ID + ": " + briefly(rows[i].Why[0]) + "."
	}
	if i := slices.IndexFunc(checks, func(c Check) bool { return c.Verdict == worst }); i >= 0 {
		return worst, says + " " + briefly(checks[i].Why[0]) + "."
	}
	return worst, "The drill makes no claim."
}

// briefly is a reason without its examples.
func briefly(why string) string {
	what, _, _ := strings.Cut(why, ": ")
	return what
}
