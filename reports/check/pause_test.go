package check

import (
	"testing"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

func (p *play) stall(v string, from, to float64) {
	p.add(journal.Record{Kind: journal.Stall, T: at(from), Vendor: v, On: true})
	if to != 0 {
		p.add(journal.Record{Kind: journal.Stall, T: at(to), Vendor: v})
	}
}

// TestPauses follows vendor b, which does not read from 1000 to 3000. What was sent meanwhile comes at 3100, so that
// it is connected again from then on.
func TestPauses(t *testing.T) {
	for name, tt := range map[string]struct {
		sched, received float64 // received 0: never
		backlog         float64 // when the message of 1500 came; 0: never
		stalled         bool
	}{
		"before":                                   {500, 510, 3100, false},
		"due when it stops":                        {900, 3100, 3100, true},
		"in between":                               {2000, 3100, 3100, true},
		"catching up":                              {3050, 3100, 3100, true},
		"caught up":                                {3101, 3110, 3100, false},
		"a message cannot excuse itself":           {3101, 4500, 3100, false},
		"not even if it was sent before that":      {3150, 4500, 3200, true},
		"caught up at once":                        {3001, 3010, 2999, false},
		"the backlog never came":                   {7900, 7910, 0, true},
		"and nobody is slow for ever":              {8001, 8010, 0, false},
		"lost in between is lost, and not excused": {2000, 0, 3100, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay()
			p.stall("b", 1000, 3000)
			for _, m := range []struct {
				id              string
				sched, received float64
			}{{"backlog", 1500, tt.backlog}, {"m", tt.sched, tt.received}} {
				p.pubBy("c", m.id, journal.Urgent, m.sched-1, m.sched+50, journal.OK)
				p.change(func(r journal.Record) bool { return r.Kind == journal.Pub && r.ID == m.id }, func(r *journal.Record) { r.T = at(m.sched) })
				p.recv("a", m.id, m.sched+10)
				if m.received != 0 {
					p.recv("b", m.id, m.received)
				}
			}
			j := p.judge(t)
			seen := false
			j.Due(func(pair *Pair) {
				if pair.Vendor.ID != "b" || pair.Message.ID != "m" {
					return
				}
				seen = true
				if pair.Stalled() != tt.stalled || pair.In(claim.Stalled) != tt.stalled || pair.In(claim.Connected) == tt.stalled || pair.In(claim.Displaced) {
					t.Errorf("stalled %v, connected %v; want stalled %v", pair.Stalled(), pair.In(claim.Connected), tt.stalled)
				}
			})
			if !seen {
				t.Fatal("b was not due")
			}
			if lost := j.Counted[claim.Lost]; (lost > 0) != (tt.received == 0 || tt.backlog == 0) {
				t.Errorf("%d lost", lost)
			}
		})
	}
}

func TestPauseFigures(t *testing.T) {
	p := newPlay()
	p.stall("b", 1000, 2000)
	p.stall("b", 3000, 4000)
	p.stall("c", 8000, 0)
	p.pub("m", 1500, journal.OK)
	p.recv("b", "m", 2300)
	p.recv("c", "m", 1510)
	p.pub("n", 1600, journal.OK)
	p.recv("b", "n", 2200)
	p.recv("c", "n", 1610)
	p.pub("late", 8100, journal.OK)
	p.recv("b", "late", 8110)
	p.recv("c", "late", 8900)
	p.pubBy("b", "unheard", journal.Urgent, 3500, 4100, journal.OK)
	p.recv("a", "unheard", 3510)
	p.recv("c", "unheard", 3510)
	j := p.judge(t)
	l := j.Pauses()
	if slowest, ok := l.At(100); l.Len() != 2 || !ok || slowest != 300*ms {
		t.Errorf("%d pauses, the slowest to catch up took %d, want 2 and 300 ms", l.Len(), slowest)
	}
	if b := j.Vendors[1]; b.Pauses[0].Behind != 2 || b.Pauses[1].Behind != 0 {
		t.Errorf("pauses %+v", b.Pauses)
	}
	w := j.Window(claim.Urgent, at(0), at(9000))
	if w.Stalled != 3 || w.Displaced != 0 || w.Connected.Len() != 5 || w.OK.Len() != 3 {
		t.Errorf("stalled %d, displaced %d, connected %d, answers %d; want 3, 0, 5, 3", w.Stalled, w.Displaced, w.Connected.Len(), w.OK.Len())
	}
	if a := j.Answers(&claim.Claim{Within: SLA}); a.Stalled != 1 || a.Published != 2 || a.Slow != 0 {
		t.Errorf("answers: %+v, want one that its publisher could not hear", a)
	}
}

// TestDisplacedBeforeStalled: the populations divide the deliveries also where a fault meets a stall.
func TestDisplacedBeforeStalled(t *testing.T) {
	p := newPlay()
	p.fault(2000, 3000)
	p.stall("b", 1000, 4000)
	p.pub("m", 2500, journal.OK)
	p.recv("b", "m", 4100)
	p.recv("c", "m", 2510)
	p.judge(t).Due(func(pair *Pair) {
		if pair.Vendor.ID == "b" && (!pair.In(claim.Displaced) || pair.In(claim.Stalled) || pair.In(claim.Connected)) {
			t.Error("b is not displaced, and nothing else")
		}
	})
}
