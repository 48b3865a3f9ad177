package check

import (
	"testing"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

func TestAnswers(t *testing.T) {
	p := newPlay()
	p.pubBy("a", "quick", journal.Urgent, 100, 150, journal.OK)
	p.pubBy("a", "at the limit", journal.Urgent, 200, 400, journal.OK)
	p.pubBy("a", "slow", journal.Urgent, 600, 800.001, journal.OK)
	p.pubBy("a", "refused", journal.Urgent, 1000, 1010, journal.Fail)
	p.pubBy("a", "unanswered", journal.Urgent, 1100, 1500, journal.Info)
	p.pubBy("a", "stalled generator", journal.Urgent, 3000, 3210, journal.OK)
	p.pubBy("a", "ordinary", journal.Normal, 100, 1900, journal.OK)
	p.pubBy("a", "warm-up", journal.Urgent, -500, 1900, journal.OK)
	p.lags = []Lag{{At: at(3500), Max: 25 * ms}}
	got := p.judge(t).Answers(&claim.Claim{Lane: claim.Urgent, Within: SLA})
	if got.Published != 6 || got.OK != 4 || got.Refused != 1 || got.Unknown != 1 || got.Slow != 1 || got.MaybeSlow != 1 {
		t.Errorf("%+v", got)
	}
	var misses []string
	for _, m := range got.Misses {
		misses = append(misses, m.ID)
	}
	if len(misses) != 3 || misses[0] != "slow" || misses[1] != "refused" || misses[2] != "unanswered" {
		t.Errorf("misses %q", misses)
	}
	if _, ok := got.Latencies.At(100); ok {
		t.Error("the slowest answer of a set with an unanswered publish is not a number")
	}
	if got.PerPhase[claim.Before] != 5 || got.PerPhase[claim.Fault] != 1 {
		t.Errorf("per phase %v", got.PerPhase)
	}
}

func TestStall(t *testing.T) {
	for name, tt := range map[string]struct {
		publish func(p *play)
		want    float64
	}{
		"nothing": {func(p *play) {}, 0},
		"one":     {func(p *play) { p.pubBy("a", "m", journal.Urgent, 100, 150, journal.OK) }, 50},
		"idle time is no stall": {func(p *play) {
			p.pubBy("a", "m", journal.Urgent, 100, 150, journal.OK)
			p.pubBy("a", "n", journal.Urgent, 1500, 1530, journal.OK)
		}, 50},
		"oks of others shorten it": {func(p *play) {
			p.pubBy("a", "m", journal.Urgent, 100, 900, journal.OK)
			p.pubBy("b", "n", journal.Urgent, 300, 500, journal.OK)
		}, 400},
		"it grows over several pending": {func(p *play) {
			p.pubBy("a", "m", journal.Urgent, 100, 900, journal.OK)
			p.pubBy("b", "n", journal.Urgent, 300, 1200, journal.OK)
		}, 800},
		"unanswered to the end of the run": {func(p *play) { p.pubBy("a", "m", journal.Urgent, 1000, 0, "") }, 8000},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay()
			tt.publish(p)
			s := p.judge(t).Answers(&claim.Claim{Within: SLA}).Stall
			if got := float64(s.To-s.From) / 1e6; got != tt.want {
				t.Errorf("%v ms, want %v", got, tt.want)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	sound := func() *play {
		p := newPlay().good()
		for s := range 9 {
			p.lags = append(p.lags, Lag{At: at(1000 * float64(s)), Max: ms})
		}
		return p
	}
	for name, tt := range map[string]struct {
		bend func(p *play)
		sick bool
	}{
		"sound": {func(p *play) {}, false},
		"sends leave late": {func(p *play) {
			p.change(func(r journal.Record) bool { return r.Kind == journal.Pub }, func(r *journal.Record) { r.T = r.Sched + 11*ms })
		}, true},
		"late sends in the warm-up": {func(p *play) {
			p.pub("w", -500, "")
			p.change(func(r journal.Record) bool { return r.ID == "w" }, func(r *journal.Record) { r.T += 100 * ms })
		}, false},
		"one second of nine is over 5 %":  {func(p *play) { p.lags[3].Max = 21 * ms }, true},
		"a lag of exactly 20 ms is fine":  {func(p *play) { p.lags[3].Max = 20 * ms }, false},
		"it does not say how it is doing": {func(p *play) { p.lags = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := sound()
			tt.bend(p)
			if err := p.judge(t).Health().Err(); (err != nil) != tt.sick {
				t.Errorf("%v, want sick %v", err, tt.sick)
			}
		})
	}
}

func TestFirstReceives(t *testing.T) {
	p := newPlay().good()
	p.pub("unanswered", 600, journal.Info)
	p.recv("b", "unanswered", 620)
	p.recv("b", "unanswered", 630) // a duplicate is no first receive
	p.recv("a", "unanswered", 630) // nor is an echo
	p.dup("c", 1, "m1", 640, true, true)
	if n, unsure := p.judge(t).FirstReceives(); n != 5 || unsure != 0 {
		t.Errorf("%d, unsure %d; want 5 and 0", n, unsure)
	}
	p.recv("c", "unanswered", 700) // after the generator had given it up
	if n, unsure := p.judge(t).FirstReceives(); n != 6 || unsure != 1 {
		t.Errorf("%d, unsure %d; want 6 and 1", n, unsure)
	}
	p.add(journal.Record{Kind: journal.Leaving, T: at(900), Vendor: "b"})
	if n, unsure := p.judge(t).FirstReceives(); n != 6 || unsure != 4 {
		t.Errorf("%d, unsure %d; want 6 and 4: b left within a second of them", n, unsure)
	}
}
