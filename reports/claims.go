package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/reports/binomial"
	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
)

// confidence of the bounds on miss rates, one-sided.
const confidence = 0.95

// claims judges the claims of the drill.
func (a *analysis) claims() []Row {
	rows := make([]Row, 0, len(a.drill.Claims))
	for i := range a.drill.Claims {
		c := &a.drill.Claims[i]
		r := Row{Claim: *c, Limit: c.Limit()}
		b := &bench{}
		switch {
		case a.unfinished() != "":
			r.Measured, r.Unit = "–", "messages"
			b.rule(claim.Invalid, "%s", a.unfinished())
		case c.Kind == claim.Delivery:
			a.judgeDelivery(c, &r, b)
		case c.Kind == claim.None:
			a.judgeNone(c, &r, b)
		case c.Kind == claim.OK:
			a.judgeOK(c, &r, b)
		case c.Kind == claim.Held:
			a.judgeHeld(c, &r, b)
		case c.Kind == claim.Faults:
			a.judgeFaults(c, &r, b)
		case c.Kind == claim.Flat:
			a.judgeFlat(c, &r, b)
		case c.Kind == claim.Scaled:
			a.judgeScaled(c, &r, b)
		case c.Kind == claim.Shed:
			a.judgeShed(c, &r, b)
		case c.Kind == claim.Failover:
			a.judgeFailover(c, &r, b)
		}
		r.Verdict, r.weight, r.Why = b.sentence()
		rows = append(rows, r)
	}
	return rows
}

// claimed reports whether the drill has a claim of a kind.
func (a *analysis) claimed(kind claim.Kind) bool {
	return slices.ContainsFunc(a.drill.Claims, func(c claim.Claim) bool { return c.Kind == kind })
}

// unfinished says why nothing of this run can be counted: what is missing from a history would look like
// messages that are missing from the world.
func (a *analysis) unfinished() string {
	switch {
	case a.judged.Truncated:
		return "the history has no end: the generator was killed, and what it did not write is not known"
	case a.judged.Dropped > 0:
		return fmt.Sprintf("the generator could not write %d records of the history", a.judged.Dropped)
	}
	return ""
}

// bench gathers what speaks about one claim.
type bench struct {
	rulings []claim.Ruling
	reasons []string
}

// rule adds a ruling that counts as correctness where it is a FAIL.
func (b *bench) rule(v claim.Verdict, why string, args ...any) {
	b.weigh(v, claim.Correctness, why, args...)
}

func (b *bench) weigh(v claim.Verdict, w claim.Weight, why string, args ...any) {
	b.rulings = append(b.rulings, claim.Ruling{Verdict: v, Weight: w})
	b.reasons = append(b.reasons, fmt.Sprintf(why, args...))
}

// sentence is the worst ruling, with the reasons for it first. Nothing spoken against is a PASS: whoever
// calls it has ruled on missing data before.
func (b *bench) sentence() (claim.Verdict, claim.Weight, []string) {
	if len(b.rulings) == 0 {
		return claim.Pass, claim.Correctness, []string{}
	}
	worst := claim.Worst(b.rulings...)
	var decisive, others []string
	for i, r := range b.rulings {
		if r == worst {
			decisive = append(decisive, b.reasons[i])
		} else {
			others = append(others, b.reasons[i])
		}
	}
	return worst.Verdict, worst.Weight, append(decisive, others...)
}

// bound fills in the bound of the rate behind misses of n.
func (r *Row) bound(n, missed int) {
	r.N, r.Missed = n, missed
	if n > 0 {
		u := round6(binomial.Upper(missed, n, confidence))
		r.Upper95 = &u
	}
}

