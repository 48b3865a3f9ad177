package reports

import (
	"fmt"

	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
)

// RecoveryRow is how the single-homed vendors that one fault displaced came back, for drills that claim something about
// it. Each leg begins where the one before it ends; Whole is all of them, from the intent to inject.
type RecoveryRow struct {
	Injection uint64  `json:"injection"`
	Displaced int     `json:"displaced"`
	Noticed   int     `json:"noticed"` // the fault outlasted the client's patience
	Rejoined  int     `json:"rejoined"`
	Detect    Figures `json:"detect"`
	Rejoin    Figures `json:"rejoin"`
	CatchUp   Figures `json:"catch_up"`
	Whole     Figures `json:"whole"`
}

// Legs are the figures in their order.
func (r *RecoveryRow) Legs() []Figures { return []Figures{r.Detect, r.Rejoin, r.CatchUp, r.Whole} }

// judgeFailover looks at the single-homed vendors that a fault displaced: whoever noticed must have joined elsewhere and,
// within the limit, counted from the fault, been given what it had missed. One whose fault was over before its client
// gave the session up has not failed over; it is counted beside the others.
func (a *analysis) judgeFailover(c *claim.Claim, r *Row, b *bench) {
	r.Unit, r.Source = "sessions", []string{HistoryFile, ChaosFile}
	noticed, back, late := 0, 0, 0
	var all []check.Recovery
	for _, rec := range a.judged.Recoveries() {
		all = append(all, rec)
		noticed += rec.Detect.Len()
		back += rec.Whole.Len()
		over := 0
		for _, whole := range rec.Whole.Finite() {
			if c.Within > 0 && whole > int64(c.Within) {
				over++
			}
		}
		late += over
		number := rec.Injection.Number
		if n := rec.Detect.Len() - rec.Whole.Len(); n > 0 {
			b.rule(claim.Fail, "injection %d: %d of %d did not come back", number, n, rec.Detect.Len())
		}
		if over > 0 {
			b.weigh(claim.Fail, claim.Latency, "injection %d: %d of %d had caught up later than %s after the fault, the last one after %s",
				number, over, rec.Detect.Len(), claim.Words(c.Within), lat(at(&rec.Whole, 100)))
		}
	}
	r.bound(noticed, noticed-back+late)
	r.Measured = measuredRecovery(all, noticed)
	if err := a.health.Err(); err != nil && c.Within > 0 {
		b.rule(claim.Invalid, "%v", err)
	}
	a.unprovedFaults(c, b)
	enough(c, noticed, "displaced sessions of single-homed vendors", b)
}

// measuredRecovery is what the vendors went through in a few words: the slowest of all faults, leg by leg.
func measuredRecovery(all []check.Recovery, noticed int) string {
	if noticed == 0 {
		return "–"
	}
	slowest := func(of func(*check.Recovery) *check.Latencies) string {
		var most *int64
		for i := range all {
			if v := at(of(&all[i]), 100); v != nil && (most == nil || *v > *most) {
				most = v
			}
		}
		return lat(most)
	}
	return fmt.Sprintf("max %s: detect %s, rejoin %s, catch-up %s", slowest(func(r *check.Recovery) *check.Latencies { return &r.Whole }),
		slowest(func(r *check.Recovery) *check.Latencies { return &r.Detect }), slowest(func(r *check.Recovery) *check.Latencies { return &r.Rejoin }),
		slowest(func(r *check.Recovery) *check.Latencies { return &r.CatchUp }))
}

// recoveries are the rows of a drill that has a claim of kind failover.
func (a *analysis) recoveries() []RecoveryRow {
	if !a.claimed(claim.Failover) {
		return nil
	}
	var rows []RecoveryRow
	for _, rec := range a.judged.Recoveries() {
		rows = append(rows, RecoveryRow{Injection: rec.Injection.Number, Displaced: rec.Displaced, Noticed: rec.Detect.Len(), Rejoined: rec.Rejoin.Len(),
			Detect: figuresOf(&rec.Detect), Rejoin: figuresOf(&rec.Rejoin), CatchUp: figuresOf(&rec.CatchUp), Whole: figuresOf(&rec.Whole)})
	}
	return rows
}

func figuresOf(l *check.Latencies) Figures {
	return Figures{P50: at(l, 50), P99: at(l, 99), Max: at(l, 100)}
}
