package check

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// counts is what a judged history says: its flaws, and the urgent deliveries against 200 ms.
type counts struct {
	flaws                                        map[claim.Flaw]int
	messages, missed, due, late, maybeLate, lost int
}

// soundCounts are those of newPlay().good().
func soundCounts() counts { return counts{flaws: map[claim.Flaw]int{}, messages: 2, due: 4} }

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		bend func(p *play)
		want func(w *counts)
	}{
		"good": {func(p *play) {}, func(w *counts) {}},
		"one lost": {
			func(p *play) { p.without(recvOf("c", "m2")) },
			func(w *counts) { w.flaws[claim.Lost], w.lost, w.missed = 1, 1, 1 }},
		"a message lost by everybody misses once": {
			func(p *play) { p.without(recvOf("b", "m1")); p.without(recvOf("c", "m1")) },
			func(w *counts) { w.flaws[claim.Lost], w.lost, w.missed = 2, 2, 1 }},
		"lost in the drain counts": {
			func(p *play) { p.pub("m3", 8100, journal.OK); p.recv("b", "m3", 8110) },
			func(w *counts) { w.flaws[claim.Lost] = 1 }},
		"at the limit": {
			func(p *play) { p.change(recvOf("c", "m2"), func(r *journal.Record) { r.T = at(500) }) },
			func(w *counts) {}},
		"a nanosecond late": {
			func(p *play) { p.change(recvOf("c", "m2"), func(r *journal.Record) { r.T = at(500) + 1 }) },
			func(w *counts) { w.late, w.missed = 1, 1 }},
		"late because it was sent late": {
			func(p *play) {
				p.pubBy("a", "m3", journal.Urgent, 700, 1100, journal.OK)
				p.change(func(r journal.Record) bool { return r.Kind == journal.Pub && r.ID == "m3" }, func(r *journal.Record) { r.T = at(1000) })
				p.recv("b", "m3", 1010)
				p.recv("c", "m3", 1010)
			},
			func(w *counts) { w.messages, w.due, w.late, w.missed = 3, 6, 2, 1 }},
		"late by what the generator's own stall explains": {
			func(p *play) {
				p.change(recvOf("c", "m2"), func(r *journal.Record) { r.T = at(510) })
				p.lags = []Lag{{At: at(1000), Max: 30 * ms}}
			},
			func(w *counts) { w.maybeLate = 1 }},
		"late by more than the stall": {
			func(p *play) {
				p.change(recvOf("c", "m2"), func(r *journal.Record) { r.T = at(540) })
				p.lags = []Lag{{At: at(1000), Max: 30 * ms}}
			},
			func(w *counts) { w.late, w.missed = 1, 1 }},
		"late, with a stall at another time": {
			func(p *play) {
				p.change(recvOf("c", "m2"), func(r *journal.Record) { r.T = at(510) })
				p.lags = []Lag{{At: at(290), Max: 30 * ms}, {At: at(3000), Max: 30 * ms}}
			},
			func(w *counts) { w.late, w.missed = 1, 1 }},
		"late, with a lag below 20 ms": {
			func(p *play) {
				p.change(recvOf("c", "m2"), func(r *journal.Record) { r.T = at(510) })
				p.lags = []Lag{{At: at(1000), Max: 20 * ms}}
			},
			func(w *counts) { w.late, w.missed = 1, 1 }},
		"shown twice": {
			func(p *play) { p.recv("b", "m1", 400) },
			func(w *counts) { w.flaws[claim.Duplicated] = 1 }},
		"shown twice, once by replay": {
			func(p *play) { p.recvOn("b", 2, "m1", 400, true) },
			func(w *counts) { w.flaws[claim.Duplicated] = 1 }},
		"sent twice live on one session": {
			func(p *play) { p.dup("b", 1, "m1", 400, true, false) },
			func(w *counts) { w.flaws[claim.Duplicated] = 1 }},
		"sent twice live on a session that was second": {
			func(p *play) { p.dup("b", 2, "m1", 400, false, false); p.dup("b", 2, "m1", 410, true, false) },
			func(w *counts) { w.flaws[claim.Duplicated] = 1 }},
		"second home": {
			func(p *play) { p.dup("b", 2, "m1", 400, false, false) }, func(w *counts) {}},
		"a replay of what was had": {
			func(p *play) { p.dup("b", 1, "m1", 400, true, true) }, func(w *counts) {}},
		"the seam of a resume: a replay, then the live copy": {
			func(p *play) {
				p.change(recvOf("b", "m1"), func(r *journal.Record) { r.Replayed = true })
				p.dup("b", 1, "m1", 400, true, false)
			},
			func(w *counts) {}},
		"reordered": {
			func(p *play) { p.change(recvOf("b", "m1"), func(r *journal.Record) { r.T = at(330) }) },
			func(w *counts) { w.flaws[claim.Reordered], w.late, w.missed = 1, 1, 1 }},
		"overtaken while both were under way": {
			func(p *play) {
				p.pubBy("a", "m3", journal.Urgent, 600, 700, journal.OK)
				p.pubBy("a", "m4", journal.Urgent, 610, 710, journal.OK)
				p.recv("b", "m4", 650)
				p.recv("b", "m3", 660)
				p.recv("c", "m3", 660)
				p.recv("c", "m4", 670)
			},
			func(w *counts) { w.messages, w.due = 4, 8 }},
		"urgent overtakes normal": {
			func(p *play) {
				p.pubBy("a", "n1", journal.Normal, 50, 60, journal.OK)
				p.recv("b", "n1", 330)
				p.recv("c", "n1", 70)
			},
			func(w *counts) {}},
		"a replay may trail": {
			func(p *play) {
				p.change(recvOf("b", "m1"), func(r *journal.Record) { r.T, r.Replayed = at(330), true })
			},
			func(w *counts) { w.late, w.missed = 1, 1 }},
		"phantom": {
			func(p *play) {
				p.change(func(r journal.Record) bool { return r.Kind == journal.Done && r.ID == "m2" }, func(r *journal.Record) { r.Out = journal.Fail })
			},
			func(w *counts) { w.flaws[claim.Phantom], w.messages, w.due = 2, 1, 2 }},
		"refused and quiet": {
			func(p *play) { p.pub("m3", 600, journal.Fail) }, func(w *counts) {}},
		"unanswered, delivered": {
			func(p *play) { p.pub("m3", 600, journal.Info); p.recv("b", "m3", 610) }, func(w *counts) {}},
		"unanswered, vanished": {
			func(p *play) { p.pub("m3", 600, "") }, func(w *counts) {}},
		"invented": {
			func(p *play) { p.recv("b", "m9", 400) },
			func(w *counts) { w.flaws[claim.Invented] = 1 }},
		"crosstalk": {
			func(p *play) { p.recv("z", "m1", 400) },
			func(w *counts) { w.flaws[claim.Crosstalk] = 1 }},
		"crosstalk to a vendor that never joined": {
			func(p *play) {
				p.add(journal.Record{Kind: journal.Vendor, T: at(-2000), Wedding: "w", Vendor: "d", Homes: 1})
				p.recv("d", "m1", 400)
			},
			func(w *counts) { w.flaws[claim.Crosstalk] = 1 }},
		"echo to the publisher is no flaw of the claim": {
			func(p *play) { p.recv("a", "m1", 130) }, func(w *counts) {}},
		"who arrives later need not have it": {
			func(p *play) {
				p.add(journal.Record{Kind: journal.Vendor, T: at(-2000), Wedding: "w", Vendor: "d", Homes: 1})
				p.session(200, "d", 1, "eu", journal.Joined)
				p.add(journal.Record{Kind: journal.Arrived, T: at(200), Vendor: "d"})
				p.recv("d", "m2", 330)
			},
			func(w *counts) { w.due = 5 }},
		"who leaves at once need not have it": {
			func(p *play) {
				p.without(recvOf("c", "m2"))
				p.add(journal.Record{Kind: journal.Leaving, T: at(400), Vendor: "c"})
			},
			func(w *counts) { w.due = 3 }},
		"who leaves long after must have it": {
			func(p *play) {
				p.without(recvOf("c", "m2"))
				p.add(journal.Record{Kind: journal.Leaving, T: at(700), Vendor: "c"})
			},
			func(w *counts) { w.flaws[claim.Lost], w.lost, w.missed = 1, 1, 1 }},
		"a broken connection ends no intent": {
			func(p *play) { p.without(recvOf("c", "m2")); p.session(250, "c", 1, "us", journal.Closed) },
			func(w *counts) { w.flaws[claim.Lost], w.lost, w.missed = 1, 1, 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay().good()
			tt.bend(p)
			want := soundCounts()
			tt.want(&want)
			j := p.judge(t)
			tally := j.Tally(&claim.Claim{Lane: claim.Urgent, Population: claim.All, Within: SLA})
			got := counts{j.Counted, tally.Messages, tally.Missed, tally.Due, tally.Late, tally.MaybeLate, tally.Lost}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, f := range j.Flaws {
				if f.Why == "" || f.Vendor == nil || f.Message == nil {
					t.Errorf("a flaw that names nothing: %+v", f)
				}
			}
			if tally.OnTime+tally.Late+tally.MaybeLate+tally.Lost != tally.Due {
				t.Errorf("due %d is not the sum of its parts: %+v", tally.Due, tally)
			}
		})
	}
}

