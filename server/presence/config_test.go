package presence

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestValidateSaysAll(t *testing.T) {
	err := (&Config{Peers: []string{"b", "b", ""}, Heartbeat: time.Second, DownAfter: time.Second}).Validate()
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{"node name", `"b" is named twice`, `peer ""`, "gossip is nil", "deliver is nil", "two heartbeats"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if err := (&Config{Window: -1}).Validate(); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("a negative window: %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New took an empty configuration")
	}
}

func TestMetricsExistFromTheStart(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := Config{Node: "a", Gossip: func(string, []byte) {}, Deliver: func(string, *Diff) {}, Registerer: reg}
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	n, err := testutil.GatherAndCount(reg, "wedsync_presence_entries", "wedsync_presence_gossip_bytes_total",
		"wedsync_presence_repairs_total", "wedsync_presence_nodes_down_total", "wedsync_presence_diffs_total",
		"wedsync_presence_malformed_total")
	if err != nil || n != 8 {
		t.Errorf("%d series, want 8: %v", n, err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "own registry") {
		t.Errorf("a second tracker in one registry: %v", err)
	}
}
