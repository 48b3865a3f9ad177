package reports

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/nodes"
)

const (
	// highLoad is the share of the most connections of a run from which on its load is high.
	highLoad = 0.9
	// unseen is how long nodes may go without being looked at: they are once a second.
	unseen = 5 * time.Second
)

// judgeScaled follows the number of nodes that were up over the measured span:
//
//	        ┌────┐          at_least, at a moment of high load
//	     ┌──┘    └──┐
//	─────┘          └────   from at the beginning, back at the end
func (a *analysis) judgeScaled(c *claim.Claim, r *Row, b *bench) {
	r.Unit, r.Source = "samples", []string{NodesFile, ChaosFile}
	r.Measured = "–"
	from, to, ok := a.judged.Measured(a.judged.Last())
	counts := nodes.Counts(a.nodesOf(c.Region), from, to)
	r.N = len(counts)
	a.unprovedFaults(c, b)
	if !ok || len(counts) == 0 {
		b.rule(claim.Insufficient, "no node%s was looked at in a measured phase", in(c.Region))
		return
	}
	first, last := counts[0], counts[len(counts)-1]
	most, reached := 0, 0
	for _, n := range counts {
		most = max(most, n.Connections)
	}
	for _, n := range counts {
		if float64(n.Connections) >= highLoad*float64(most) {
			reached = max(reached, n.Up)
		}
	}
	r.Measured = fmt.Sprintf("%d, %d under load (up to %d connections), %d", first.Up, reached, most, last.Up)
	if first.Up != c.From {
		b.weigh(claim.Fail, claim.Latency, "%d nodes%s were up at the beginning, not %d", first.Up, in(c.Region), c.From)
	}
	if most > 0 && reached < c.AtLeast {
		b.weigh(claim.Fail, claim.Latency, "at most %d nodes%s were up while there were %.0f %% of the most connections (%d) or more, not %d", reached, in(c.Region), 100*highLoad, most, c.AtLeast)
	}
	if last.Up != c.Back {
		b.weigh(claim.Fail, claim.Latency, "%d nodes%s were up at the end, not %d", last.Up, in(c.Region), c.Back)
	}
	if most == 0 {
		b.rule(claim.Insufficient, "no node%s had a connection: there was no load", in(c.Region))
	}
	if d := time.Duration(first.Mono - from); d > unseen {
		b.rule(claim.Inconclusive, "the nodes were not looked at in the first %s of the measured span", d.Round(time.Second))
	}
	if d := time.Duration(to - last.Mono); d > unseen {
		b.rule(claim.Inconclusive, "the nodes were not looked at in the last %s of the measured span", d.Round(time.Second))
	}
}

func in(region string) string {
	if region == "" {
		return ""
	}
	return " of " + region
}