// round6 keeps six digits: what lies behind them may differ between processors.
func round6(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func (a *analysis) judgeDelivery(c *claim.Claim, r *Row, b *bench) {
	t := a.judged.Tally(c)
	r.Unit, r.Source = "messages", []string{HistoryFile, ChaosFile}
	r.bound(t.Messages, t.Missed)
	r.Measured = measuredLatency(&t.Latencies, t.Due, t.Lost)
	if t.Lost > 0 {
		b.rule(claim.Fail, "%d of %d deliveries lost: %s", t.Lost, t.Due, named(t.Misses, true))
	}
	if c.Within > 0 {
		if err := a.health.Err(); err != nil {
			b.rule(claim.Invalid, "%v", err)
		}
		if t.Late > 0 {
			b.weigh(claim.Fail, claim.Latency, "%d of %d deliveries later than %s: %s", t.Late, t.Due, claim.Words(c.Within), named(t.Misses, false))
		}
		if t.MaybeLate > 0 {
			b.rule(claim.Inconclusive, "%d deliveries were later than %s while the generator itself stood still for long enough to explain it", t.MaybeLate, claim.Words(c.Within))
		}
	}
	a.unprovedFaults(c, b)
	enough(c, t.Messages, "messages", b)
	if c.Population != claim.Displaced { // who is displaced, and when, is the fault's choice
		everyPhase(c, t.PerPhase, "message", b)
	}
}

func (a *analysis) judgeNone(c *claim.Claim, r *Row, b *bench) {
	of := c.Of
	if len(of) == 0 {
		of = claim.Flaws
	}
	r.Unit, r.Source = "messages", []string{HistoryFile, ChaosFile}
	n := 0
	for i := range a.judged.Messages {
		if m := &a.judged.Messages[i]; m.Published && c.About(m.Lane()) {
			n++
		}
	}
	count := map[claim.Flaw]int{}
	first := map[claim.Flaw][]string{}
	flawed := map[string]bool{}
	for i := range a.judged.Flaws {
		p := &a.judged.Flaws[i]
		if !slices.Contains(of, p.Flaw) || !a.concerns(c, p) {
			continue
		}
		flawed[p.Message.ID] = true
		if count[p.Flaw]++; count[p.Flaw] <= namedAtMost {
			first[p.Flaw] = append(first[p.Flaw], fmt.Sprintf("%s at %s %s", p.Message.ID, p.Vendor.ID, p.Why))
		}
	}
	var total int
	var parts []string
	for _, f := range of {
		if count[f] == 0 {
			continue
		}
		total += count[f]
		parts = append(parts, fmt.Sprintf("%d %s", count[f], f))
		b.rule(claim.Fail, "%d %s: %s", count[f], f, list(first[f], count[f]))
	}
	r.Measured = "0"
	if total > 0 {
		r.Measured = strings.Join(parts, ", ")
	}
	r.bound(n, min(len(flawed), n))
	a.unprovedFaults(c, b)
	enough(c, n, "messages", b)
	if a.judged.Copies.Shown == 0 {
		b.rule(claim.Insufficient, "nobody received anything")
	}
}

// concerns reports whether a flaw lies within the lane and population of a claim. An invented message has
// no lane; it concerns every claim.
func (a *analysis) concerns(c *claim.Claim, p *check.Problem) bool {
	if !p.Message.Published {
		return true
	}
	pair := check.Pair{Message: p.Message, Vendor: p.Vendor}
	return c.About(p.Message.Lane()) && pair.In(c.Population)
}

func (a *analysis) judgeOK(c *claim.Claim, r *Row, b *bench) {
	t := a.judged.Answers(c)
	r.Unit, r.Source = "publishes", []string{HistoryFile}
	r.bound(t.Published, len(t.Misses))
	r.Measured = measuredLatency(&t.Latencies, t.Published, 0)
	if t.Published > 0 {
		r.Measured += ", longest stall " + ms(t.Stall.To-t.Stall.From)
	}
	var names []string
	for _, m := range t.Misses[:min(len(t.Misses), namedAtMost)] {
		what := fmt.Sprintf("after %s", ms(m.Done-m.Sched))
		switch m.Outcome {
		case check.Refused:
			what = "refused: " + m.Why
		case check.Unknown:
			what = "never: " + m.Why
		}
		names = append(names, m.ID+" "+strings.TrimSuffix(what, ": "))
	}
	if len(t.Misses) > 0 {
		b.weigh(claim.Fail, claim.Latency, "%d of %d publishes without an ok within %s: %s", len(t.Misses), t.Published, claim.Words(c.Within), list(names, len(t.Misses)))
	}
	if err := a.health.Err(); err != nil {
		b.rule(claim.Invalid, "%v", err)
	}
	if t.MaybeSlow > 0 {
		b.rule(claim.Inconclusive, "%d answers came later than %s while the generator itself stood still for long enough to explain it", t.MaybeSlow, claim.Words(c.Within))
	}
	a.unprovedFaults(c, b)
	enough(c, t.Published, "publishes", b)
	everyPhase(c, t.PerPhase, "publish", b)
}

func (a *analysis) judgeHeld(c *claim.Claim, r *Row, b *bench) {
	h := a.held
	if c.Lane != "" {
		regionOf := map[string]string{}
		for _, n := range a.manifest.Nodes {
			regionOf[n.Name] = n.Region
		}
		h = a.judged.Held(a.store, c.Lane, regionOf)
	}
	r.Unit, r.Source = "messages", []string{LogFile, HistoryFile, ChaosFile}
	r.bound(h.Acknowledged, len(h.Problems))
	r.Measured = fmt.Sprintf("%d of %d in two regions, %d before ok", h.TwoRegions, h.Acknowledged, h.BeforeOK)
	if len(h.Returned) > 0 {
		r.Measured += fmt.Sprintf(", %d on every node of %s", h.Complete, strings.Join(h.Returned, ", "))
	}
	if len(h.Problems) > 0 {
		var names []string
		for _, p := range h.Problems[:min(len(h.Problems), namedAtMost)] {
			names = append(names, p.Message.ID+" "+p.Why)
		}
		b.rule(claim.Fail, "%d of %d acknowledged messages are not held as they must be: %s", len(h.Problems), h.Acknowledged, list(names, len(h.Problems)))
	}
	if h.Stepped != nil {
		b.rule(claim.Invalid, "%v, so the logs' store times cannot be compared with the ok", h.Stepped)
	}
	if len(h.Missing) > 0 {
		b.rule(claim.Inconclusive, "the log of %s was not read", strings.Join(h.Missing, ", "))
	}
	a.unprovedFaults(c, b)
	enough(c, h.Acknowledged, "acknowledged messages", b)
}

func (a *analysis) judgeFaults(c *claim.Claim, r *Row, b *bench) {
	r.Unit, r.Source = "injections", []string{ChaosFile, HistoryFile}
	proved := 0
	for _, i := range a.judged.Injections {
		if i.Held() && i.Over() {
			proved++
		}
	}
	n := len(a.judged.Injections)
	r.Measured = fmt.Sprintf("%d of %d proved and proved gone", proved, n)
	r.N, r.Missed = n, n-proved
	a.unprovedFaults(c, b)
	for _, row := range a.injections() {
		if row.Urgent == 0 {
			b.rule(claim.Insufficient, "no urgent message was sent during injection %d", row.Number)
		}
	}
	enough(c, n, "injections", b)
}

// unprovedFaults rules on faults that may not have happened: what holds during them shows nothing.
func (a *analysis) unprovedFaults(c *claim.Claim, b *bench) {
	if len(c.Phases) > 0 && !c.In(claim.Fault) && !c.In(claim.Recovery) {
		return
	}
	for i := range a.judged.Injections {
		if t := trouble(&a.judged.Injections[i]); t != "" {
			b.rule(claim.Inconclusive, "injection %d %s", a.judged.Injections[i].Number, t)
		}
	}
}

// trouble says what is wrong with an injection, if anything.
func trouble(i *check.Injection) string {
	switch {
	case i.RevertFailed != "":
		return "could not be reverted: " + i.RevertFailed
	case i.Injected == 0:
		return "was announced and never done"
	case i.Unproved != "":
		return "was not proved: " + i.Unproved
	case i.Proved == 0:
		return "was not proved"
	case i.Reverted == 0:
		return "was not reverted"
	case i.NotGone != "":
		return "was not proved to be gone: " + i.NotGone
	case i.Gone == 0:
		return "was not proved to be gone"
	}
	return ""
}

func enough(c *claim.Claim, n int, unit string, b *bench) {
	if n < c.AtLeast {
		b.rule(claim.Insufficient, "%d %s, the claim needs at least %d", n, unit, c.AtLeast)
	}
}

// everyPhase rules on phases that the claim names and that saw nothing: a claim over four phases is four
// claims, and a silent phase may not hide behind the others.
func everyPhase(c *claim.Claim, seen map[claim.Phase]int, what string, b *bench) {
	for _, p := range c.Phases {
		if seen[p] == 0 {
			b.rule(claim.Insufficient, "no %s in phase %s", what, p)
		}
	}
}
