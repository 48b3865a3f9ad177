package claim

// Verdict is one of the five values a claim, a check of the run, or a whole drill can have. The zero
// value is not a verdict: whoever forgets to judge does not pass.
type Verdict string

// The five verdicts. Only Pass opens a gate.
const (
	Pass         Verdict = "PASS"         // shown, on data
	Fail         Verdict = "FAIL"         // refuted, on data
	Inconclusive Verdict = "INCONCLUSIVE" // there is data, but it does not decide: a fault without proof, a delay the generator may have caused itself
	Insufficient Verdict = "INSUFFICIENT" // too little data, or none; never a pass
	Invalid      Verdict = "INVALID"      // the run cannot be believed: truncated history, saturated generator, stepped clock
)

// Weight says what a FAIL refutes, which decides how it weighs against INVALID.
type Weight int

const (
	// Correctness: a lost, doubled or invented message is real however slow the generator was.
	Correctness Weight = iota
	// Latency: a late message means nothing if the instrument itself was late.
	Latency
)

// Ruling is a verdict with its weight; verdicts of parts compose through it.
type Ruling struct {
	Verdict Verdict
	Weight  Weight
}

// rank orders rulings from the best to the one that dominates all others:
//
//	PASS < INSUFFICIENT < INCONCLUSIVE < FAIL (latency) < INVALID < FAIL (correctness)
//
// An unknown verdict ranks with INVALID: a checker that did not answer did not say yes.
func (r Ruling) rank() int {
	switch r.Verdict {
	case Pass:
		return 0
	case Insufficient:
		return 1
	case Inconclusive:
		return 2
	case Fail:
		if r.Weight == Latency {
			return 3
		}
		return 5
	default:
		return 4
	}
}

// Worst composes the verdicts of the parts into the verdict of the whole. Of nothing at all it says
// INSUFFICIENT.
func Worst(parts ...Ruling) Ruling {
	if len(parts) == 0 {
		return Ruling{Verdict: Insufficient}
	}
	worst := parts[0]
	for _, p := range parts[1:] {
		if p.rank() > worst.rank() {
			worst = p
		}
	}
	if worst.rank() == 4 {
		worst.Verdict = Invalid
	}
	return worst
}

// ExitCode is what a command that ends with this verdict returns to the shell: 0 pass, 1 fail,
// 3 inconclusive or insufficient, 4 invalid. (2 is left for a wrong call.)
func (v Verdict) ExitCode() int {
	switch v {
	case Pass:
		return 0
	case Fail:
		return 1
	case Inconclusive, Insufficient:
		return 3
	default:
		return 4
	}
}
