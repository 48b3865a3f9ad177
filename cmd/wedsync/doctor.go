package main

import (
	"context"
	"os"

	"github.com/wedsync/wedsync/cluster/doctor"
)

// DoctorCmd is `wedsync doctor`. It exits with 0 if the drills can run here, else with 1.
type DoctorCmd struct{}

// Run prints the diagnosis.
func (*DoctorCmd) Run(ctx context.Context) error {
	findings := doctor.Judge(doctor.Look(ctx))
	if err := doctor.Print(os.Stdout, findings); err != nil {
		return err
	}
	if doctor.Worst(findings) == doctor.Bad {
		return illness{}
	}
	return nil
}

// illness is the exit code of a machine that lacks something; what it is has been printed.
type illness struct{}

func (illness) Error() string { return "" }

func (illness) ExitCode() int { return exitFailure }
