package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanMetrics(t *testing.T) {
	const text = `# HELP go_goroutines Number of goroutines.
# TYPE go_goroutines gauge
go_goroutines 42
go_goroutines_total 1
wedsync_connections{lane="x",vsn="2.0.0"} 1.2e+01
wedsync_connections{vsn="1.0.0"} 3 1700000000000

wedsync_desired_replicas{region="eu {west}"} 2
`
	found, err := scanMetrics(strings.NewReader(text), []string{"go_goroutines", "wedsync_connections", "wedsync_desired_replicas", "missing"})
	must(t, err)
	want := []Series{
		{"go_goroutines", "", 42},
		{"wedsync_connections", `lane="x",vsn="2.0.0"`, 12},
		{"wedsync_connections", `vsn="1.0.0"`, 3},
		{"wedsync_desired_replicas", `region="eu {west}"`, 2},
	}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	for i, c := range []struct{ label, want string }{{"vsn", ""}, {"vsn", "2.0.0"}, {"lane", ""}, {"region", "eu {west}"}} {
		if got := found[i].Label(c.label); got != c.want {
			t.Errorf("label %s of %+v is %q, want %q", c.label, found[i], got, c.want)
		}
	}
	if _, err := scanMetrics(strings.NewReader("go_goroutines many\n"), []string{"go_goroutines"}); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("no number: %v", err)
	}
}

func FuzzScanMetrics(f *testing.F) {
	f.Add("a 1\na{b=\"c\"} 2 3\na{ 1\na} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, _ := scanMetrics(strings.NewReader(text), []string{"a"}) // must not panic
		for _, s := range found {
			_ = s.Label("b")
		}
	})
}

func BenchmarkScanMetrics(b *testing.B) {
	text := strings.Repeat("wedsync_delivery_latency_seconds_bucket{lane=\"urgent\",le=\"0.005\"} 1234\n", 500) + "go_goroutines 42\n"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scanMetrics(strings.NewReader(text), []string{"go_goroutines", "wedsync_connections"}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMetricsOfANode(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		c := start(t, cfg)
		n := c.Nodes()[1]
		if _, err := n.Metrics(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("no metrics: %v", err)
		}
		says(t, n, "x 5\n")
		found, err := n.Metrics(t.Context(), "x")
		must(t, err)
		if d := cmp.Diff([]Series{{"x", "", 5}}, found); d != "" {
			t.Error(d)
		}
		// It is asked within its region: what happens between the regions does not matter.
		must(t, c.Network().Isolate(n.Region, true))
		_, err = n.Metrics(t.Context(), "x")
		must(t, err)
		must(t, c.Network().Isolate(n.Region, false))
	})
}

// says puts the metrics of a node.
func says(t *testing.T, n *Node, text string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(n.DataDir()), "metrics-"+n.Name)
	must(t, os.WriteFile(path+".new", []byte(text), 0o644))
	must(t, os.Rename(path+".new", path))
}
