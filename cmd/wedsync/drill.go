package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/wedsync/wedsync/cluster/lab"
	"github.com/wedsync/wedsync/drill"
	"github.com/wedsync/wedsync/reports"
	"github.com/wedsync/wedsync/reports/claim"
)

// DrillCmd is `wedsync drill`.
type DrillCmd struct {
	Run     DrillRunCmd     `cmd:"" help:"Run drills, one after the other, and write a bundle for each."`
	List    DrillListCmd    `cmd:"" help:"List the drills of a directory, and the suites that they are in."`
	Explore DrillExploreCmd `cmd:"" help:"Compose faults at random, look for a schedule that breaks a claim, and shrink it."`
}

// DrillRunCmd is `wedsync drill run`.
type DrillRunCmd struct {
	Files    []string          `arg:"" optional:"" name:"file" help:"Drill files."`
	Suite    string            `help:"Run the drills of a suite: smoke (2 min), gate (10 min), release (1 h), game-day, or a file."`
	DryRun   bool              `help:"Say what would be done, and to whom, and stop."`
	Seed     uint64            `default:"1" help:"Makes the choices of scenario and faults repeatable."`
	Out      string            `default:"evidence" help:"Where the bundles go, one directory per drill."`
	Evidence string            `help:"Also write the figures into this EVIDENCE.md."`
	Network  string            `enum:"auto,packet,proxy" default:"auto" help:"packet: private namespaces with a packet router; proxy: user-space proxies on loopback; auto: packet where the kernel allows it."`
	Env      map[string]string `help:"Override a variable of the scenario, KEY=VALUE; may be repeated." mapsep:"none"`
	Bin      string            `help:"Directory of wedsync-server and k6, if not the one of this program."`
	Keep     bool              `help:"Keep the logs and data of servers and generator, and say where."`
	Flaw     string            `help:"Break the server on purpose (wedsync-server --flaw), to see the drill fail." hidden:""`
}

// Run loads every drill before it starts the first.
func (c *DrillRunCmd) Run(ctx context.Context, logger *slog.Logger) error {
	drills, budget, err := c.load()
	if err != nil {
		return usageError{err}
	}
	if c.DryRun {
		for _, d := range drills {
			if err := drill.Plan(d, os.Stdout); err != nil {
				return usageError{err}
			}
		}
		return nil
	}
	l, err := lab.Enter(lab.Config{Choice: lab.Choice(c.Network), Logger: logger})
	if err != nil {
		return err
	}
	cfg := drill.Config{
		Network: l.Network, EvidenceDir: c.Out, BinDir: c.Bin, Seed: c.Seed, Flaw: c.Flaw, Keep: c.Keep, Env: c.Env, Command: os.Args,
		Out: os.Stdout, Terminal: term.IsTerminal(int(os.Stdout.Fd())), Logger: logger,
	}
	begun := time.Now()
	err = c.run(ctx, drills, cfg)
	if took := time.Since(begun); budget > 0 {
		fmt.Printf("suite %s: %d drills in %v, of %v\n", c.Suite, len(drills), took.Round(time.Second), budget)
	}
	return err
}

// load reads the drills of the suite and of the files. The budget is that of the suite; 0 without one.
func (c *DrillRunCmd) load() (drills []*drill.Drill, budget time.Duration, err error) {
	if c.Suite != "" {
		s, err := drill.LoadSuite(drill.SuiteFile("drill", c.Suite))
		if err != nil {
			return nil, 0, err
		}
		drills, budget = s.Drills, time.Duration(s.Budget)
	}
	for _, file := range c.Files {
		d, err := drill.Load(file)
		if err != nil {
			return nil, 0, err
		}
		drills = append(drills, d)
	}
	if len(drills) == 0 {
		return nil, 0, errors.New("name drill files, or a suite: --suite smoke, gate, release or game-day")
	}
	return drills, budget, nil
}

