package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/reports/binomial"
	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
)

// checks asks of the run itself whether there is anything to judge and whether it can be believed. They
// weigh on the verdict like claims.
func (a *analysis) checks() []Check {
	var all []Check
	add := func(id, says string, rule func(b *bench)) {
		b := &bench{}
		rule(b)
		v, _, why := b.sentence()
		all = append(all, Check{ID: id, Says: says, Verdict: v, Why: why})
	}
	add("history", "the history of the run is complete", func(b *bench) {
		if why := a.unfinished(); why != "" {
			b.rule(claim.Invalid, "%s", why)
		}
	})
	add("generator", fmt.Sprintf("the generator kept its schedule: 99 %% of sends within %s, standing still for over %s in at most %.0f %% of the seconds",
		claim.Words(check.SendLagLimit), claim.Words(check.StallLimit), 100*check.StalledShare), func(b *bench) {
		if err := a.health.Err(); err != nil {
			b.rule(claim.Invalid, "%v", err)
		}
		if exit := a.manifest.GeneratorExit; exit != 0 && exit != thresholdsCrossed {
			b.rule(claim.Invalid, "the generator ended with code %d", exit)
		}
	})
	add("bookkeeping", "the generator's histograms count as many deliveries as its history", a.checkRecorded)
	add("faults", "every fault was proved, reverted, and proved gone, with urgent messages under way", func(b *bench) {
		a.unprovedFaults(&claim.Claim{}, b)
		for _, row := range a.injections() {
			if row.Urgent == 0 {
				b.rule(claim.Insufficient, "no urgent message was sent during injection %d", row.Number)
			}
		}
		if len(a.judged.Injections) == 0 && a.drill.Faults {
			b.rule(claim.Insufficient, "the drill has faults, and none of them was injected")
		}
	})
	add("drill", "the drill went as planned", a.checkDrill)
	return all
}

// thresholdsCrossed is k6's exit code for a script whose thresholds did not hold: the run itself is sound.
const thresholdsCrossed = 99

func (a *analysis) checkRecorded(b *bench) {
	if a.unfinished() != "" {
		return // said already, and the counts are bound to differ
	}
	expected, unsure := a.judged.FirstReceives()
	if a.recorded.total != a.recorded.tagged {
		b.rule(claim.Invalid, "%s: the series count %d deliveries, the totals %d", LatencyFile, a.recorded.tagged, a.recorded.total)
	}
	if d := a.recorded.total - expected; d > unsure || -d > unsure {
		b.rule(claim.Invalid, "%s counts %d deliveries, %s %d", LatencyFile, a.recorded.total, HistoryFile, expected)
	}
}

func (a *analysis) checkDrill(b *bench) {
	if !a.anyMeasured() {
		b.rule(claim.Insufficient, "the run had no measured phase")
	}
	for _, t := range a.manifest.Trouble {
		b.rule(claim.Inconclusive, "%s", t)
	}
	for _, n := range a.judged.Notes {
		if slices.ContainsFunc(a.manifest.Trouble, func(t string) bool { return strings.Contains(t, n.Text) }) {
			continue // said already
		}
		switch n.Event {
		case "guard":
			b.rule(claim.Inconclusive, "a guard stopped the drill: %s", n.Text)
		case "steady":
			b.rule(claim.Inconclusive, "the steady state did not come back: %s", n.Text)
		}
	}
	if a.manifest.Flaw != "" {
		b.rule(claim.Inconclusive, "the server was broken on purpose (%s), so nothing here speaks for it", a.manifest.Flaw)
	}
	if m := a.manifest; m.Start.MonoNS == 0 || m.End.MonoNS < m.Start.MonoNS {
		b.rule(claim.Invalid, "the manifest does not say when the run began and ended")
	}
}

func (a *analysis) anyMeasured() bool { return len(a.judged.Entered()) > 0 }

// notShown is what a reader must not conclude from this run, whatever its verdict.
func (s *Summary) notShown() []string {
	m := s.manifest
	shows := []string{}
	n := 0
	for _, i := range s.Injections {
		if i.Trouble == "" {
			n++
		}
	}
	if n > 0 {
		shows = append(shows, fmt.Sprintf("What the next fault does. Faults that were proved: %d. These are %d trials, however many messages they saw; if none of them "+
			"did harm, one can be %.0f %% confident that the next one does none with a probability of at least %.0f %%.", n, n, 100*confidence, 100*(1-binomial.Upper(0, n, confidence))))
	} else {
		shows = append(shows, "Behaviour under faults: none was proved.")
	}
	shows = append(shows, "Loss of power. A killed process leaves the operating system's cache behind, so this says nothing about disks.")
	if m.Network.Kind == "proxy" {
		shows = append(shows, "Packet loss and TCP's own recovery: the regions were connected by user-space proxies, not by a packet network.")
	}
	shows = append(shows, fmt.Sprintf("Several machines. All regions, the network between them and the generator shared %s with %d cores.", orUnknown(m.Machine.CPU), m.Machine.Cores))
	if s.Delivery.Unanswered > 0 {
		shows = append(shows, fmt.Sprintf("What %d unanswered publishes should have led to: nobody was promised anything about them.", s.Delivery.Unanswered))
	}
	if m.Source.Commit == "" {
		shows = append(shows, "Which code ran: the commit is not known.")
	} else if m.Source.Dirty {
		shows = append(shows, "A released version: the working tree had changes that no commit holds.")
	}
	if len(m.Notes) > 0 {
		shows = append(shows, "Noted by the drill: "+strings.Join(m.Notes, "; ")+".")
	}
	return shows
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown processor"
	}
	return s
}
