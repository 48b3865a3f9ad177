package limit

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestNodeMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	n, err := NewNode(Default(), reg)
	if err != nil {
		t.Fatal(err)
	}
	if count, err := testutil.GatherAndCount(reg, MetricReached); err != nil || count != len(Names) {
		t.Errorf("%d limits have a series at the start, want %d (%v)", count, len(Names), err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, name := range Names {
		n.Reached(name)
		if got := testutil.ToFloat64(n.reached[name]); got != 1 {
			t.Errorf("%s: %v, want 1", name, got)
		}
	}
	n.Users.Enter()
	want := "# HELP wedsync_users Sockets that have joined a channel.\n# TYPE wedsync_users gauge\nwedsync_users 1\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), MetricUsers); err != nil {
		t.Error(err)
	}
	if _, err := NewNode(Default(), reg); err == nil {
		t.Error("two nodes on one registry were accepted")
	}
}

func TestNodeOfWrongLimits(t *testing.T) {
	if _, err := NewNode(Limits{Connections: -1}, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "--max-connections") {
		t.Errorf("%v", err)
	}
}
