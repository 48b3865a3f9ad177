package check

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// TestPopulations follows vendor b, at home in eu, through a fault on eu from 2000 to 3000.
func TestPopulations(t *testing.T) {
	type session struct {
		n            int64
		region       string
		joined, ends float64 // ends 0: never
	}
	for name, tt := range map[string]struct {
		sessions  []session
		sched     float64
		displaced bool
		offline   bool
	}{
		"before the fault":                         {nil, 1000, false, false},
		"due over the beginning of the fault":      {nil, 1900, true, false},
		"due just before the beginning":            {nil, 1798, false, false},
		"in the fault, the session still open":     {nil, 2500, true, false},
		"in the fault, the session closed":         {[]session{{1, "eu", -1000, 2010}}, 2500, true, true},
		"after the revert":                         {nil, 3001, false, false},
		"failed over":                              {[]session{{1, "eu", -1000, 2010}, {2, "us", 2100, 0}}, 2500, false, false},
		"failing over":                             {[]session{{1, "eu", -1000, 2010}, {2, "us", 2600, 0}}, 2500, true, true},
		"failed over for a part of it":             {[]session{{1, "eu", -1000, 2010}, {2, "us", 2600, 0}}, 2590, true, true},
		"two homes":                                {[]session{{1, "eu", -1000, 2010}, {2, "us", -1000, 0}}, 2050, false, false},
		"two homes, both struck":                   {[]session{{1, "eu", -1000, 2010}, {2, "eu", -1000, 2010}}, 2050, true, true},
		"offline for no fault's sake is no excuse": {[]session{{1, "us", -1000, 1000}, {2, "us", 1500, 0}}, 1200, false, true},
		"offline elsewhere during the fault":       {[]session{{1, "us", -1000, 2100}, {2, "us", 2900, 0}}, 2500, false, true},
		"still away after the fault is over":       {[]session{{1, "eu", -1000, 2010}, {2, "us", 3500, 0}}, 3200, true, true},
		"moved back, make before break":            {[]session{{1, "eu", -1000, 2010}, {2, "us", 2100, 4010}, {3, "eu", 4000, 0}}, 3950, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay()
			p.fault(2000, 3000)
			if tt.sessions != nil {
				p.without(func(r journal.Record) bool { return r.Kind == journal.Session && r.Vendor == "b" })
			}
			for _, s := range tt.sessions {
				p.session(s.joined, "b", s.n, s.region, journal.Joined)
				if s.ends != 0 {
					p.session(s.ends, "b", s.n, s.region, journal.Closed)
				}
			}
			p.pub("m", tt.sched, journal.OK)
			p.recv("b", "m", tt.sched+10)
			p.recv("c", "m", tt.sched+10)
			j := p.judge(t)
			seen := false
			j.Due(func(pair *Pair) {
				if pair.Vendor.ID != "b" {
					return
				}
				seen = true
				if pair.Displaced() != tt.displaced || pair.Offline() != tt.offline {
					t.Errorf("displaced %v, offline %v; want %v, %v", pair.Displaced(), pair.Offline(), tt.displaced, tt.offline)
				}
				if pair.In(claim.Connected) == pair.In(claim.Displaced) {
					t.Error("connected and displaced do not divide the deliveries")
				}
				if pair.In(claim.DualHomed) == pair.In(claim.SingleHomed) {
					t.Error("dual-homed and single-homed do not divide the vendors")
				}
			})
			if !seen {
				t.Fatal("b was not due")
			}
		})
	}
}

// An upgrade or a drain must not be noticed: whoever loses its session by one is late, not excused.
func TestOperationsExcuseNobody(t *testing.T) {
	p := newPlay()
	p.fault(2000, 3000)
	p.faults[0].Serving = true
	p.without(func(r journal.Record) bool { return r.Kind == journal.Session && r.Vendor == "b" })
	p.session(-1000, "b", 1, "eu", journal.Joined)
	p.session(2010, "b", 1, "eu", journal.Closed)
	p.session(2600, "b", 2, "us", journal.Joined)
	p.pub("m", 2200, journal.OK)
	p.recv("b", "m", 2610)
	p.recv("c", "m", 2210)
	p.judge(t).Due(func(pair *Pair) {
		if pair.Vendor.ID == "b" && (pair.Displaced() || !pair.In(claim.Connected)) {
			t.Error("b is excused")
		}
	})
}

// TestSpans compares the arithmetic of spans with counting single instants.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string) []span {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) span {
				from := rapid.Int64Range(0, 20).Draw(t, "from")
				return span{from, from + rapid.Int64Range(1, 8).Draw(t, "length")}
			}), 0, 5).Draw(t, label)
		}
		whole := span{3, 25}
		cuts := some("cuts")
		within := func(all []span, at int64) bool {
			return slices.ContainsFunc(all, func(s span) bool { return at >= s.from && at < s.to })
		}
		left, open := whole.minus(cuts), gaps(whole, slices.Clone(cuts))
		for at := int64(0); at < 30; at++ {
			want := within([]span{whole}, at) && !within(cuts, at)
			if within(left, at) != want || within(open, at) != want {
				t.Fatalf("at %d: minus %v, gaps %v, want %v", at, left, open, want)
			}
		}
	})
}
