package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/protocol"
)

func TestMetricsAreNamedByTheRules(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := New(reg, "eu-west-1", "eu-west")
	if err != nil {
		t.Fatal(err)
	}
	m.Flaw.WithLabelValues("drop-urgent:1000").Set(1)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every label set that is known in advance must exist before anything happened: a rate over a
// series that does not exist yet is no rate, and an alert on it never fires.
func TestLabelSetsExistAtZero(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := New(reg, "n", "r"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		ConnectionsClosed: len(CloseReasons),
		MessagesPublished: protocol.Lanes * len(Outcomes),
		MessagesDelivered: protocol.Lanes,
		MessagesDropped:   len(DropReasons),
		DeliveryLatency:   protocol.Lanes,
		ChannelJoins:      len(JoinOutcomes),
	} {
		got, err := testutil.GatherAndCount(reg, name)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s has %d series at the start, want %d", name, got, want)
		}
	}
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := New(reg, "n", "r"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(reg, "n", "r"); err == nil {
		t.Fatal("the second node on one registry was accepted")
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{LogJSON: `"msg":"hello"`, LogText: `msg=hello`} {
		var out bytes.Buffer
		logger, err := NewLogger(&out, format, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("hello")
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %s", format, out.String())
		}
	}
	if _, err := NewLogger(nil, "xml", slog.LevelInfo); err == nil || !strings.Contains(err.Error(), "use json or text") {
		t.Errorf("format xml: %v", err)
	}
}
