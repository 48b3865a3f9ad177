package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// played is a report of rounds, the first of their case unless they say otherwise.
func played(t *testing.T, rounds ...*Round) *Report {
	t.Helper()
	for _, r := range rounds {
		if r.Number == 0 {
			r.Number = 1
		}
	}
	return &Report{Rounds: rounds}
}

func TestVerdicts(t *testing.T) {
	const storm, idle, wedding = "5000 sockets", "1000 sockets", "100 x 10, 90 msg/s each, 10 urgent/s"
	one := func(benchmark, name, subject string, figures ...Figure) *Round {
		return &Round{Benchmark: benchmark, Case: name, Subject: subject, Figures: figures}
	}
	took := func(subject string, ms float64) *Round {
		return one("storm", storm, subject, Figure{figureStorm, "ms", ms})
	}
	memory := func(kib float64) *Round { return one("connect", idle, OwnName, Figure{figureMemory, "KiB", kib}) }
	rate := func(subject string, perSecond float64) *Round {
		return one("connect", idle, subject, Figure{"connects", "/s", perSecond})
	}
	under := func(subject string, cpu, urgent float64) *Round {
		return one("wedding", wedding, subject, Figure{figureCPU, "s", cpu}, Figure{"urgent p99.9", "ms", urgent})
	}
	invalid := took(CentrifugoName, 900)
	invalid.spoil("lost")
	second := took(OwnName, 2000)
	second.Number = 2
	secondPeer := took(CentrifugoName, 3000)
	secondPeer.Number = 2
	busy := took(OwnName, 800)
	busy.Others = 0.4
	busyMemory := memory(12)
	busyMemory.Others = 0.4
	for name, c := range map[string]struct {
		report *Report
		want   []string
	}{
		"memory is met":    {played(t, memory(12.9)), []string{"met connect 1000 sockets: RSS per connection over that at most 13.0"}},
		"memory is missed": {played(t, memory(13.1)), []string{"missed connect 1000 sockets: RSS per connection over that at most 13.0"}},
		"the storm is met": {played(t, took(OwnName, 800), took(CentrifugoName, 900)), []string{
			"met storm 5000 sockets: until all have joined again at most 1.00 x centrifugo",
			"met storm 5000 sockets: every figure ahead of the best peer's"}},
		"the storm is missed": {played(t, took(OwnName, 950), took(CentrifugoName, 900), took(SocketIOName, 1000)), []string{
			"missed storm 5000 sockets: until all have joined again at most 1.00 x centrifugo",
			"missed storm 5000 sockets: every figure ahead of the best peer's; until all have joined again is 950, 900 of centrifugo"}},
		"ratios are taken within a round": {played(t, took(OwnName, 500), took(CentrifugoName, 900), second, secondPeer), []string{
			"met storm 5000 sockets: until all have joined again at most 1.00 x centrifugo",
			"met storm 5000 sockets: every figure ahead of the best peer's"}},
		"no peer": {played(t, took(OwnName, 800)), []string{
			"unknown storm 5000 sockets: until all have joined again at most 1.00 x centrifugo; centrifugo was not measured: `make bench-peers`, then --peers run/peers"}},
		"a round of the peer is INVALID": {played(t, took(OwnName, 800), invalid), []string{
			"unknown storm 5000 sockets: until all have joined again at most 1.00 x centrifugo; round 1 of centrifugo is INVALID",
			"unknown storm 5000 sockets: every figure ahead of the best peer's; round 1 of centrifugo is INVALID"}},
		"times on a busy machine": {played(t, busy, took(CentrifugoName, 900)), []string{
			"unknown storm 5000 sockets: until all have joined again at most 1.00 x centrifugo; other programs used 40% of the machine in round 1 of wedsync: times prove nothing",
			"unknown storm 5000 sockets: every figure ahead of the best peer's; other programs used 40% of the machine in round 1 of wedsync: times prove nothing"}},
		"memory on a busy machine": {played(t, busyMemory), []string{"met connect 1000 sockets: RSS per connection over that at most 13.0"}},
		"both targets of the wedding": {played(t, under(OwnName, 1.6, 3), under(CentrifugoName, 3, 10), under(FloorName, 1, 2)), []string{
			"missed wedding " + wedding + ": CPU per million deliveries at most 1.50 x floor",
			"met wedding " + wedding + ": urgent p99.9 at most 0.33 x centrifugo",
			"met wedding " + wedding + ": every figure ahead of the best peer's"}},
		"more of a rate is better": {played(t, rate(OwnName, 90), rate(CentrifugoName, 70), rate(SocketIOName, 100)), []string{
			"unknown connect 1000 sockets: RSS per connection over that at most 13.0; wedsync was not measured",
			"missed connect 1000 sockets: every figure ahead of the best peer's; connects is 90.0, 100 of socketio"}},
		"quick": {&Report{Quick: true, Rounds: []*Round{memory(1)}}, []string{
			"unknown connect 1000 sockets: RSS per connection over that at most 13.0; a quick run measures nothing"}},
	} {
		var got []string
		for _, v := range c.report.Verdicts() {
			line := string(v.Status) + " " + v.Case + ": " + v.Target
			if v.Why != "" {
				line += "; " + v.Why
			}
			got = append(got, line)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Where there are peers, the table has a column for the best of each row, and the verdicts come below it.
func TestTableOfPeers(t *testing.T) {
	report := played(t,
		&Round{Benchmark: "storm", Case: "5000 sockets", Subject: OwnName, Figures: []Figure{{figureStorm, "ms", 800}}},
		&Round{Benchmark: "storm", Case: "5000 sockets", Subject: FloorName, Figures: []Figure{{figureStorm, "ms", 400}}},
		&Round{Benchmark: "storm", Case: "5000 sockets", Subject: CentrifugoName, Figures: []Figure{{figureStorm, "ms", 1000}}},
		&Round{Benchmark: "storm", Case: "5000 sockets", Subject: SocketIOName, Figures: []Figure{{figureStorm, "ms", 1600}}})
	report.Versions = map[string]string{CentrifugoName: "v5.4.9"}
	var out strings.Builder
	if err := report.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"centrifugo: version v5.4.9", "wedsync x best peer (min..max)", "0.80 (0.80..0.80) centrifugo",
		"met      storm 5000 sockets  until all have joined again at most 1.00 x centrifugo  0.80"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	out.Reset()
	if err := report.WriteJSON(&out); err != nil || !strings.Contains(out.String(), `"verdicts": [`) || !strings.Contains(out.String(), `"status": "met"`) {
		t.Errorf("%v\n%s", err, &out)
	}
}
