package reports

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	chaos "github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/nodes"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// moreClaims are one of each kind that is about nodes, bulk and failover.
const moreClaims = `
  - {id: memory-flat, kind: flat, metric: rss, at_most: 0.1, phases: [after], says: "no node's memory grows"}
  - {id: goroutines-flat, kind: flat, metric: goroutines, at_most: 0.05, phases: [after], says: no node keeps goroutines}
  - {id: scaled, kind: scaled, from: 3, at_least: 5, back: 3, says: nodes come with the load and go with it}
  - {id: bulk, kind: shed, at_most: 0.1, at_least: 50, says: at most a tenth of the photos is shed}
  - {id: failover, kind: failover, within: 2s, at_least: 2, says: a vendor with one home is back and has what it missed within 2 s}
`

// quiet is how long a busy run goes on after its fault.
const quiet = 11 * time.Minute

// busy is a run of one fault and a quiet time after it, in which everything that moreClaims ask for happens.
func busy() *synthetic {
	s := newSynthetic(12, 5, 1, true)
	s.Claims = moreClaims
	s.linger(quiet)
	s.watch()
	s.scale("eu-west", s.faults[0].to+20*second, s.faults[0].to+300*second, 2)
	s.photos(10, 0.05)
	// The nodes that were added live too briefly for a claim about growth.
	s.eachSample("eu-west-7", 0, func(n *nodes.Sample) { n.RSS, n.Goroutines = 0, 0 })
	s.eachSample("eu-west-8", 0, func(n *nodes.Sample) { n.RSS, n.Goroutines = 0, 0 })
	return s
}

// eventful is a busy run with everything else that can stand on the page.
func eventful() *synthetic {
	s := busy()
	s.Claims = synthClaims + moreClaims
	s.stop(synthStart+8*second, synthStart+11*second)
	s.act("upgrade-"+synthDead, "upgrade", synthDead+"-0 replaced: SIGTERM, start, ready")
	s.move(5)
	return s
}

// unproved takes the proof of the faults away.
func (s *synthetic) unproved() {
	for i := range s.Chaos {
		if s.Chaos[i].Event == chaos.EventProved {
			s.Chaos[i].Event, s.Chaos[i].Err = chaos.EventUnproved, "the process still answers"
		}
	}
}

// grow lets a figure of a node grow evenly by a share while it is quiet.
func (s *synthetic) grow(share float64) func(*nodes.Sample) {
	from := s.end() - int64(quiet)
	return func(n *nodes.Sample) {
		if n.Mono > from {
			n.RSS += int64(share * float64(n.RSS) * float64(n.Mono-from) / float64(quiet))
		}
	}
}