// run plays the drills and judges them all, even when one could not be played to its end.
func (c *DrillRunCmd) run(ctx context.Context, drills []*drill.Drill, cfg drill.Config) error {
	var bundles []string
	var failed error
	for _, d := range drills {
		bundle, err := drill.Run(ctx, d, cfg)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", d.Metadata.Name, err))
			if ctx.Err() != nil || errors.Is(err, drill.ErrRevert) {
				break
			}
			continue
		}
		bundles = append(bundles, bundle)
	}
	verdict, err := judge(os.Stdout, bundles)
	if err != nil {
		return err
	}
	if c.Evidence != "" && len(bundles) > 0 {
		if err := reports.UpdateEvidence(c.Evidence, bundles...); err != nil {
			return err
		}
	}
	if failed != nil {
		return playError{failed}
	}
	return verdict
}

// judge prints every claim of every bundle and returns the worst verdict as an error, or nil if all passed.
func judge(out io.Writer, bundles []string) (verdict, err error) {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\nDRILL\tCLAIM\tLIMIT\tMEASURED\tN\tVERDICT")
	worst := claim.Pass
	for _, bundle := range bundles {
		s, err := reports.Analyze(bundle)
		if err != nil {
			return nil, err
		}
		for _, row := range s.Claims {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d %s\t%s\n", s.Drill, row.Claim.ID, row.Limit, row.Measured, row.N, row.Unit, row.Verdict)
		}
		for _, check := range s.Checks {
			if check.Verdict != claim.Pass {
				fmt.Fprintf(table, "%s\t%s\t\t%s\t\t%s\n", s.Drill, check.ID, strings.Join(check.Why, "; "), check.Verdict)
			}
		}
		fmt.Fprintf(table, "%s\t%s\t\t\t\t%s\n", s.Drill, filepath.Join(bundle, reports.ReportFile), s.Verdict)
		if weight(s.Verdict) > weight(worst) {
			worst = s.Verdict
		}
	}
	if err := table.Flush(); err != nil {
		return nil, err
	}
	if worst == claim.Pass {
		return nil, nil
	}
	return verdictError{worst}, nil
}

// weight orders the verdicts of independent drills.
func weight(v claim.Verdict) int {
	return slices.Index([]claim.Verdict{claim.Pass, claim.Insufficient, claim.Inconclusive, claim.Invalid, claim.Fail}, v)
}

// verdictError is a verdict that opens no gate. The table above it has said why.
type verdictError struct{ verdict claim.Verdict }

func (e verdictError) Error() string { return "the verdict is " + string(e.verdict) }

// ExitCode is the verdict's.
func (e verdictError) ExitCode() int { return e.verdict.ExitCode() }

// DrillListCmd is `wedsync drill list`.
type DrillListCmd struct {
	Dir string `arg:"" default:"drill" help:"Where the drill files are."`
}

// Run prints a line a drill; a file that is not a valid drill is listed with what is wrong with it.
func (c *DrillListCmd) Run() error {
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.yaml"))
	if err != nil {
		return usageError{err}
	}
	if len(files) == 0 {
		return usageError{fmt.Errorf("no drills (*.yaml) in %s", c.Dir)}
	}
	suites, err := drill.Suites(c.Dir)
	if err != nil {
		return usageError{err}
	}
	in := map[string][]string{}
	for _, s := range suites {
		for _, d := range s.Drills {
			in[d.Metadata.Name] = append(in[d.Metadata.Name], s.Metadata.Name)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "FILE\tSUITES\tTITLE")
	for _, file := range files {
		d, err := drill.Load(file)
		if err != nil {
			fmt.Fprintf(table, "%s\tinvalid\t%v\n", file, err)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", file, strings.Join(in[d.Metadata.Name], " "), d.Title)
	}
	return table.Flush()
}

// playError is a drill that could not be played to its end.
type playError struct{ error }

func (e playError) Unwrap() error { return e.error }

// ExitCode is 5 if the machine may still be under a fault, else 3: nothing was proved.
func (e playError) ExitCode() int {
	if errors.Is(e.error, drill.ErrRevert) {
		return 5
	}
	return exitNothing
}
