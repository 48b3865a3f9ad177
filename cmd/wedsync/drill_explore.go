package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/wedsync/wedsync/cluster/lab"
	"github.com/wedsync/wedsync/drill"
	"github.com/wedsync/wedsync/drill/explore"
	"github.com/wedsync/wedsync/reports/claim"
)

// DrillExploreCmd is `wedsync drill explore`.
type DrillExploreCmd struct {
	Seed    uint64            `default:"1" help:"Makes the schedules repeatable."`
	For     time.Duration     `default:"30m" help:"No schedule is begun later than this."`
	Base    string            `default:"drill/explore/base.yaml" help:"A drill without a fault: topology, load and claims."`
	Faults  int               `default:"4" help:"At most so many faults in a schedule."`
	Length  time.Duration     `default:"20s" help:"How long a schedule is at most."`
	Shrink  int               `default:"40" help:"How many trials may be spent on making a failing schedule smaller."`
	Tries   int               `default:"2" help:"How often a trial is played that proves nothing, or that does not fail where one before it did."`
	Out     string            `default:"run/explore" help:"Where the trials go."`
	Network string            `enum:"auto,packet,proxy" default:"auto" help:"As for drill run."`
	Env     map[string]string `help:"Override a variable of the scenario, KEY=VALUE; may be repeated." mapsep:"none"`
	Bin     string            `help:"Directory of wedsync-server and k6, if not the one of this program."`
	DryRun  bool              `help:"Print the first ten schedules of the seed, and stop."`
}

// Run explores until something is found or the time is up.
func (c *DrillExploreCmd) Run(ctx context.Context, logger *slog.Logger) error {
	base, err := drill.Load(c.Base)
	if err != nil {
		return usageError{err}
	}
	space := explore.Space{Regions: base.Topology.Regions, Faults: c.Faults, Length: c.Length}
	cfg := explore.Config{Space: space, Seed: c.Seed, For: c.For, Shrink: c.Shrink, Tries: c.Tries, Out: os.Stdout}
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	if c.DryRun {
		for n := range 10 {
			fmt.Printf("schedule %d of seed %d:\n    %s\n", n, c.Seed, strings.ReplaceAll(space.Draw(c.Seed, n).String(), "\n", "\n    "))
		}
		return nil
	}
	l, err := lab.Enter(lab.Config{Choice: lab.Choice(c.Network), Logger: logger})
	if err != nil {
		return err
	}
	cfg.Trial, err = explore.Drills(c.Base, c.Out, drill.Config{
		Network: l.Network, BinDir: c.Bin, Seed: c.Seed, Env: c.Env, Command: os.Args,
		Out: io.Discard, Terminal: term.IsTerminal(int(os.Stdout.Fd())), Logger: logger,
	})
	if err != nil {
		return usageError{err}
	}
	report, err := explore.Run(ctx, cfg)
	return c.conclude(report, err)
}

// conclude says what was found, also when the exploration could not go on.
func (c *DrillExploreCmd) conclude(report explore.Report, err error) error {
	if f := report.Finding; f != nil {
		fmt.Printf("\nFOUND by schedule %d of seed %d, shrunk from %d to %d fault(s) in %d trials:\n    %s\n\n%s\n",
			f.Number, c.Seed, len(f.Drawn), len(f.Smallest), f.Trials, strings.ReplaceAll(f.Smallest.String(), "\n", "\n    "), f.Result.Why)
		fmt.Printf("\nto play it again:  wedsync drill run %s\nas a workflow:     %s\nits report:        %s\n", f.Result.Drill,
			strings.Replace(f.Result.Drill, ".drill.yaml", ".workflow.yaml", 1), filepath.Join(strings.TrimSuffix(f.Result.Drill, ".drill.yaml"), "report.html"))
	}
	played := 0
	for _, n := range report.Played {
		played += n
	}
	fmt.Printf("\n%d schedule(s): %d passed, %d failed, %d proved nothing\n", played, report.Played[claim.Pass], report.Played[claim.Fail],
		played-report.Played[claim.Pass]-report.Played[claim.Fail])
	switch {
	case err != nil:
		return playError{err}
	case report.Finding != nil:
		return verdictError{claim.Fail}
	case report.Played[claim.Pass] == 0:
		return verdictError{claim.Insufficient}
	}
	return nil
}
