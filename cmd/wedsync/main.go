// Command wedsync is the toolkit's command line: local clusters, drills, chaos experiments, reports
// and their verification.
//
// Exit codes, the same for every command:
//
//	0  done; for a drill or a verification: everything PASSed
//	1  a claim FAILed, a bundle does not verify, or the command failed
//	2  wrong usage: a flag, a file, or what stands in it
//	3  INCONCLUSIVE, INSUFFICIENT, or interrupted: nothing was proved
//	4  INVALID: the run does not count, its generator or its raw data was not sound
//	5  a fault could not be reverted: look at the machine before going on
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/alecthomas/kong"
)

// commandLine is everything that can be asked for.
type commandLine struct {
	Verbose bool `help:"Log what is going on, to standard error."`

	Drill   DrillCmd   `cmd:"" help:"Run fire drills: load, a fault, and the claims that must hold."`
	Cluster ClusterCmd `cmd:"" help:"Run a local multi-region cluster."`
	Chaos   ChaosCmd   `cmd:"" help:"Check and list chaos experiments."`
	Report  ReportCmd  `cmd:"" help:"Render a bundle's report again."`
	Verify  VerifyCmd  `cmd:"" help:"Recompute every figure of a bundle from its raw data."`
	Doctor  DoctorCmd  `cmd:"" help:"Say what this machine lacks."`
	Bench   BenchCmd   `cmd:"" help:"Benchmark whole servers against the floor."`
}

// coded is an error that knows its exit code.
type coded interface{ ExitCode() int }

const (
	exitFailure = 1
	exitUsage   = 2
	exitNothing = 3
)

func main() {
	// Processes that a drill starts die with the thread that started them, so that nothing outlives
	// this program however it ends; the main thread is the one that lasts.
	runtime.LockOSThread()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var line commandLine
	parser, err := kong.New(&line, kong.Name("wedsync"), kong.UsageOnError(),
		kong.Description("Proves that urgent wedding-day updates arrive within 200 ms while a region dies.\n\nExit codes: 0 passed, 1 failed, 2 usage, 3 nothing proved, 4 invalid run, 5 fault not reverted."))
	if err != nil {
		fmt.Fprintln(os.Stderr, "wedsync:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "wedsync:", err)
		fmt.Fprintln(os.Stderr, "Run `wedsync --help`, or `wedsync <command> --help`.")
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	level := slog.LevelWarn
	if line.Verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(logger)
	if err := command.Run(); err != nil {
		return report(ctx, err)
	}
	return 0
}

// report says what went wrong and returns the exit code for it.
func report(ctx context.Context, err error) int {
	var c coded
	switch {
	case errors.As(err, &c):
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, "wedsync:", text)
		}
		return c.ExitCode()
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "wedsync: interrupted; everything that was started has been stopped")
		return exitNothing
	}
	fmt.Fprintln(os.Stderr, "wedsync:", err)
	return exitFailure
}
