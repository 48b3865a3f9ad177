package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/server/scaling"
)

// Every node says how many nodes each region should have, from the connections of all, and follows its policy as the
// file changes.
func TestScaling(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scaling.yaml")
	write := func(policy string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("default: {connections_per_replica: 2, max: 5}")
	nodes := startThree(t, func(c *Config) { c.ScalingFile = file })
	for range 5 {
		nodes[1].dial(t, "2.0.0")
	}
	says := func(us, ap float64) {
		t.Helper()
		for _, n := range nodes {
			waitFor(t, n.cfg.Node+" to say what is desired", func() bool {
				return n.has(t, scaling.MetricDesired, "us-east", us) && n.has(t, scaling.MetricDesired, "ap-south", ap)
			})
		}
	}
	says(3, 1)
	write("default: {connections_per_replica: 2, min: 2, max: 5}")
	says(3, 2)
	write("default: {min: 7, max: 5}")
	waitFor(t, "the mistake to be told", func() bool { return strings.Contains(nodes[0].log.String(), "min is 7 and max 5") })
	says(3, 2)
}

// has says whether a gauge of a region has a value.
func (n *node) has(t *testing.T, name, region string, value float64) bool {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == region {
				return m.GetGauge().GetValue() == value
			}
		}
	}
	return false
}

func TestScalingFileMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scaling.yaml")
	for text, want := range map[string]string{"": "set --scaling", "regions: {eu: {mni: 2}}": "unknown key mni"} {
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg := testConfig(t)
		cfg.ScalingFile = file
		if text == "" {
			cfg.ScalingFile += ".missing"
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
