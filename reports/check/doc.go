// Package check decides, from the history of a run, whether messages were delivered correctly.
//
// It is a pure function: a History (what the load generator saw) and a Diary (what the drill did to the
// regions) go in, a Judgement comes out. No clock, no file, no network; the same input gives the same
// answer for ever.
//
// # What is compared
//
// A message m with a publisher has an outcome: ok (acknowledged), fail (refused) or info (no answer in
// time; it may or may not be out). Every vendor r of its wedding, except the publisher, stands in one
// of three relations to it:
//
//	must      m is ok, r had arrived when m was sent, and r did not leave within 200 ms of the ok
//	may       m is info, or r was arriving or leaving at that moment
//	must not  m is fail, or r is not of this wedding
//
// A broken connection never ends a vendor's intent to receive; only an explicit leave does. A must pair
// is called due. Its latency is first receive minus scheduled send: a publisher that was itself held up
// is charged, not forgiven. A due message that is never received has an infinite latency, is counted as
// lost, and stays in every denominator: due = received + lost.
//
// Messages of the bulk lane are never due: a copy that does not come was shed, and is counted apart (see
// Bulk). They need not be in order either, since two homes shed different ones, and no log holds them. All
// other flaws are theirs as well.
//
// # Flaws
//
//	lost        due and not received by the end of the drain
//	duplicated  shown twice by the client; or sent twice live on one session by the server
//	            (copies over a second home, and copies marked as replayed, are how resuming works)
//	phantom     refused, and delivered
//	crosstalk   delivered to a vendor of another wedding, or to one that never joined
//	invented    never published in this run
//	reordered   received live after a later message of the same publisher and lane, the later one having
//	            been sent only after the earlier one's ok. (Of two publishes under way at the same time
//	            neither is first; a publisher that fails over sends one again while the next goes out.)
//
// Flaws count wherever they happen, also in warm-up and drain. Latency counts in the measured phases.
//
// # Connected, displaced and stalled
//
// Over the 200 ms after a message is sent, a recipient is displaced if it had no joined session in a
// region free of faults, and a fault took the one it had. Everyone else is connected: a vendor without
// a session for no fault's sake stays in the population, because an unexplained disconnection is no
// excuse. A region is under fault from the intent to inject until the revert is done. Whoever moves to
// another node and has joined there before it leaves is connected all the time (see Moves).
//
// A vendor that has stopped reading its sockets, which the generator makes some do, is stalled until it has
// caught up (see Pause), and neither connected nor displaced. It must have everything in the end.
//
// # The instrument
//
// The generator notes its own worst scheduling lag each second. A late delivery that the lag noted on
// its way could explain is maybe-late: neither a pass nor a failure. Lag that is too common, or sends
// that leave too late, make the run's latencies INVALID, whatever they look like (see Health).
package check
