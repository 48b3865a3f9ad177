package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/wedsync/wedsync/chaos"
)

// ChaosCmd is `wedsync chaos`.
type ChaosCmd struct {
	Validate ChaosValidateCmd `cmd:"" help:"Say all that is wrong with experiment files, as a cluster with Chaos Mesh would, and more."`
	List     ChaosListCmd     `cmd:"" help:"List experiments: what each one does, to whom, and for how long."`
}

// ChaosValidateCmd is `wedsync chaos validate`.
type ChaosValidateCmd struct {
	Files []string `arg:"" name:"file" help:"Files of Chaos Mesh resources, or folders of them."`
}

// Run prints nothing but the number of experiments if all is well.
func (c *ChaosValidateCmd) Run() error {
	exps, err := loadExperiments(c.Files)
	if err != nil {
		return err
	}
	fmt.Printf("%d experiment(s), all valid\n", len(exps))
	return nil
}

// ChaosListCmd is `wedsync chaos list`.
type ChaosListCmd struct {
	Files []string `arg:"" optional:"" name:"file" default:"chaos/experiments" help:"Files of Chaos Mesh resources, or folders of them."`
}

// Run prints a line for each experiment.
func (c *ChaosListCmd) Run() error {
	exps, err := loadExperiments(c.Files)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tKIND\tACTION\tDURATION\tFILE")
	for _, e := range exps {
		duration := "-" // a kill is an instant, and not every kind lasts
		if e.Duration > 0 && !e.OneShot() {
			duration = e.Duration.String()
		}
		action := e.Action
		if action == "" {
			action = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s:%d\n", e.Name, e.Kind, action, duration, e.File, e.Line)
	}
	return table.Flush()
}

// loadExperiments makes whatever is wrong with the files a matter of usage: exit code 2.
func loadExperiments(files []string) ([]*chaos.Experiment, error) {
	exps, err := chaos.Load(files...)
	if err != nil {
		return nil, usageError{err}
	}
	return exps, nil
}