func TestUnsure(t *testing.T) {
	p := newPlay().good()
	p.pub("all", 600, journal.Info)
	p.recv("b", "all", 610)
	p.recv("c", "all", 610)
	p.pub("some", 800, journal.Info)
	p.recv("b", "some", 810)
	p.pub("none", 900, "")
	j := p.judge(t)
	if want := (Unsure{Recovered: 1, Partial: 1, Vanished: 1}); j.Unsure != want {
		t.Errorf("got %+v, want %+v", j.Unsure, want)
	}
}

func TestWhereLost(t *testing.T) {
	p := newPlay()
	for i := range 6 {
		id := fmt.Sprintf("m%d", i)
		p.pub(id, 100+100*float64(i), journal.OK)
		p.recv("b", id, 110+100*float64(i))
		if i == 1 || i == 3 {
			p.recv("c", id, 110+100*float64(i))
		}
	}
	prefix, middle, suffix := p.judge(t).WhereLost()
	if prefix != 1 || middle != 1 || suffix != 2 {
		t.Errorf("prefix %d, middle %d, suffix %d; want 1, 1, 2", prefix, middle, suffix)
	}
}

func TestPhases(t *testing.T) {
	p := newPlay()
	for i, sched := range []float64{-100, 0, 1999, 2000, 4500, 7999, 8000} {
		id := fmt.Sprintf("m%d", i)
		p.pub(id, sched, journal.OK)
		p.recv("b", id, sched+10)
		p.recv("c", id, sched+10)
	}
	j := p.judge(t)
	for phase, want := range map[claim.Phase]int{claim.Before: 2, claim.Fault: 1, claim.Recovery: 1, claim.After: 1} {
		c := claim.Claim{Phases: []claim.Phase{phase}}
		if got := j.Tally(&c).Messages; got != want {
			t.Errorf("%s: %d messages, want %d", phase, got, want)
		}
	}
	if got := j.Tally(&claim.Claim{}).Messages; got != 5 {
		t.Errorf("the measured span has %d messages, want 5: warm-up and drain are outside", got)
	}
}

