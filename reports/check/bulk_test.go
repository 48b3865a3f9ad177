package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// photo publishes a bulk message by a, and tells when b and c got it, in milliseconds after its sending; -1: not.
func (p *play) photo(id string, sched float64, out string, b, c float64) {
	us := func(ms float64) int64 { return int64(max(-1, ms*1000)) }
	r := journal.Record{Kind: journal.Bulk, T: at(sched + 1), ID: id, Wedding: "w", Vendor: "a", Sched: at(sched), Bytes: 1000,
		Out: out, Via: "eu", Copies: 1, Got: []int64{-1, us(b), us(c)}}
	if out != journal.Info {
		r.Done = at(sched + 50)
	}
	p.add(r)
}

func TestBulk(t *testing.T) {
	p := newPlay().good()
	p.photo("p1", 100, journal.OK, 10, 20)
	p.photo("p2", 2100, journal.OK, -1, 4000)
	p.photo("p3", 2200, journal.OK, -1, -1)
	p.photo("p4", 2300, journal.Fail, -1, -1)
	p.photo("p5", 2400, journal.Info, 5, -1)
	p.recv("b", "p3", 8500) // after its line was written
	j := p.judge(t)
	if len(j.Flaws) > 0 {
		t.Errorf("flaws: %+v", j.Flaws)
	}
	whole := j.Bulk(&claim.Claim{})
	if whole.Messages != 5 || whole.OK != 3 || whole.Refused != 1 || whole.Unknown != 1 || whole.Bytes != 5000 {
		t.Errorf("messages: %+v", whole)
	}
	if whole.Expected != 6 || whole.Delivered != 4 || whole.Shed() != 2 || whole.Share() != 1.0/3 {
		t.Errorf("copies: %+v", whole)
	}
	if fastest, ok := whole.Latencies.At(0); !ok || fastest != 11*ms {
		t.Errorf("the fastest took %d ns from its schedule, want 11 ms", fastest)
	}
	if fault := j.Bulk(&claim.Claim{Phases: []claim.Phase{claim.Fault}}); fault.Messages != 4 || fault.PerPhase[claim.Fault] != 4 {
		t.Errorf("in the fault: %+v", fault)
	}
	if none := (&Bulk{}); none.Share() != 0 {
		t.Error("nothing sent is nothing shed")
	}

	// What is due, held, or measured of the other lanes does not know of it.
	for _, lane := range []string{claim.Urgent, claim.Normal, ""} {
		tally := j.Tally(&claim.Claim{Lane: lane, Population: claim.All, Within: SLA})
		if tally.Lost > 0 || lane == claim.Normal && tally.Due > 0 {
			t.Errorf("lane %q: %+v", lane, tally)
		}
	}
	held := j.Held(NewStore(), "", nil)
	if held.Acknowledged != 2 {
		t.Errorf("%d messages must be held, want the 2 urgent ones", held.Acknowledged)
	}
	if n := j.Health().Sends.Len(); n != 2 {
		t.Errorf("%d sends, want 2", n)
	}
	if n, _ := j.FirstReceives(); n != 4+5 { // the 4 urgent deliveries and all copies of photos
		t.Errorf("the histograms hold %d values, want 9", n)
	}
	if j.Copies.Withheld != 5 || j.Copies.SecondWay != 5 || j.Unsure != (Unsure{}) {
		t.Errorf("copies: %+v, %+v", j.Copies, j.Unsure)
	}
}

// TestBulkFlaws: bulk may be missing, but not doubled, made up or misdirected.
func TestBulkFlaws(t *testing.T) {
	for name, tt := range map[string]struct {
		bend func(p *play)
		want map[claim.Flaw]int
	}{
		"sound":       {func(p *play) {}, map[claim.Flaw]int{}},
		"shed":        {func(p *play) { p.photo("p2", 200, journal.OK, -1, -1) }, map[claim.Flaw]int{}},
		"shown again": {func(p *play) { p.recv("b", "p1", 900) }, map[claim.Flaw]int{claim.Duplicated: 1}},
		"shown twice after its line": {func(p *play) {
			p.photo("p2", 200, journal.OK, -1, 10)
			p.recv("b", "p2", 7000)
			p.recv("b", "p2", 7100)
		}, map[claim.Flaw]int{claim.Duplicated: 1}},
		"sent twice on a session": {func(p *play) { p.dup("b", 1, "p1", 900, true, false) }, map[claim.Flaw]int{claim.Duplicated: 1}},
		"second home":             {func(p *play) { p.dup("b", 2, "p1", 900, false, false) }, map[claim.Flaw]int{}},
		"refused and delivered":   {func(p *play) { p.photo("p2", 200, journal.Fail, 10, -1) }, map[claim.Flaw]int{claim.Phantom: 1}},
		"another wedding":         {func(p *play) { p.recv("z", "p1", 900) }, map[claim.Flaw]int{claim.Crosstalk: 1}},
		"made up":                 {func(p *play) { p.recv("b", "p9", 900) }, map[claim.Flaw]int{claim.Invented: 1}},
		"overtaken, which two homes that shed lead to": {func(p *play) {
			p.photo("p2", 400, journal.OK, 10, 10)
			p.photo("p3", 200, journal.OK, -1, -1)
			p.recv("b", "p3", 7000)
		}, map[claim.Flaw]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay().good()
			p.photo("p1", 100, journal.OK, 10, 20)
			tt.bend(p)
			if diff := cmp.Diff(tt.want, p.judge(t).Counted); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBulkRefusesNonsense(t *testing.T) {
	for name, tt := range map[string]struct {
		r    journal.Record
		want string
	}{
		"too few places":    {journal.Record{Kind: journal.Bulk, ID: "p", Wedding: "w", Vendor: "a", Out: journal.OK, Got: []int64{1}}, "tells of 1 vendors"},
		"published twice":   {journal.Record{Kind: journal.Bulk, ID: "m1", Wedding: "w", Vendor: "a", Out: journal.OK, Got: []int64{-1, 1, 1}}, "published twice"},
		"foreign publisher": {journal.Record{Kind: journal.Bulk, ID: "p", Wedding: "w", Vendor: "z", Out: journal.OK, Got: []int64{-1, 1, 1}}, "of wedding x"},
		"unknown publisher": {journal.Record{Kind: journal.Bulk, ID: "p", Wedding: "w", Vendor: "nobody", Out: journal.OK}, "not declared"},
		"reads on":          {journal.Record{Kind: journal.Stall, Vendor: "a"}, "had done before"},
	} {
		t.Run(name, func(t *testing.T) {
			h := NewHistory()
			for _, r := range newPlay().good().records {
				if err := h.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Add(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
