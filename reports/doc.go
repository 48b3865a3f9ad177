// Package reports turns the raw files of a run into a verdict, and shows how to check it.
//
// A drill leaves a bundle: raw/ (what the load generator saw, what was done to the regions, what every
// node's log held), manifest.json (how the run came about) and drill.yaml (what it was to show). From
// these inputs, and from nothing else, Analyze computes every figure; Write renders them as summary.json,
// report.html, junit.xml and percentile files; UpdateEvidence copies them into EVIDENCE.md; and Verify
// does all of it again and compares every byte. Nothing downstream of the inputs is a source of truth,
// nothing reads a clock, and the same inputs give the same bytes, so whoever doubts a figure can compute
// it.
//
//	raw/history.jsonl.gz ─┐
//	raw/chaos.jsonl ──────┤                                       ┌─▶ summary.json, report.html, junit.xml, *.hgrm
//	raw/log.jsonl.gz ─────┼─▶ check.Judge ─▶ claims ─▶ Summary ───┤
//	raw/latency.hlog ─────┤                  checks               └─▶ EVIDENCE.md
//	raw/nodes.jsonl ──────┤
//	manifest.json ────────┤
//	drill.yaml ───────────┘
//
// # Verdicts
//
// Each claim of the drill (package claim), and each check of the run itself, ends with one of five values:
//
//	PASS          shown, on enough data
//	FAIL          refuted. Of correctness (a message lost, doubled, made up, not held), or of latency
//	INVALID       the run cannot be believed: its history was cut off, its generator was saturated or
//	              crashed, its two bookkeepings disagree, its clock stepped
//	INCONCLUSIVE  the data does not decide: a fault was not proved, a delay may be the generator's own
//	INSUFFICIENT  too little data, or none: no message in a phase, no injection, no claim
//
// The verdict of the run is the worst of all of them, in this order:
//
//	FAIL of correctness > INVALID > FAIL of latency > INCONCLUSIVE > INSUFFICIENT > PASS
//
// So a saturated generator makes lateness meaningless but excuses no lost message, and only PASS opens a
// gate. An exception is a history that was cut off: what it lacks would look lost, so it is INVALID
// whatever it holds.
//
// # Figures
//
// Latency is receive minus scheduled send. A lost message is infinitely late and stays in every
// percentile. Percentiles are values that were measured, by nearest rank; limits are judged by exact
// comparison, inclusive. Bounds on miss rates count messages, not deliveries, because the deliveries of
// one message are not independent of each other. Whether a node's memory grows is judged by the interval of
// a slope that takes account of samples resembling their neighbours (package trend).
//
// What not every run has (watched nodes, bulk, actions, a claim about failover) is added to the files only
// where it is there, so that a bundle from before it existed still has the bytes that it had.
package reports