// TestNodeVerdicts bends a busy run in one way each, and says which claims must notice, how.
func TestNodeVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		bend   func(s *synthetic)
		claims map[string]claim.Verdict // those that are not PASS
		why    string                   // stands in a reason
	}{
		"sound": {bend: func(s *synthetic) {}},
		"one node's memory grows": {
			bend:   func(s *synthetic) { s.eachSample("us-east-0", 0, s.grow(0.4)) },
			claims: map[string]claim.Verdict{"memory-flat": claim.Fail}, why: "us-east-0, pid 4001 grew by +"},
		"memory that wanders": {
			bend: func(s *synthetic) {
				random, x := rand.New(rand.NewPCG(1, 2)), 0.0
				s.eachSample("us-east-0", 0, func(n *nodes.Sample) {
					x = 0.99*x + random.NormFloat64()*mib
					n.RSS += int64(x)
				})
			},
			claims: map[string]claim.Verdict{"memory-flat": claim.Inconclusive}, why: "us-east-0, pid 4001 may have grown by more than 10 %"},
		"a node that was restarted in between": {
			bend: func(s *synthetic) {
				s.eachSample("us-east-0", s.end()-int64(6*time.Minute), func(n *nodes.Sample) { n.PID = 99 })
			},
			claims: map[string]claim.Verdict{"memory-flat": claim.Insufficient, "goroutines-flat": claim.Insufficient}, why: "us-east-0, pid 99 was seen for 1"},
		"growth outweighs a restart": {
			bend: func(s *synthetic) {
				s.eachSample("us-east-0", s.end()-int64(6*time.Minute), func(n *nodes.Sample) { n.PID = 99 })
				s.eachSample("eu-west-0", 0, s.grow(0.4))
			},
			claims: map[string]claim.Verdict{"memory-flat": claim.Fail, "goroutines-flat": claim.Insufficient}},
		"goroutines could not be read": {
			bend:   func(s *synthetic) { s.eachSample("", 0, func(n *nodes.Sample) { n.Goroutines = 0 }) },
			claims: map[string]claim.Verdict{"goroutines-flat": claim.Insufficient, "scaled": claim.Insufficient}, why: "no goroutines of any node was read"},
		"nobody looked at the nodes": {
			bend:   func(s *synthetic) { s.Nodes = nil },
			claims: map[string]claim.Verdict{"memory-flat": claim.Insufficient, "goroutines-flat": claim.Insufficient, "scaled": claim.Insufficient}, why: "no node was looked at in a measured phase"},
		"too few nodes at the beginning": {
			bend: func(s *synthetic) {
				s.eachSample("us-east-0", 0, func(n *nodes.Sample) { n.Up = n.Up && n.Mono > synthStart+10*second })
			},
			claims: map[string]claim.Verdict{"scaled": claim.Fail}, why: "2 nodes were up at the beginning, not 3"},
		"one node too few under load": {
			bend:   func(s *synthetic) { s.eachSample("eu-west-8", 0, func(n *nodes.Sample) { n.Up = false }) },
			claims: map[string]claim.Verdict{"scaled": claim.Fail}, why: "at most 4 nodes were up while there were 90 % of the most connections"},
		"nodes that came when the load had gone": {
			bend: func(s *synthetic) {
				s.eachSample("", 0, func(n *nodes.Sample) {
					if n.Mono > s.faults[0].to+18*second && n.Mono < s.faults[0].to+310*second {
						n.Connections /= 4
					}
				})
			},
			claims: map[string]claim.Verdict{"scaled": claim.Fail}, why: "at most 3 nodes were up while"},
		"nodes that stay": {
			bend: func(s *synthetic) {
				s.eachSample("eu-west-8", s.faults[0].to+100*second, func(n *nodes.Sample) { n.Up, n.PID = true, 6001 })
			},
			claims: map[string]claim.Verdict{"scaled": claim.Fail}, why: "4 nodes were up at the end, not 3"},
		"nobody connects": {
			bend:   func(s *synthetic) { s.eachSample("", 0, func(n *nodes.Sample) { n.Connections = 0 }) },
			claims: map[string]claim.Verdict{"scaled": claim.Insufficient}, why: "there was no load"},
		"the drill stops looking": {
			bend: func(s *synthetic) {
				s.Nodes = slices.DeleteFunc(s.Nodes, func(n nodes.Sample) bool { return n.Mono > s.end()-int64(time.Minute) })
			},
			claims: map[string]claim.Verdict{"scaled": claim.Inconclusive}, why: "were not looked at in the last"},
		"the drill begins to look late": {
			bend: func(s *synthetic) {
				s.Nodes = slices.DeleteFunc(s.Nodes, func(n nodes.Sample) bool { return n.Mono < synthStart+15*second })
			},
			claims: map[string]claim.Verdict{"scaled": claim.Inconclusive}, why: "were not looked at in the first"},
		"too much is shed": {
			bend: func(s *synthetic) {
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Bulk && r.Sched%2 == 0 }, func(r *journal.Record) {
					for i := range r.Got[:3] {
						r.Got[i] = -1
					}
				})
			},
			claims: map[string]claim.Verdict{"bulk": claim.Fail}, why: "copies were shed"},
		"no photo is sent": {
			bend:   func(s *synthetic) { s.drop(func(r *journal.Record) bool { return r.Kind == journal.Bulk }) },
			claims: map[string]claim.Verdict{"bulk": claim.Insufficient}, why: "0 bulk messages that a server took, the claim needs at least 50"},
		"no photo is taken": {
			bend: func(s *synthetic) {
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Bulk }, func(r *journal.Record) {
					r.Out, r.Why = journal.Fail, "too fast"
					for i := range r.Got {
						r.Got[i] = -1
					}
				})
			},
			claims: map[string]claim.Verdict{"bulk": claim.Insufficient}, why: "0 bulk messages"},
		"the only vendor of a wedding": {
			bend: func(s *synthetic) { // nobody has arrived when the photos are sent
				s.drop(func(r *journal.Record) bool {
					return r.Kind == journal.Recv || r.Kind == journal.Dup || r.Kind == journal.Pub || r.Kind == journal.Done
				})
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Bulk }, func(r *journal.Record) {
					for i := range r.Got {
						r.Got[i] = -1
					}
				})
				s.drop(func(r *journal.Record) bool { return r.Kind == journal.Arrived })
				s.Log = nil
			},
			claims: map[string]claim.Verdict{"bulk": claim.Insufficient, "failover": claim.Insufficient}, why: "nobody was there to receive"},
		"a generator that is late itself": {
			bend: func(s *synthetic) {
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Lag }, func(r *journal.Record) { r.MaxNS = 50 * milli })
			},
			claims: map[string]claim.Verdict{"bulk": claim.Invalid, "failover": claim.Invalid}, why: "saturated"},
		"a fault that could not be proved": {
			bend:   func(s *synthetic) { s.unproved() },
			claims: map[string]claim.Verdict{"scaled": claim.Inconclusive, "bulk": claim.Inconclusive, "failover": claim.Inconclusive}},
		"a vendor that does not come back": {
			bend: func(s *synthetic) {
				v := s.displacedVendor()
				s.drop(func(r *journal.Record) bool {
					return r.Kind == journal.Session && r.Vendor == v && r.State == journal.Joined && r.T > s.faults[0].from
				})
			},
			claims: map[string]claim.Verdict{"failover": claim.Fail}, why: "did not come back"},
		"a vendor that comes back late": {
			bend: func(s *synthetic) {
				v := s.displacedVendor()
				s.each(func(r *journal.Record) bool {
					return r.Kind == journal.Session && r.Vendor == v && r.Region != synthDead && r.T > s.faults[0].from
				}, func(r *journal.Record) { r.T = max(r.T, s.faults[0].from+2500*milli) })
			},
			claims: map[string]claim.Verdict{"failover": claim.Fail}, why: "later than 2 s after the fault, the last one after 25"},
		"nobody is displaced": {
			bend: func(s *synthetic) {
				s.each(func(r *journal.Record) bool { return r.Kind == journal.Vendor }, func(r *journal.Record) { r.Homes = 2 })
			},
			claims: map[string]claim.Verdict{"failover": claim.Insufficient}, why: "0 displaced sessions of single-homed vendors"},
		"a run without phases": {
			bend:   func(s *synthetic) { s.Chaos = nil },
			claims: map[string]claim.Verdict{"memory-flat": claim.Insufficient, "goroutines-flat": claim.Insufficient, "scaled": claim.Insufficient, "bulk": claim.Insufficient, "failover": claim.Insufficient}},
		"nodes of another region": {
			bend: func(s *synthetic) {
				s.Claims = strings.Replace(s.Claims, "kind: scaled, from: 3, at_least: 5, back: 3", "kind: scaled, region: us-east, from: 1, at_least: 2, back: 1", 1)
			},
			claims: map[string]claim.Verdict{"scaled": claim.Fail}, why: "at most 1 nodes of us-east were up"},
		"nodes of one region": {
			bend: func(s *synthetic) {
				s.Claims = strings.Replace(s.Claims, "kind: scaled, from: 3, at_least: 5, back: 3", "kind: scaled, region: eu-west, from: 1, at_least: 3, back: 1", 1)
			}},
		"a history that was cut off": {
			bend:   func(s *synthetic) { s.History = s.History[:len(s.History)-1] },
			claims: map[string]claim.Verdict{"memory-flat": claim.Invalid, "goroutines-flat": claim.Invalid, "scaled": claim.Invalid, "bulk": claim.Invalid, "failover": claim.Invalid}},
	} {
		t.Run(name, func(t *testing.T) {
			s := busy()
			tt.bend(s)
			sum := s.analyze(t)
			var reasons []string
			for _, r := range sum.Claims {
				if want := orPass(tt.claims[r.Claim.ID]); r.Verdict != want {
					t.Errorf("claim %s is %s, want %s: %q (measured %s)", r.Claim.ID, r.Verdict, want, r.Why, r.Measured)
				}
				if (r.Verdict == claim.Pass) != (len(r.Why) == 0) {
					t.Errorf("claim %s is %s because of %q", r.Claim.ID, r.Verdict, r.Why)
				}
				reasons = append(reasons, r.Why...)
			}
			if !strings.Contains(strings.Join(reasons, "\n"), tt.why) {
				t.Errorf("%q is not in %q", tt.why, reasons)
			}
		})
	}
}

