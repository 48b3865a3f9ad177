package main

import (
	"os"

	"github.com/wedsync/wedsync/reports"
)

// ReportCmd is `wedsync report`.
type ReportCmd struct {
	Bundles  []string `arg:"" name:"bundle" help:"Bundles, such as evidence/region-kill."`
	Evidence string   `help:"Also write their figures into this EVIDENCE.md."`
}

// Run computes the figures of bundles from their raw data, and writes everything that is derived from them
// again. It ends with the verdicts.
func (c *ReportCmd) Run() error {
	for _, bundle := range c.Bundles {
		if err := isBundle(bundle); err != nil {
			return err
		}
		if err := reports.Write(bundle); err != nil {
			return err
		}
	}
	if c.Evidence != "" {
		if err := reports.UpdateEvidence(c.Evidence, c.Bundles...); err != nil {
			return err
		}
	}
	verdict, err := judge(os.Stdout, c.Bundles)
	if err != nil {
		return err
	}
	return verdict
}
