package reports

import (
	"slices"
	"strings"
	"testing"

	chaos "github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/audit"
	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// small is a run of one fault that is played in a moment.
func small() *synthetic { return newSynthetic(12, 5, 1, true) }

func (s *synthetic) analyze(t testing.TB) *Summary {
	t.Helper()
	dir := t.TempDir()
	s.write(t, dir)
	sum, err := Analyze(dir)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func (s *synthetic) drop(match func(*journal.Record) bool) {
	s.History = slices.DeleteFunc(s.History, func(r journal.Record) bool { return match(&r) })
}

// each calls bend with every record that matches.
func (s *synthetic) each(match func(*journal.Record) bool, bend func(*journal.Record)) {
	for i := range s.History {
		if match(&s.History[i]) {
			bend(&s.History[i])
		}
	}
}

// connectedUrgent is a live urgent delivery in the phase before the fault.
func (s *synthetic) connectedUrgent() *journal.Record {
	from := synthStart + 7*second
	i := slices.IndexFunc(s.History, func(r journal.Record) bool {
		return r.Kind == journal.Recv && strings.Contains(r.ID, "/u") && r.T > from && !r.Replayed
	})
	return &s.History[i]
}

func isUrgent(r *journal.Record) bool { return strings.Contains(r.ID, "/u") }

// TestVerdicts bends a sound run in one way each, and says which claims and checks must notice, how.
func TestVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		bend    func(s *synthetic)
		verdict claim.Verdict
		claims  map[string]claim.Verdict // those that are not PASS
		checks  map[string]claim.Verdict
		names   string // a message must be named in the reasons; "MESSAGE" stands for connectedUrgent's
	}{
		"sound": {bend: func(s *synthetic) {}, verdict: claim.Pass},
		"flaw a: one urgent delivery lost": {
			bend: func(s *synthetic) {
				r := *s.connectedUrgent()
				s.drop(func(o *journal.Record) bool {
					return o.Vendor == r.Vendor && o.ID == r.ID && (o.Kind == journal.Recv || o.Kind == journal.Dup)
				})
			},
			verdict: claim.Fail, names: "MESSAGE",
			claims: map[string]claim.Verdict{"urgent-connected": claim.Fail, "urgent-dual-homed": claim.Fail, "nothing-wrong": claim.Fail}},
		"flaw b: one urgent delivery late": {
			bend:    func(s *synthetic) { s.connectedUrgent().T += 300 * milli },
			verdict: claim.Fail, names: "MESSAGE",
			claims: map[string]claim.Verdict{"urgent-connected": claim.Fail, "urgent-dual-homed": claim.Fail}},
		"flaw c: sent twice on one session": {
			bend: func(s *synthetic) {
				r := *s.connectedUrgent()
				r.Kind, r.Same, r.T = journal.Dup, true, r.T+milli
				s.History = slices.Insert(s.History, len(s.History)-1, r)
			},
			verdict: claim.Fail, names: "MESSAGE", claims: map[string]claim.Verdict{"nothing-wrong": claim.Fail}},
		"flaw d: acknowledged before holding": {
			bend: func(s *synthetic) {
				id := s.connectedUrgent().ID
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Done && r.ID == id }, func(r *journal.Record) { r.T -= 120 * milli })
			},
			verdict: claim.Fail, names: "MESSAGE", claims: map[string]claim.Verdict{"held-everywhere": claim.Fail}},
		"an acknowledged message is in one region's log only": {
			bend: func(s *synthetic) {
				id := s.connectedUrgent().ID
				s.Log = slices.DeleteFunc(s.Log, func(r audit.Record) bool { return r.ID == id && r.Region != "eu-west" })
			},
			verdict: claim.Fail, names: "MESSAGE", claims: map[string]claim.Verdict{"held-everywhere": claim.Fail}},
		"the region that came back lacks a message": {
			bend: func(s *synthetic) {
				id := s.connectedUrgent().ID
				s.Log = slices.DeleteFunc(s.Log, func(r audit.Record) bool { return r.ID == id && r.Region == synthDead })
			},
			verdict: claim.Fail, names: "MESSAGE", claims: map[string]claim.Verdict{"held-everywhere": claim.Fail}},
		"a second node of the region that came back holds nothing": {
			bend:    func(s *synthetic) { s.Manifest.Nodes = append(s.Manifest.Nodes, Node{synthDead + "-1", synthDead}) },
			verdict: claim.Fail, claims: map[string]claim.Verdict{"held-everywhere": claim.Fail}},
		"a node's log was not read": {
			bend: func(s *synthetic) {
				s.Manifest.Nodes = append(s.Manifest.Nodes, Node{"eu-west-1", "eu-west"})
				s.Unread = "eu-west-1"
			},
			verdict: claim.Inconclusive, claims: map[string]claim.Verdict{"held-everywhere": claim.Inconclusive}},
		"an ok that takes too long": {
			bend: func(s *synthetic) {
				id := s.connectedUrgent().ID
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Done && r.ID == id }, func(r *journal.Record) { r.T += 200 * milli })
			},
			verdict: claim.Fail, names: "MESSAGE", claims: map[string]claim.Verdict{"ok-never-stalls": claim.Fail}},
		"a publish without an answer": {
			bend: func(s *synthetic) {
				id := s.connectedUrgent().ID
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Done && r.ID == id }, func(r *journal.Record) { r.Out, r.Why = journal.Info, "timeout" })
			},
			verdict: claim.Fail, names: "MESSAGE", claims: map[string]claim.Verdict{"ok-never-stalls": claim.Fail}},
		"no urgent message in the fault": {
			bend: func(s *synthetic) {
				ids := map[string]bool{}
				s.each(func(r *journal.Record) bool {
					return r.Kind == journal.Pub && isUrgent(r) && r.Sched >= s.faults[0].from-250*milli && r.Sched < s.faults[0].to+200*milli
				}, func(r *journal.Record) { ids[r.ID] = true })
				s.drop(func(r *journal.Record) bool { return ids[r.ID] })
			},
			verdict: claim.Insufficient,
			claims: map[string]claim.Verdict{"urgent-connected": claim.Insufficient, "urgent-dual-homed": claim.Insufficient, "urgent-displaced": claim.Insufficient,
				"ok-never-stalls": claim.Insufficient, "faults": claim.Insufficient},
			checks: map[string]claim.Verdict{"faults": claim.Insufficient}},
		"a fault that could not be proved": {
			bend: func(s *synthetic) {
				for i := range s.Chaos {
					if s.Chaos[i].Event == chaos.EventProved {
						s.Chaos[i].Event, s.Chaos[i].Err = chaos.EventUnproved, "the process still answers"
					}
				}
			},
			verdict: claim.Inconclusive,
			claims: map[string]claim.Verdict{"urgent-connected": claim.Inconclusive, "urgent-dual-homed": claim.Inconclusive, "urgent-displaced": claim.Inconclusive,
				"nothing-wrong": claim.Inconclusive, "ok-never-stalls": claim.Inconclusive, "held-everywhere": claim.Inconclusive, "faults": claim.Inconclusive},
			checks: map[string]claim.Verdict{"faults": claim.Inconclusive}},
		"a saturated generator": {
			bend: func(s *synthetic) {
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Lag }, func(r *journal.Record) { r.MaxNS = 50 * milli })
			},
			verdict: claim.Invalid,
			claims:  map[string]claim.Verdict{"urgent-connected": claim.Invalid, "urgent-dual-homed": claim.Invalid, "ok-never-stalls": claim.Invalid},
			checks:  map[string]claim.Verdict{"generator": claim.Invalid}},
		"a saturated generator excuses no lost message": {
			bend: func(s *synthetic) {
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Lag }, func(r *journal.Record) { r.MaxNS = 50 * milli })
				r := *s.connectedUrgent()
				s.drop(func(o *journal.Record) bool {
					return o.Vendor == r.Vendor && o.ID == r.ID && (o.Kind == journal.Recv || o.Kind == journal.Dup)
				})
			},
			verdict: claim.Fail, names: "MESSAGE",
			claims: map[string]claim.Verdict{"urgent-connected": claim.Fail, "urgent-dual-homed": claim.Fail, "nothing-wrong": claim.Fail, "ok-never-stalls": claim.Invalid},
			checks: map[string]claim.Verdict{"generator": claim.Invalid}},
		"late while the generator stood still": {
			bend: func(s *synthetic) {
				r := s.connectedUrgent()
				sched := int64(0)
				s.each(func(o *journal.Record) bool { return o.Kind == journal.Pub && o.ID == r.ID }, func(o *journal.Record) { sched = o.Sched })
				r.T = sched + 220*milli
				stalled := false
				s.each(func(o *journal.Record) bool { return o.Kind == journal.Lag && o.T >= sched && !stalled }, func(o *journal.Record) { o.MaxNS, stalled = 30*milli, true })
			},
			verdict: claim.Inconclusive,
			claims:  map[string]claim.Verdict{"urgent-connected": claim.Inconclusive, "urgent-dual-homed": claim.Inconclusive}},
		"the generator crashed": {
			bend:    func(s *synthetic) { s.Manifest.GeneratorExit = 107 },
			verdict: claim.Invalid, checks: map[string]claim.Verdict{"generator": claim.Invalid}},
		"a script's threshold is not ours": {
			bend: func(s *synthetic) { s.Manifest.GeneratorExit = 99 }, verdict: claim.Pass},
		"a history that was cut off": {
			bend:    func(s *synthetic) { s.History = s.History[:len(s.History)-1] },
			verdict: claim.Invalid,
			claims: map[string]claim.Verdict{"urgent-connected": claim.Invalid, "urgent-dual-homed": claim.Invalid, "urgent-displaced": claim.Invalid, "nothing-wrong": claim.Invalid,
				"ok-never-stalls": claim.Invalid, "held-everywhere": claim.Invalid, "faults": claim.Invalid},
			checks: map[string]claim.Verdict{"history": claim.Invalid}},
		"records that could not be written": {
			bend:    func(s *synthetic) { s.History[len(s.History)-1].Dropped = 3 },
			verdict: claim.Invalid,
			claims: map[string]claim.Verdict{"urgent-connected": claim.Invalid, "urgent-dual-homed": claim.Invalid, "urgent-displaced": claim.Invalid, "nothing-wrong": claim.Invalid,
				"ok-never-stalls": claim.Invalid, "held-everywhere": claim.Invalid, "faults": claim.Invalid},
			checks: map[string]claim.Verdict{"history": claim.Invalid}},
		"histograms that count otherwise": {
			bend:    func(s *synthetic) { s.Recorded = 5 },
			verdict: claim.Invalid, checks: map[string]claim.Verdict{"bookkeeping": claim.Invalid}},
		"the wall clock stepped": {
			bend:    func(s *synthetic) { s.History[len(s.History)-1].WallNS += second },
			verdict: claim.Invalid, claims: map[string]claim.Verdict{"held-everywhere": claim.Invalid}},
		"the steady state did not come back": {
			bend: func(s *synthetic) {
				e := s.Chaos[len(s.Chaos)-1]
				s.entry(e.T+1, chaos.Entry{Event: chaos.EventSteady, Err: "not steady within 25s"})
			},
			verdict: claim.Inconclusive, checks: map[string]claim.Verdict{"drill": claim.Inconclusive}},
		"a guard stopped the drill": {
			bend: func(s *synthetic) {
				e := s.Chaos[len(s.Chaos)-1]
				s.entry(e.T+1, chaos.Entry{Event: chaos.EventGuard, Err: "the disk is full"})
			},
			verdict: claim.Inconclusive, checks: map[string]claim.Verdict{"drill": claim.Inconclusive}},
		"a revert that failed": {
			bend:    func(s *synthetic) { s.Manifest.Trouble = []string{"the region could not be started again"} },
			verdict: claim.Inconclusive, checks: map[string]claim.Verdict{"drill": claim.Inconclusive}},
		"a server broken on purpose does not pass": {
			bend:    func(s *synthetic) { s.Manifest.Flaw = "drop-urgent:1000" },
			verdict: claim.Inconclusive, checks: map[string]claim.Verdict{"drill": claim.Inconclusive}},
		"no claims": {
			bend: func(s *synthetic) { s.Claims = " []" }, verdict: claim.Insufficient},
		"too few messages for the claim": {
			bend: func(s *synthetic) {
				s.Claims = "\n  - {id: many, says: many, kind: delivery, lane: urgent, population: connected, within: 200ms, at_least: 100000}"
			},
			verdict: claim.Insufficient, claims: map[string]claim.Verdict{"many": claim.Insufficient}},
		"nobody received anything": {
			bend: func(s *synthetic) {
				s.drop(func(r *journal.Record) bool {
					return r.Kind != journal.Run && r.Kind != journal.Lag && r.Kind != journal.End
				})
				s.Log = nil
			},
			verdict: claim.Insufficient,
			claims: map[string]claim.Verdict{"urgent-connected": claim.Insufficient, "urgent-dual-homed": claim.Insufficient, "urgent-displaced": claim.Insufficient,
				"nothing-wrong": claim.Insufficient, "ok-never-stalls": claim.Insufficient, "held-everywhere": claim.Insufficient, "faults": claim.Insufficient},
			checks: map[string]claim.Verdict{"faults": claim.Insufficient}},
		"a run without phases": {
			bend:    func(s *synthetic) { s.Chaos = nil; s.Claims = "\n  - {id: all, says: all, kind: delivery}" },
			verdict: claim.Insufficient, claims: map[string]claim.Verdict{"all": claim.Insufficient}, checks: map[string]claim.Verdict{"drill": claim.Insufficient}},
	} {
		t.Run(name, func(t *testing.T) {
			s := small()
			message := s.connectedUrgent().ID
			tt.bend(s)
			sum := s.analyze(t)
			var reasons []string
			for _, r := range sum.Claims {
				want := orPass(tt.claims[r.ID])
				if r.Verdict != want {
					t.Errorf("claim %s is %s, want %s: %q", r.ID, r.Verdict, want, r.Why)
				}
				if (r.Verdict == claim.Pass) != (len(r.Why) == 0) {
					t.Errorf("claim %s is %s because of %q", r.ID, r.Verdict, r.Why)
				}
				reasons = append(reasons, r.Why...)
			}
			for _, c := range sum.Checks {
				if want := orPass(tt.checks[c.ID]); tt.checks != nil && c.Verdict != want {
					t.Errorf("check %s is %s, want %s: %q", c.ID, c.Verdict, want, c.Why)
				}
			}
			if sum.Verdict != tt.verdict {
				t.Errorf("the verdict is %s (%s), want %s", sum.Verdict, sum.Says, tt.verdict)
			}
			if tt.names == "MESSAGE" && !strings.Contains(strings.Join(reasons, "\n"), message) {
				t.Errorf("message %s is not named in %q", message, reasons)
			}
			if tt.names == "MESSAGE" && tt.claims["ok-never-stalls"] == "" && !slices.ContainsFunc(sum.Problems, func(p Problem) bool { return p.Message == message }) {
				t.Errorf("message %s is not among the problems %+v", message, sum.Problems)
			}
		})
	}
}

func orPass(v claim.Verdict) claim.Verdict {
	if v == "" {
		return claim.Pass
	}
	return v
}

// TestNoFaultWasInjected: a drill that names an experiment, and in which nothing was broken, shows nothing.
func TestNoFaultWasInjected(t *testing.T) {
	s := newSynthetic(12, 5, 0, true)
	check := func() claim.Verdict {
		sum := s.analyze(t)
		i := slices.IndexFunc(sum.Checks, func(c Check) bool { return c.ID == "faults" })
		return sum.Checks[i].Verdict
	}
	if got := check(); got != claim.Pass {
		t.Errorf("a drill without faults: %s", got)
	}
	s.Claims += "experiment: silence.yaml\n"
	if got := check(); got != claim.Insufficient {
		t.Errorf("a drill whose fault was never injected: %s", got)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	s := small()
	s.drop(func(r *journal.Record) bool { return r.Kind == journal.Recv })
	sum := s.analyze(t)
	if n := sum.Flaws[claim.Lost]; n <= listedAtMost || len(sum.Problems) != listedAtMost {
		t.Errorf("%d lost, %d listed; want all counted and %d listed", n, len(sum.Problems), listedAtMost)
	}
}