// displacedVendor has its one home in the region that dies.
func (s *synthetic) displacedVendor() string {
	single := map[string]bool{}
	for _, r := range s.History {
		if r.Kind == journal.Vendor && r.Homes == 1 {
			single[r.Vendor] = true
		}
		if r.Kind == journal.Session && r.State == journal.Closed && single[r.Vendor] {
			return r.Vendor
		}
	}
	return ""
}

// A run with everything in it is written, verified, and told in EVIDENCE.md; one digit in its samples changes that.
func TestVerifyNodes(t *testing.T) {
	root := t.TempDir()
	dir, evidence := filepath.Join(root, "b"), filepath.Join(root, "EVIDENCE.md")
	s := eventful()
	s.write(t, dir)
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := UpdateEvidence(evidence, dir); err != nil {
		t.Fatal(err)
	}
	sum, err := Verify(dir, evidence)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Bulk == nil || sum.Moves == nil || sum.Moves.Moved != 5 || sum.Pauses == nil || sum.Pauses.Pauses != 6 || len(sum.Nodes) != 5 || len(sum.Recoveries) != 1 || len(sum.Trends) != 6 {
		t.Errorf("%+v", sum)
	}
	text, err := os.ReadFile(evidence)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| **memory-flat**: no node's memory grows | growth ≤ 10 % |", "MiB/h", "[raw/nodes.jsonl](b/raw/nodes.jsonl)", "| 3 to ≥ 5 to 3 nodes | 3, 5 under load", "% shed: ", "≤ 2 s until caught up | max "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("EVIDENCE.md does not contain %q", want)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h2 id=\"nodes\">", "<b>Proved:</b> ap-southeast-0: pid 4002 became 5002", "Readers that stopped", "5 sessions were moved", "Bulk, measured span", "not reading (", "fault by fault"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Node == "us-east-0" && n.Mono > s.end()-int64(time.Minute) {
			n.RSS += 5 * mib
		}
	}
	s.write(t, dir)
	if _, err := Verify(dir, ""); err == nil || !strings.Contains(err.Error(), SummaryFile) || !strings.Contains(err.Error(), ReportFile) {
		t.Errorf("changed samples: %v", err)
	}
}

// Samples that cannot be read are no samples that nobody took.
func TestDamagedSamples(t *testing.T) {
	s := busy()
	s.Nodes[7].RSS = -1
	dir := t.TempDir()
	s.write(t, dir)
	if _, err := Analyze(dir); err == nil || !strings.Contains(err.Error(), "raw/nodes.jsonl: line 8: a figure is negative") {
		t.Errorf("got %v", err)
	}
}
