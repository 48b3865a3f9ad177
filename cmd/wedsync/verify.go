package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wedsync/wedsync/reports"
)

// VerifyCmd is `wedsync verify`.
type VerifyCmd struct {
	Bundles  []string `arg:"" name:"bundle" help:"Bundles, such as evidence/region-kill."`
	Evidence string   `help:"Also compare the figures in this EVIDENCE.md."`
}

// Run computes everything again and compares every byte. A bundle that verifies still ends with its own
// verdict: that a FAIL was truthfully reported does not make it a PASS.
func (c *VerifyCmd) Run() error { return c.run(os.Stdout) }

func (c *VerifyCmd) run(out io.Writer) error {
	var sound []string
	var broken []error
	for _, bundle := range c.Bundles {
		bundle = filepath.Clean(bundle)
		if err := isBundle(bundle); err != nil {
			return err
		}
		s, err := reports.Verify(bundle, c.Evidence)
		if err != nil {
			broken = append(broken, fmt.Errorf("%s does not verify:\n%w", bundle, err))
			continue
		}
		fmt.Fprintf(out, "%s: verified; every figure of run %s follows from its raw data\n", bundle, s.RunID)
		sound = append(sound, bundle)
	}
	if len(sound) == 0 {
		return errors.Join(broken...)
	}
	verdict, err := judge(out, sound)
	if err := errors.Join(append(broken, err)...); err != nil {
		return err
	}
	return verdict
}

// isBundle says that a path is none.
func isBundle(path string) error {
	if _, err := os.Stat(filepath.Join(path, reports.ManifestFile)); err != nil {
		return usageError{fmt.Errorf("%s is not a bundle, such as a drill leaves in evidence/: %w", path, err)}
	}
	return nil
}
