package reports

import (
	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
)

// since converts an instant to the report's time axis.
func (a *analysis) since(t int64) int64 { return t - a.zero }

// instant is since, or nil for an instant that did not come.
func (a *analysis) instant(t int64) *int64 {
	if t == 0 {
		return nil
	}
	v := a.since(t)
	return &v
}

// at is a percentile, or nil where there is none.
func at(l *check.Latencies, p float64) *int64 {
	v, ok := l.At(p)
	if !ok {
		return nil
	}
	return &v
}

// curves are the latency distributions of the measured span.
func curves(j *check.Judgement) []Curve {
	all := []Curve{}
	for _, lane := range []string{claim.Urgent, claim.Normal} {
		for _, population := range []claim.Population{claim.All, claim.Connected, claim.Displaced, claim.DualHomed, claim.SingleHomed, claim.Stalled} {
			t := j.Tally(&claim.Claim{Lane: lane, Population: population, Within: check.SLA})
			if t.Due == 0 {
				continue
			}
			all = append(all, Curve{
				Lane: lane, Population: population, Messages: t.Messages, Due: t.Due, Lost: t.Lost, Over200: t.Late + t.MaybeLate,
				P50: at(&t.Latencies, 50), P90: at(&t.Latencies, 90), P99: at(&t.Latencies, 99), P999: at(&t.Latencies, 99.9),
				Max: at(&t.Latencies, 100), ServiceP99: at(&t.Service, 99), latencies: &t.Latencies,
			})
		}
	}
	return all
}

// phases are the urgent deliveries of each phase of each cycle, in the order of time.
func (a *analysis) phases() []PhaseRow {
	marks := a.judged.Phases
	rows := []PhaseRow{}
	for i, mark := range marks {
		if !mark.Phase.Measured() {
			continue
		}
		end := a.judged.Last()
		if i+1 < len(marks) {
			end = marks[i+1].At
		}
		w := a.judged.Window(claim.Urgent, mark.At, end)
		rows = append(rows, PhaseRow{
			Phase: mark.Phase, Cycle: mark.Cycle, StartNS: a.since(mark.At), EndNS: a.since(end),
			Messages: w.Messages, Due: w.Due, Displaced: w.Displaced, Stalled: w.Stalled, Over200: w.Over, Lost: w.Lost,
			P50: at(&w.Connected, 50), P99: at(&w.Connected, 99), Max: at(&w.Connected, 100), OKMax: at(&w.OK, 100),
		})
	}
	return rows
}

func (a *analysis) delivery() Delivery {
	j := a.judged
	d := Delivery{
		Recovered: j.Unsure.Recovered, Partial: j.Unsure.Partial, Vanished: j.Unsure.Vanished,
		Shown: j.Copies.Shown, ByReplay: j.Copies.Replayed, ShownTwice: j.Copies.ShownDup, Withheld: j.Copies.Withheld,
		SecondWay: j.Copies.SecondWay, SentTwice: j.Copies.Twice, Echoed: j.Copies.Echoed, Overtaken: j.Copies.Overtaken,
	}
	for i := range j.Messages {
		m := &j.Messages[i]
		if !m.Published || m.Bulk {
			continue
		}
		d.Published++
		switch m.Outcome {
		case check.Acknowledged:
			d.Acknowledged++
		case check.Refused:
			d.Refused++
		default:
			d.Unanswered++
		}
	}
	j.Due(func(p *check.Pair) {
		d.Due++
		if p.Received == 0 {
			d.Lost++
		} else {
			d.Received++
		}
		if p.Offline() && !p.Displaced() {
			d.Unexplained++
		}
	})
	d.LostPrefix, d.LostMiddle, d.LostSuffix = j.WhereLost()
	return d
}

func (a *analysis) answers() []AnswerRow {
	rows := []AnswerRow{}
	for _, lane := range []string{claim.Urgent, claim.Normal} {
		t := a.judged.Answers(&claim.Claim{Lane: lane})
		if t.Published == 0 {
			continue
		}
		rows = append(rows, AnswerRow{
			Lane: lane, Published: t.Published, OK: t.OK, Refused: t.Refused, Unknown: t.Unknown,
			P50: at(&t.Latencies, 50), P99: at(&t.Latencies, 99), Max: at(&t.Latencies, 100), StallNS: t.Stall.To - t.Stall.From,
		})
	}
	return rows
}

func (a *analysis) holding() Holding {
	h := a.held
	v := Holding{
		Acknowledged: h.Acknowledged, TwoRegions: h.TwoRegions, BeforeOK: h.BeforeOK,
		Returned: list0(h.Returned), Complete: h.Complete, Nodes: list0(h.Nodes), Missing: list0(h.Missing),
	}
	if margins := h.Margin.Finite(); len(margins) > 0 {
		v.MarginMin = &margins[0]
	}
	return v
}

