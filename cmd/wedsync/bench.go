package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/wedsync/wedsync/bench"
)

// BenchCmd is `wedsync bench`.
type BenchCmd struct {
	Run   BenchRunCmd   `cmd:"" default:"withargs" help:"Measure whole servers on this machine, each beside the floor (the default)."`
	Plot  BenchPlotCmd  `cmd:"" help:"Draw the cost curve of a run of --only curve, and print its table."`
	Floor BenchFloorCmd `cmd:"" hidden:"" help:"Be the floor."`

	Generators BenchGeneratorsCmd `cmd:"" help:"Measure the extension beside k6's own WebSockets and a bare Go client: what a vendor and a message cost the load generator."`
	Bare       BenchBareCmd       `cmd:"" hidden:"" help:"Be the bare client."`
}

// BenchRunCmd is `wedsync bench run`.
type BenchRunCmd struct {
	Only   []string `help:"Benchmarks to run: connect, fanout, wedding, storm; all by default." placeholder:"NAME,…"`
	Rounds int      `default:"3" help:"How often every case is played on every server, in turns."`
	Peers  string   `help:"Measure the servers that make bench-peers has installed into a folder too." type:"path" placeholder:"DIR"`
	Target []string `help:"Measure another server too, one that runs on this machine; may be repeated. Dialects: supabase (the default), centrifugo, socketio." sep:"none" placeholder:"NAME=ws://127.0.0.1:PORT/socket,pid=N[,dialect=NAME]"`
	Server string   `help:"Path of wedsync-server, if not beside this program." type:"path" placeholder:"FILE"`
	JSON   string   `name:"json" help:"Write every figure of every round, and where they come from." type:"path" placeholder:"FILE"`
	Out    string   `help:"Write a histogram log per benchmark." type:"path" placeholder:"DIR"`
	Quick  bool     `help:"Small and short: shows that it works, measures nothing."`
}

// Run measures, prints the table, and writes what was asked for, also of a run that was cut short.
func (c *BenchRunCmd) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return usageError{err}
	}
	report, err := bench.Run(ctx, cfg)
	if report == nil || len(report.Rounds)+len(report.Skipped) == 0 {
		return err
	}
	if err := errors.Join(err, report.WriteTable(os.Stdout), c.write(report)); err != nil {
		return err
	}
	switch invalid := len(report.Invalid()); {
	case invalid > 0:
		return unproved{fmt.Errorf("the run is INVALID: %d rounds prove nothing", invalid), 4}
	case len(report.Rounds) == 0:
		return unproved{errors.New("nothing was measured"), exitNothing}
	}
	return nil
}

func (c *BenchRunCmd) config() (bench.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Config{}, fmt.Errorf("finding this program: %w", err)
	}
	if c.Server == "" {
		c.Server = filepath.Join(filepath.Dir(self), "wedsync-server")
	}
	if _, err := os.Stat(c.Server); err != nil {
		return bench.Config{}, fmt.Errorf("there is no wedsync-server: %w: run `make build`, or name it with --server", err)
	}
	cfg := bench.Config{
		Subjects: []bench.Subject{bench.Wedsync(c.Server), bench.FloorSubject(self, "bench", "floor")},
		Only:     c.Only, Rounds: c.Rounds, Quick: c.Quick, Progress: os.Stderr,
	}
	if c.Peers != "" {
		peers, err := bench.Peers(c.Peers)
		if err != nil {
			return bench.Config{}, err
		}
		cfg.Subjects = append(cfg.Subjects, peers...)
	}
	for _, spec := range c.Target {
		target, err := bench.ParseTarget(spec)
		if err != nil {
			return bench.Config{}, err
		}
		cfg.Subjects = append(cfg.Subjects, target)
	}
	return cfg, nil
}

// write writes the files that were asked for.
func (c *BenchRunCmd) write(report *bench.Report) error {
	if c.Out != "" {
		if err := report.WriteHistograms(c.Out); err != nil {
			return err
		}
	}
	if c.JSON == "" {
		return nil
	}
	var text strings.Builder
	if err := report.WriteJSON(&text); err != nil {
		return err
	}
	return os.WriteFile(c.JSON, []byte(text.String()), 0o644)
}

// unproved is a run that shows nothing. The table has said why.
type unproved struct {
	error
	code int
}

// ExitCode is that of the verdict.
func (u unproved) ExitCode() int { return u.code }

// BenchFloorCmd is `wedsync bench floor`, which `wedsync bench` starts.
type BenchFloorCmd struct {
	Listen string `arg:"" help:"HOST:PORT."`
}

// Run serves until it is stopped.
func (c *BenchFloorCmd) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("opening the floor's port: %w", err)
	}
	return bench.Floor(ctx, l)
}

// BenchPlotCmd is `wedsync bench plot`.
type BenchPlotCmd struct {
	JSON string `arg:"" type:"existingfile" help:"What bench --only curve --json has written."`
	SVG  string `arg:"" type:"path" help:"Drawing to write, such as docs/cost.svg."`
}

// Run draws the curve and prints its table.
func (c *BenchPlotCmd) Run() error {
	text, err := os.ReadFile(c.JSON)
	if err != nil {
		return fmt.Errorf("reading a benchmark's figures: %w", err)
	}
	report, err := bench.ReadReport(bytes.NewReader(text))
	if err != nil {
		return err
	}
	var drawing bytes.Buffer
	if err := report.WriteCost(&drawing); err != nil {
		return err
	}
	if err := os.WriteFile(c.SVG, drawing.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the cost curve: %w", err)
	}
	return report.WriteCostTable(os.Stdout)
}
