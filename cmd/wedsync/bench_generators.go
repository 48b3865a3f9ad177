package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wedsync/wedsync/bench/generator"
)

// BenchGeneratorsCmd is `wedsync bench generators`.
type BenchGeneratorsCmd struct {
	Weddings int           `default:"100" help:"Weddings of 12 vendors in the large crowd."`
	Few      int           `default:"5" help:"Weddings in the small one."`
	Every    time.Duration `default:"200ms" help:"How often somebody speaks at each wedding."`
	Settle   time.Duration `default:"5s" help:"From when all have joined to the measurement."`
	Measure  time.Duration `default:"20s" help:"How long it takes."`
	Rounds   int           `default:"3" help:"How often all of it is done."`
	Bin      string        `help:"Directory of wedsync-server and k6, if not the one of this program." type:"path"`
	JSON     string        `name:"json" help:"Write every figure." type:"path" placeholder:"FILE"`
}

// Run compares the generators and ends with the verdicts.
func (c *BenchGeneratorsCmd) Run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if c.Bin == "" {
		c.Bin = filepath.Dir(self)
	}
	cfg := generator.Config{Weddings: c.Weddings, Few: c.Few, Every: c.Every, Settle: c.Settle, Measure: c.Measure, Rounds: c.Rounds,
		Server: filepath.Join(c.Bin, "wedsync-server"), K6: filepath.Join(c.Bin, "k6"), Self: self, Progress: os.Stderr}
	for _, program := range []string{cfg.Server, cfg.K6} {
		if _, err := os.Stat(program); err != nil {
			return usageError{fmt.Errorf("%w: run `make build`, or name the directory with --bin", err)}
		}
	}
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	report, err := generator.Run(ctx, cfg)
	if report == nil || len(report.Measured) == 0 {
		return err
	}
	if err := errors.Join(err, report.WriteTable(os.Stdout), c.write(report)); err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return unproved{errors.New("not every target was met"), exitNothing}
	}
	return nil
}

func (c *BenchGeneratorsCmd) write(report *generator.Report) error {
	if c.JSON == "" {
		return nil
	}
	var text strings.Builder
	if err := report.WriteJSON(&text); err != nil {
		return err
	}
	return os.WriteFile(c.JSON, []byte(text.String()), 0o644)
}

// BenchBareCmd is `wedsync bench bare`, which `wedsync bench generators` starts.
type BenchBareCmd struct {
	Server   string        `arg:"" help:"ws://HOST:PORT/socket."`
	Weddings int           `arg:""`
	Every    time.Duration `arg:""`
}

// Run plays until it is stopped.
func (c *BenchBareCmd) Run(ctx context.Context) error {
	return generator.Bare(ctx, c.Server, c.Weddings, c.Every)
}
