package claim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const head = "metadata: {name: region-kill}\ntitle: A region dies\ntopology: {regions: [a, b]}\nclaims:\n"

func TestParse(t *testing.T) {
	d, err := Parse("drill.yaml", []byte(head+`
  - id: urgent-connected
    says: every connected recipient has it in time
    kind: delivery
    lane: urgent
    population: connected
    within: 200ms
    phases: [before, fault]
    at_least: 50
  - {id: nothing-wrong, says: nothing is wrong, kind: none, of: [lost, duplicated]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Drill{Name: "region-kill", Title: "A region dies", Claims: []Claim{
		{ID: "urgent-connected", Says: "every connected recipient has it in time", Kind: Delivery, Lane: Urgent, Population: Connected,
			Within: 200 * time.Millisecond, Phases: []Phase{Before, Fault}, AtLeast: 50, Line: 6},
		{ID: "nothing-wrong", Says: "nothing is wrong", Kind: None, Population: All, Of: []Flaw{Lost, Duplicated}, AtLeast: 1, Line: 14},
	}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The kinds that are about nodes and about what is shed, with their defaults and their limits in words.
func TestParseNodes(t *testing.T) {
	d, err := Parse("drill.yaml", []byte(head+`
  - {id: memory, says: a, kind: flat, metric: rss, at_most: 0.05, phases: [before]}
  - {id: threads, says: b, kind: flat, metric: goroutines, at_most: 0.125, at_least: 40}
  - {id: scale, says: c, kind: scaled, region: eu, from: 3, at_least: 5, back: 3}
  - {id: photos, says: d, kind: shed, at_least: 100}
  - {id: few, says: e, kind: shed, at_most: 0}
  - {id: back, says: f, kind: failover}
  - {id: soon, says: g, kind: failover, within: 2s, at_least: 10}
`))
	if err != nil {
		t.Fatal(err)
	}
	share := func(v float64) *float64 { return &v }
	want := []Claim{
		{ID: "memory", Says: "a", Kind: Flat, Population: All, Metric: RSS, AtMost: share(0.05), Phases: []Phase{Before}, AtLeast: FlatBlocks, Line: 6},
		{ID: "threads", Says: "b", Kind: Flat, Population: All, Metric: Goroutines, AtMost: share(0.125), AtLeast: 40, Line: 7},
		{ID: "scale", Says: "c", Kind: Scaled, Population: All, Region: "eu", From: 3, AtLeast: 5, Back: 3, Line: 8},
		{ID: "photos", Says: "d", Kind: Shed, Population: All, AtLeast: 100, Line: 9},
		{ID: "few", Says: "e", Kind: Shed, Population: All, AtMost: share(0), AtLeast: 1, Line: 10},
		{ID: "back", Says: "f", Kind: Failover, Population: All, AtLeast: 1, Line: 11},
		{ID: "soon", Says: "g", Kind: Failover, Population: All, Within: 2 * time.Second, AtLeast: 10, Line: 12},
	}
	if diff := cmp.Diff(want, d.Claims); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	limits := []string{"growth ≤ 5 %", "growth ≤ 12.5 %", "3 to ≥ 5 to 3 nodes", "none set", "≤ 0 % shed", "all come back", "≤ 2 s until caught up"}
	for i, want := range limits {
		if got := d.Claims[i].Limit(); got != want {
			t.Errorf("limit of %s: %q, want %q", d.Claims[i].ID, got, want)
		}
	}
}

// Bulk is no part of what an unnamed lane promises, but nothing of it may be doubled or made up.
func TestAbout(t *testing.T) {
	for _, tt := range []struct {
		claim                Claim
		urgent, normal, bulk bool
	}{
		{Claim{}, true, true, false},
		{Claim{Kind: Delivery}, true, true, false},
		{Claim{Kind: None}, true, true, true},
		{Claim{Kind: None, Lane: Bulk}, false, false, true},
		{Claim{Lane: Urgent}, true, false, false},
	} {
		got := [3]bool{tt.claim.About(Urgent), tt.claim.About(Normal), tt.claim.About(Bulk)}
		if want := [3]bool{tt.urgent, tt.normal, tt.bulk}; got != want {
			t.Errorf("%s %q: %v, want %v", tt.claim.Kind, tt.claim.Lane, got, want)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	const good = "id: a, says: b, kind: delivery"
	for in, want := range map[string]string{
		"  - {id: A b, says: b, kind: delivery}":         "drill.yaml:5: claims[0].id: \"A b\" must be a short name",
		"  - {id: a, kind: delivery}":                    "claims[0].says: missing",
		"  - {id: a, says: b, kind: wish}":               `claims[0].kind: "wish" is not one of [delivery none ok held faults flat scaled shed failover]`,
		"  - {" + good + ", lane: slow}":                 `.lane: "slow" is not one of`,
		"  - {" + good + ", population: nobody}":         `.population: "nobody" is not one of`,
		"  - {" + good + ", within: soon}":               `drill.yaml:5: claims[0].within: "soon" is not a duration`,
		"  - {" + good + ", within: 200}":                `"200" is not a duration`,
		"  - {" + good + ", within: 0s}":                 "can never hold",
		"  - {" + good + ", within: -1s}":                ".within: -1s is negative",
		"  - {" + good + ", of: [lost]}":                 ".of: has no meaning for a claim of kind delivery",
		"  - {" + good + ", phases: [drain]}":            `.phases: "drain" is not one of`,
		"  - {" + good + ", at_least: 0}":                "no data is never a pass",
		"  - {" + good + ", at_least: many}":             "claims[0].at_least",
		"  - {" + good + ", whithin: 1s}":                ".whithin: unknown field; a claim has at_least, at_most, back, from, id,",
		"  - {" + good + ", lane: urgent, lane: normal}": "given twice",
		"  - {id: a, says: b, kind: ok}":                 ".within: missing",
		"  - {id: a, says: b, kind: held, within: 1s}":   ".within: has no meaning",
		"  - {id: a, says: b, kind: ok, within: 1s, population: all}\n  - {id: a, says: b, kind: held}": `drill.yaml:6: claims[1].id: "a" is taken by the claim on line 5`,
		"  - {id: a, says: b, kind: none, of: [gossip]}":                                                `.of: "gossip" is not one of`,
		"  - {id: a, says: b, kind: faults, population: displaced}":                                     ".population: has no meaning",
		"  - {id: a, says: b, kind: flat, at_most: 0.05}":                                               `.metric: "" is not one of [rss goroutines]`,
		"  - {id: a, says: b, kind: flat, metric: heap, at_most: 0.05}":                                 `.metric: "heap" is not one of`,
		"  - {id: a, says: b, kind: flat, metric: rss}":                                                 ".at_most: missing",
		"  - {id: a, says: b, kind: flat, metric: rss, at_most: 5}":                                     ".at_most: 5 is not a share between 0 and 1",
		"  - {id: a, says: b, kind: flat, metric: rss, at_most: .nan}":                                  ".at_most: NaN is not a share",
		"  - {id: a, says: b, kind: flat, metric: rss, at_most: 5 %}":                                   "claims[0].at_most",
		"  - {id: a, says: b, kind: flat, metric: rss, at_most: 0.05, at_least: 5}":                     ".at_least: 5 blocks say too little",
		"  - {id: a, says: b, kind: scaled, from: 3, at_least: 4}":                                      ".back: 0: name the number",
		"  - {id: a, says: b, kind: scaled, back: 3, at_least: 4}":                                      ".from: 0: name the number",
		"  - {id: a, says: b, kind: scaled, from: 3, back: 3, at_least: 3}":                             ".at_least: 3 nodes under load must be more than the 3",
		"  - {id: a, says: b, kind: scaled, from: 3, back: 3}":                                          ".at_least: 1 nodes under load",
		"  - {id: a, says: b, kind: shed, lane: bulk}":                                                  ".lane: bulk messages may be shed",
		"  - {id: a, says: b, kind: shed, at_most: -0.1}":                                               ".at_most: -0.1 is not a share",
		"  - {id: a, says: b, kind: delivery, lane: bulk}":                                              ".lane: bulk messages may be shed, so nothing is promised",
		"  - {id: a, says: b, kind: delivery, at_most: 0.1}":                                            ".at_most: has no meaning for a claim of kind delivery",
		"  - {id: a, says: b, kind: failover, phases: [fault]}":                                         ".phases: has no meaning for a claim of kind failover",
		"  - {id: a, says: b, kind: ok, within: 1s, metric: rss, region: a, from: 1, back: 1}":          ".region: has no meaning for a claim of kind ok",
		"  - just words": "must be a mapping",
		"  lost: 0":      "claims: must be a list",
	} {
		t.Run(in, func(t *testing.T) {
			_, err := Parse("drill.yaml", []byte(head+in))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	if _, err := Parse("drill.yaml", []byte("claims: []")); err == nil || !strings.Contains(err.Error(), "metadata.name: missing") {
		t.Errorf("no name: %v", err)
	}
	all := "  - {id: a, says: b, kind: wish}\n  - {id: c, says: d, kind: delivery, with: 1s}"
	if _, err := Parse("drill.yaml", []byte(head+all)); err == nil || strings.Count(err.Error(), "drill.yaml:") != 2 {
		t.Errorf("not everything is said at once: %v", err)
	}
}

func TestIn(t *testing.T) {
	everywhere, fault := Claim{}, Claim{Phases: []Phase{Fault}}
	for p, want := range map[Phase][2]bool{WarmUp: {false, false}, Before: {true, false}, Fault: {true, true}, Recovery: {true, false}, After: {true, false}, Drain: {false, false}} {
		if everywhere.In(p) != want[0] || fault.In(p) != want[1] {
			t.Errorf("%s: %v %v, want %v", p, everywhere.In(p), fault.In(p), want)
		}
	}
}

func TestWorst(t *testing.T) {
	late, wrong := Ruling{Fail, Latency}, Ruling{Fail, Correctness}
	of := func(v Verdict) Ruling { return Ruling{Verdict: v} }
	for name, tt := range map[string]struct {
		parts []Ruling
		want  Verdict
	}{
		"nothing":                                {nil, Insufficient},
		"passes":                                 {[]Ruling{of(Pass), of(Pass)}, Pass},
		"too little":                             {[]Ruling{of(Pass), of(Insufficient)}, Insufficient},
		"undecided over too little":              {[]Ruling{of(Inconclusive), of(Insufficient)}, Inconclusive},
		"late over undecided":                    {[]Ruling{of(Inconclusive), late}, Fail},
		"a saturated generator excuses lateness": {[]Ruling{late, of(Invalid)}, Invalid},
		"but no lost message":                    {[]Ruling{of(Invalid), wrong, of(Pass)}, Fail},
		"a checker that said nothing did not agree": {[]Ruling{of(Pass), {}}, Invalid},
	} {
		if got := Worst(tt.parts...).Verdict; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// The order of the parts does not matter, and only PASS gives exit code 0.
func TestWorstIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Ruling {
			return Ruling{rapid.SampledFrom([]Verdict{Pass, Fail, Inconclusive, Insufficient, Invalid}).Draw(t, "verdict"), Weight(rapid.IntRange(0, 1).Draw(t, "weight"))}
		}), 1, 6).Draw(t, "parts")
		got := Worst(parts...)
		if other := Worst(rapid.Permutation(parts).Draw(t, "order")...); other.Verdict != got.Verdict {
			t.Fatalf("%v in one order, %v in another", got, other)
		}
		passes := true
		for _, p := range parts {
			passes = passes && p.Verdict == Pass
		}
		if (got.Verdict.ExitCode() == 0) != passes {
			t.Fatalf("%v: exit code %d", parts, got.Verdict.ExitCode())
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "  - {id: a, says: b, kind: delivery, within: 200ms}"))
	f.Add([]byte(head + "  - {id: a, says: b, kind: flat, metric: rss, at_most: 0.05}\n  - {id: c, says: d, kind: scaled, from: 1, at_least: 2, back: 1}\n  - {id: e, says: f, kind: shed, at_most: }"))
	f.Add([]byte("claims: [[], 1, {id: 1}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse("drill.yaml", text)
		if err != nil {
			return
		}
		for _, c := range d.Claims {
			if c.ID == "" || c.Says == "" || c.AtLeast < 1 || c.Limit() == "" {
				t.Fatalf("accepted %+v", c)
			}
		}
	})
}