// list0 makes an absent list an empty one: in JSON, null is no list.
func list0(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// failovers sums up the displaced sessions by injection and kind of vendor.
func (a *analysis) failovers() []FailoverRow {
	rows := []FailoverRow{}
	all := a.judged.Failovers()
	for i := range a.judged.Injections {
		inj := &a.judged.Injections[i]
		for _, population := range []claim.Population{claim.DualHomed, claim.SingleHomed} {
			var some []check.Failover
			for _, f := range all {
				if f.Injection == inj && f.Vendor.DualHomed() == (population == claim.DualHomed) {
					some = append(some, f)
				}
			}
			if len(some) > 0 {
				rows = append(rows, failoverRow(inj, population, some))
			}
		}
	}
	return rows
}

func failoverRow(inj *check.Injection, population claim.Population, some []check.Failover) FailoverRow {
	r := FailoverRow{Injection: inj.Number, Cycle: inj.Cycle, Population: string(population), Sessions: len(some)}
	for _, f := range some {
		if f.Detect >= 0 {
			r.Noticed++
		}
		if f.Rejoin >= 0 {
			r.Rejoined++
		}
		r.Replayed += f.Replayed
	}
	figures := func(of func(*check.Failover) int64) Figures {
		return figuresOf(check.Summarize(some, of))
	}
	r.Detect = figures(func(f *check.Failover) int64 { return f.Detect })
	r.Rejoin = figures(func(f *check.Failover) int64 { return f.Rejoin })
	r.CatchUp = figures(func(f *check.Failover) int64 { return f.CatchUp })
	r.Gap = figures(func(f *check.Failover) int64 { return f.Gap })
	return r
}

func (a *analysis) injections() []InjectionRow {
	rows := []InjectionRow{}
	for i := range a.judged.Injections {
		inj := &a.judged.Injections[i]
		rows = append(rows, InjectionRow{
			Number: inj.Number, Cycle: inj.Cycle, What: what(inj),
			Targets: list0(inj.Targets), Regions: list0(inj.Regions),
			Intent: a.instant(inj.Intent), Injected: a.instant(inj.Injected), Proved: a.instant(inj.Proved),
			Reverting: a.instant(inj.Reverting), Reverted: a.instant(inj.Reverted), Gone: a.instant(inj.Gone),
			Urgent: a.judged.SentDuring(inj), Trouble: trouble(inj),
			ActionProof: a.actions[inj.Number],
		})
	}
	return rows
}

func what(inj *check.Injection) string {
	if inj.Kind == actionKind {
		return "action " + inj.Name
	}
	return inj.Kind + " " + inj.Name + " (" + inj.Action + ")"
}

func (a *analysis) generator() Generator {
	h := a.health
	expected, _ := a.judged.FirstReceives()
	return Generator{
		Sends: h.Sends.Len(), SendP50: at(&h.Sends, 50), SendP99: at(&h.Sends, 99), SendMax: at(&h.Sends, 100),
		Seconds: h.Seconds, Stalled: h.Stalled, WorstNS: h.Worst, Share: round6(h.Share()), Exit: a.manifest.GeneratorExit,
		Histograms: a.recorded.total, Expected: expected,
	}
}

// listedAtMost bounds the problems of each class that summary.json lists; all of them are counted.
const listedAtMost = 32

// problems lists the first flaws of each class, and the first late deliveries to connected recipients.
func (a *analysis) problems() []Problem {
	listed := []Problem{}
	add := func(flaw claim.Flaw, message, vendor string, t int64, why string) {
		phase, _ := a.judged.PhaseAt(t)
		listed = append(listed, Problem{Flaw: flaw, Message: message, Vendor: vendor, Phase: phase, AtNS: a.since(t), Why: why})
	}
	n := map[claim.Flaw]int{}
	for _, f := range claim.Flaws {
		for i := range a.judged.Flaws {
			p := &a.judged.Flaws[i]
			if p.Flaw != f {
				continue
			}
			if n[f]++; n[f] <= listedAtMost {
				add(f, p.Message.ID, p.Vendor.ID, p.At, p.Why)
			}
		}
	}
	late := a.judged.Tally(&claim.Claim{Lane: claim.Urgent, Population: claim.Connected, Within: check.SLA})
	listedLate := 0
	for i := range late.Misses {
		p := &late.Misses[i]
		if p.Received == 0 {
			continue
		}
		if listedLate++; listedLate <= listedAtMost {
			add("late", p.Message.ID, p.Vendor.ID, p.Message.Sched, "received after "+ms(p.Latency()))
		}
	}
	for i, p := range a.held.Problems {
		if i < listedAtMost {
			add("not-held", p.Message.ID, "", p.Message.Sched, p.Why)
		}
	}
	return listed
}

func (a *analysis) fleet() Fleet {
	f := Fleet{Weddings: a.judged.Weddings(), Vendors: len(a.judged.Vendors)}
	for i := range a.judged.Vendors {
		v := &a.judged.Vendors[i]
		f.Sessions += len(v.Sessions)
		if v.DualHomed() {
			f.DualHomed++
		} else {
			f.SingleHomed++
		}
	}
	return f
}
