package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	chaos "github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

func TestReadDiary(t *testing.T) {
	const (
		intent, injected, proved, unproved = chaos.EventIntent, chaos.EventInjected, chaos.EventProved, chaos.EventUnproved
		reverting, reverted, gone, failed  = chaos.EventReverting, chaos.EventReverted, chaos.EventGone, chaos.EventRevertFailed
	)
	for name, tt := range map[string]struct {
		events     []chaos.Event
		held, over bool
	}{
		"as it should be":           {[]chaos.Event{intent, injected, proved, reverting, reverted, gone}, true, true},
		"not proved":                {[]chaos.Event{intent, injected, unproved, reverting, reverted, gone}, false, true},
		"proved, then not any more": {[]chaos.Event{intent, injected, proved, unproved, reverting, reverted, gone}, false, true},
		"not proved to be gone":     {[]chaos.Event{intent, injected, proved, reverting, reverted, unproved}, true, false},
		"proved to be gone at last": {[]chaos.Event{intent, injected, proved, reverting, reverted, unproved, gone}, true, true},
		"revert failed":             {[]chaos.Event{intent, injected, proved, reverting, failed}, true, false},
		"reverted at the second go": {[]chaos.Event{intent, injected, proved, reverting, failed, reverting, reverted, gone}, true, true},
		"announced only":            {[]chaos.Event{intent}, false, false},
		"never reverted":            {[]chaos.Event{intent, injected, proved}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := ReadDiary(entries(tt.events...))
			if len(d.Injections) != 1 {
				t.Fatalf("%d injections", len(d.Injections))
			}
			i := &d.Injections[0]
			if i.Held() != tt.held || i.Over() != tt.over {
				t.Errorf("held %v, over %v; want %v, %v: %+v", i.Held(), i.Over(), tt.held, tt.over, i)
			}
			if w := i.window(); w.from != i.Intent || (i.Reverted == 0) != (w.to == forever) {
				t.Errorf("under fault over %+v", w)
			}
		})
	}
}

func TestFailovers(t *testing.T) {
	p := newPlay()
	p.fault(2000, 3000)
	p.session(2010, "b", 1, "eu", journal.Closed) // b has one home, in eu
	p.session(2110, "b", 2, "us", journal.Joined)
	for i, sched := range []float64{1500, 2050, 2500} {
		id := string(rune('m' + i))
		p.pubBy("c", id, journal.Urgent, sched, sched+50, journal.OK)
	}
	p.recv("b", "m", 1510)
	p.recvOn("b", 2, "n", 2130, true)
	p.recvOn("b", 2, "o", 2510, false)
	all := p.judge(t).Failovers()
	type figures struct {
		Vendor, From, To             string
		Detect, Rejoin, CatchUp, Gap float64
		Replayed                     int
	}
	var got []figures
	ms := func(ns int64) float64 {
		if ns < 0 {
			return -1
		}
		return float64(ns) / 1e6
	}
	for _, f := range all {
		got = append(got, figures{f.Vendor.ID, f.From, f.To, ms(f.Detect), ms(f.Rejoin), ms(f.CatchUp), ms(f.Gap), f.Replayed})
	}
	want := []figures{
		{"a", "eu", "", -1, -1, -1, -1, 0}, // a is in eu too, and never notices
		{"b", "eu", "us", 10, 100, 20, 620, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s := Summarize(all, func(f *Failover) int64 { return f.Detect }); s.Len() != 1 {
		t.Errorf("%d sessions noticed, want 1", s.Len())
	}
}

func TestPhaseAt(t *testing.T) {
	d := newPlay().diary()
	for millis, want := range map[float64]claim.Phase{-1: claim.WarmUp, 0: claim.Before, 1999.9: claim.Before, 2000: claim.Fault, 5000: claim.After, 8000: claim.Drain} {
		if got, _ := d.PhaseAt(at(millis)); got != want {
			t.Errorf("%v ms: %s, want %s", millis, got, want)
		}
	}
	if from, to, ok := d.Measured(at(9000)); !ok || from != at(0) || to != at(8000) {
		t.Errorf("measured from %d to %d, %v", from, to, ok)
	}
	if _, _, ok := (&Diary{}).Measured(0); ok {
		t.Error("a run without phases has a measured span")
	}
}