func TestHistoryRefusesNonsense(t *testing.T) {
	for name, bend := range map[string]func(p *play){
		"unknown vendor":    func(p *play) { p.recv("nobody", "m1", 10) },
		"published twice":   func(p *play) { p.pub("m1", 10, "") },
		"answered twice":    func(p *play) { p.add(journal.Record{Kind: journal.Done, T: at(900), ID: "m1", Out: journal.OK}) },
		"declared twice":    func(p *play) { p.add(journal.Record{Kind: journal.Vendor, Vendor: "a", Wedding: "w"}) },
		"foreign publisher": func(p *play) { p.pubBy("z", "m9", journal.Urgent, 10, 20, journal.OK) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay().good()
			bend(p)
			h := NewHistory()
			for _, r := range p.records {
				if err := h.Add(r); err != nil {
					return
				}
			}
			t.Error("accepted")
		})
	}
}

func TestPercentiles(t *testing.T) {
	l := &Latencies{}
	for i := range 1000 {
		l.add(int64(i + 1))
	}
	for p, want := range map[float64]int64{0: 1, 50: 500, 99: 990, 99.9: 999, 99.91: 1000, 100: 1000} {
		if got, ok := l.At(p); !ok || got != want {
			t.Errorf("p%v = %d, %v; want %d", p, got, ok, want)
		}
	}
	l.add(1<<63 - 1)
	l.sort()
	if _, ok := l.At(100); ok {
		t.Error("the largest of a set with a lost message is not a number")
	}
	if got, ok := l.At(99); !ok || got != 991 {
		t.Errorf("p99 = %d, want 991: the lost one counts", got)
	}
	if n := len(l.Finite()); n != 1000 {
		t.Errorf("%d finite values, want 1000", n)
	}
	if _, ok := (&Latencies{}).At(50); ok {
		t.Error("a percentile of nothing")
	}
}

