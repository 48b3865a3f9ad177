package check

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/reports/audit"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

func TestHeld(t *testing.T) {
	nodes := map[string]string{"eu-0": "eu", "eu-1": "eu", "us-0": "us"}
	stored := func(node, id string, t float64) *audit.Record {
		return &audit.Record{Node: node, Region: nodes[node], Lane: "urgent", ID: id, StoredWallNS: at(t) + 1e18}
	}
	for name, tt := range map[string]struct {
		log   func() []*audit.Record // for m, published at 100 and acknowledged at 150
		bend  func(p *play)
		wrong string // part of the problem, "" for none
	}{
		"held": {wrong: ""},
		"in one region only, on two nodes": {
			log:   func() []*audit.Record { return []*audit.Record{stored("eu-0", "m", 110), stored("eu-1", "m", 120)} },
			wrong: "the logs of 1 region(s) [eu]"},
		"nowhere": {log: func() []*audit.Record { return nil }, wrong: "the logs of 0 region(s)"},
		"acknowledged before the second region had it": {
			log: func() []*audit.Record {
				return []*audit.Record{stored("eu-0", "m", 110), stored("eu-1", "m", 110), stored("us-0", "m", 160)}
			},
			wrong: "acknowledged 10.0 ms before a second region (us) had it"},
		"within the tolerance of the clocks": {
			log: func() []*audit.Record {
				return []*audit.Record{stored("eu-0", "m", 110), stored("eu-1", "m", 110), stored("us-0", "m", 150.9)}
			}},
		"a second node of the same region does not make two": {
			log: func() []*audit.Record {
				return []*audit.Record{stored("eu-0", "m", 110), stored("eu-1", "m", 115), stored("us-0", "m", 300)}
			},
			wrong: "before a second region"},
		"a node of a region that came back lacks it": {
			log:   func() []*audit.Record { return []*audit.Record{stored("eu-0", "m", 110), stored("us-0", "m", 120)} },
			bend:  func(p *play) { p.fault(2000, 3000) },
			wrong: "node eu-1 came back and does not hold it"},
		"a node of another region may lack it": {
			log: func() []*audit.Record { return []*audit.Record{stored("eu-0", "m", 110), stored("us-0", "m", 120)} }},
		"what was refused need not be held": {
			log:  func() []*audit.Record { return []*audit.Record{stored("eu-0", "m", 110), stored("us-0", "m", 120)} },
			bend: func(p *play) { p.pub("no", 200, journal.Fail); p.pub("unsure", 300, journal.Info) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay()
			p.pub("m", 100, journal.OK)
			if tt.bend != nil {
				tt.bend(p)
			}
			log := []*audit.Record{stored("eu-0", "m", 110), stored("eu-1", "m", 118), stored("us-0", "m", 140)}
			if tt.log != nil {
				log = tt.log()
			}
			s := NewStore()
			for node, region := range nodes {
				log = append(log, &audit.Record{Node: node, Region: region})
			}
			for _, r := range log {
				if err := s.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			h := p.judge(t).Held(s, "", nodes)
			if tt.wrong == "" {
				if len(h.Problems) != 0 || h.Acknowledged != 1 || h.TwoRegions != 1 || h.BeforeOK != 1 || h.Complete != 1 {
					t.Errorf("%+v", h)
				}
				return
			}
			if len(h.Problems) != 1 || !strings.Contains(h.Problems[0].Why, tt.wrong) || h.Problems[0].Message.ID != "m" {
				t.Errorf("problems %+v, want one with %q", h.Problems, tt.wrong)
			}
		})
	}
}

func TestHeldNoticesUnreadNodes(t *testing.T) {
	h := newPlay().judge(t).Held(NewStore(), "", map[string]string{"eu-0": "eu"})
	if len(h.Missing) != 1 || h.Missing[0] != "eu-0" {
		t.Errorf("%+v", h)
	}
}

func TestHeldNoticesASteppedClock(t *testing.T) {
	p := newPlay()
	p.pub("m", 100, journal.OK)
	j := p.judge(t)
	if err := j.Held(NewStore(), "", nil).Stepped; err != nil {
		t.Fatalf("a steady clock: %v", err)
	}
	j.End.Wall += 500 * ms
	if err := j.Held(NewStore(), "", nil).Stepped; err == nil {
		t.Error("half a second's step went unnoticed")
	}
	// A slewed clock is converted, not refused: 100 ppm over 11 s are 1.1 ms.
	j.End.Wall = at(9000) + 1e18 + 1_100_000
	toMono, err := j.wallClock()
	if err != nil {
		t.Fatal(err)
	}
	if off := toMono(j.End.Wall) - j.End.Mono; off > 1000 || off < -1000 {
		t.Errorf("the end of the run is %d ns off", off)
	}
}
