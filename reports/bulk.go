package reports

import (
	"fmt"

	"github.com/wedsync/wedsync/reports/claim"
)

// BulkRow is what became of the bulk lane over the measured span. What was shed is not lost: see package check.
type BulkRow struct {
	Messages  int     `json:"messages"`
	OK        int     `json:"ok"` // taken by a server
	Refused   int     `json:"refused"`
	Unknown   int     `json:"unanswered"`
	Bytes     int64   `json:"bytes"`
	Expected  int     `json:"expected"` // copies of those that were taken
	Delivered int     `json:"delivered"`
	Shed      int     `json:"shed"`
	Share     float64 `json:"shed_share"`
	P50       *int64  `json:"p50_ns"` // of what was delivered
	P99       *int64  `json:"p99_ns"`
	Max       *int64  `json:"max_ns"`
}

func (a *analysis) bulk() *BulkRow {
	t := a.judged.Bulk(&claim.Claim{})
	if t.Messages == 0 {
		return nil
	}
	return &BulkRow{Messages: t.Messages, OK: t.OK, Refused: t.Refused, Unknown: t.Unknown, Bytes: t.Bytes,
		Expected: t.Expected, Delivered: t.Delivered, Shed: t.Shed(), Share: round6(t.Share()),
		P50: at(&t.Latencies, 50), P99: at(&t.Latencies, 99), Max: at(&t.Latencies, 100)}
}

// judgeShed counts the bulk copies that were shed. Shedding is what the lane is for, so without a limit this is a figure
// that holds once there is enough of it.
func (a *analysis) judgeShed(c *claim.Claim, r *Row, b *bench) {
	t := a.judged.Bulk(c)
	r.Unit, r.Source, r.N = "messages", []string{HistoryFile, ChaosFile}, t.OK
	r.Measured = "–"
	if t.Expected > 0 {
		r.Measured = fmt.Sprintf("%s shed: %d of %d copies came (%s)", percent(t.Share()), t.Delivered, t.Expected, measuredLatency(&t.Latencies, t.Latencies.Len(), 0))
	}
	if t.Refused+t.Unknown > 0 {
		r.Measured += fmt.Sprintf("; not taken: %d refused, %d unanswered", t.Refused, t.Unknown)
	}
	if c.AtMost != nil && t.Share() > *c.AtMost {
		b.weigh(claim.Fail, claim.Latency, "%d of %d copies were shed, %s", t.Shed(), t.Expected, percent(t.Share()))
	}
	if err := a.health.Err(); err != nil && c.AtMost != nil {
		b.rule(claim.Invalid, "%v", err)
	}
	a.unprovedFaults(c, b)
	enough(c, t.OK, "bulk messages that a server took", b)
	if t.OK > 0 && t.Expected == 0 {
		b.rule(claim.Insufficient, "nobody was there to receive a bulk message")
	}
	everyPhase(c, t.PerPhase, "bulk message", b)
}