// BenchmarkJudge judges two million deliveries, each with a copy over a second home.
func BenchmarkJudge(b *testing.B) {
	const weddings, vendors, messages = 100, 21, 1000
	build := func() *History {
		h := NewHistory()
		for w := range weddings {
			for v := range vendors {
				id := fmt.Sprintf("w%03d/v%02d", w, v)
				h.Add(journal.Record{Kind: journal.Vendor, Wedding: fmt.Sprint(w), Vendor: id, Homes: 2})
				h.Add(journal.Record{Kind: journal.Session, T: 1, Vendor: id, Session: 1, Region: "eu", State: journal.Joined})
				h.Add(journal.Record{Kind: journal.Arrived, T: 1, Vendor: id})
			}
		}
		for m := range messages {
			for w := range weddings {
				t := int64(m+1) * int64(time.Second)
				id := fmt.Sprintf("w%03d/v%02d/u%d", w, m%vendors, m)
				h.Add(journal.Record{Kind: journal.Pub, T: t, ID: id, Wedding: fmt.Sprint(w), Vendor: fmt.Sprintf("w%03d/v%02d", w, m%vendors), Lane: journal.Urgent, Sched: t})
				h.Add(journal.Record{Kind: journal.Done, T: t + 50*ms, ID: id, Out: journal.OK})
				for v := range vendors {
					if v != m%vendors {
						r := journal.Record{Kind: journal.Recv, T: t + int64(v)*ms, Vendor: fmt.Sprintf("w%03d/v%02d", w, v), Session: 1, ID: id}
						h.Add(r)
						r.Kind, r.Session, r.T = journal.Dup, 2, r.T+ms
						h.Add(r)
					}
				}
			}
		}
		return h
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		h := build()
		b.StartTimer()
		j := Judge(h, &Diary{Phases: []PhaseMark{{Phase: claim.Before}}})
		if n := j.Tally(&claim.Claim{Within: SLA}).Due; n != weddings*messages*(vendors-1) || len(j.Flaws) > 0 {
			b.Fatalf("%d due, %d flaws", n, len(j.Flaws))
		}
	}
	b.ReportMetric(weddings*messages*(vendors-1), "deliveries/op")
}
