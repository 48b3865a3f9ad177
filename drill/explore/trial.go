package explore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/drill"
	"github.com/wedsync/wedsync/reports"
	"github.com/wedsync/wedsync/reports/claim"
)

// Drills returns a trial that plays a schedule as a drill: topology, load, phases and claims of the base file, and the
// schedule as its experiment. Files go to dir: NAME.drill.yaml, NAME.workflow.yaml, and the bundle NAME/. Bundles of
// trials that passed are removed, since there are many of them and they say nothing new.
func Drills(base, dir string, cfg drill.Config) (Trial, error) {
	d, err := drill.Load(base)
	if err != nil {
		return nil, err
	}
	if d.Experiment != "" || len(d.Actions) > 0 {
		return nil, fmt.Errorf("%s: the base of an exploration has no fault of its own: remove experiment and actions", base)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a place for the trials: %w", err)
	}
	cfg.EvidenceDir = dir
	return func(ctx context.Context, name string, s Schedule) (Result, error) {
		file, err := write(d, dir, name, s)
		if err != nil {
			return Result{}, err
		}
		trial, err := drill.Load(file)
		if err != nil {
			return Result{}, err
		}
		result := Result{Drill: file}
		bundle, err := drill.Run(ctx, trial, cfg)
		switch {
		case ctx.Err() != nil || errors.Is(err, drill.ErrRevert):
			return result, err
		case err != nil: // it could not be played to its end
			result.Verdict, result.Why = claim.Inconclusive, err.Error()
			return result, nil
		}
		summary, err := reports.Analyze(bundle)
		if err != nil {
			return result, fmt.Errorf("judging %s: %w", bundle, err)
		}
		result.Verdict, result.Why = summary.Verdict, summary.Says
		if summary.Verdict == claim.Pass {
			err = os.RemoveAll(bundle)
		}
		return result, err
	}, nil
}

// write writes the files of a trial, and returns the drill's.
func write(base *drill.Drill, dir, name string, s Schedule) (file string, err error) {
	workflow, err := s.Workflow(name)
	if err != nil {
		return "", err
	}
	experiment := filepath.Join(dir, name+".workflow.yaml")
	if err := os.WriteFile(experiment, workflow, 0o644); err != nil {
		return "", fmt.Errorf("writing a trial: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(base.Source, &doc); err != nil {
		return "", fmt.Errorf("%s: %w", base.File, err)
	}
	section := func(key string) map[string]any {
		m, _ := doc[key].(map[string]any) // drill.Load has read the file: these are mappings
		return m
	}
	for _, path := range []struct{ section, key string }{{"scenario", "script"}, {"topology", "wan"}, {"topology", "scaling"}} {
		m := section(path.section)
		was, ok := m[path.key].(string)
		if !ok {
			continue
		}
		if m[path.key], err = moved(was, filepath.Dir(base.File), dir); err != nil {
			return "", err
		}
	}
	doc["metadata"] = map[string]any{"name": name}
	doc["title"] = fmt.Sprintf("%d fault(s) that explore has composed", len(s))
	doc["experiment"] = filepath.Base(experiment)
	doc["repeat"] = 1
	phases := section("phases")
	phases["fault"] = time.Second.String() // after the workflow is over
	text, err := yaml.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("writing a trial: %w", err)
	}
	file = filepath.Join(dir, name+".drill.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", fmt.Errorf("writing a trial: %w", err)
	}
	return file, nil
}

// moved is a path relative to one folder as one relative to another.
func moved(path, from, to string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	whole, err := filepath.Abs(filepath.Join(from, path))
	if err != nil {
		return "", err
	}
	base, err := filepath.Abs(to)
	if err != nil {
		return "", err
	}
	return filepath.Rel(base, whole)
}
