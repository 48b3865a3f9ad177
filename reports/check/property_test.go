package check

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// soundRun draws a history without a flaw: any number of weddings, vendors, homes, publishes and outcomes,
// deliveries in order and within 200 ms, copies over second homes, replays beside live copies.
func soundRun(t *rapid.T) *play {
	p := &play{}
	p.add(journal.Record{Kind: journal.Run, Schema: journal.Schema, T: at(-2000), WallNS: at(-2000) + 1e18})
	for w := range rapid.IntRange(1, 3).Draw(t, "weddings") {
		wedding := fmt.Sprintf("w%d", w)
		var vendors []string
		homes := map[string]int{}
		for v := range rapid.IntRange(2, 5).Draw(t, "vendors") {
			id := fmt.Sprintf("%s/v%d", wedding, v)
			vendors = append(vendors, id)
			homes[id] = rapid.IntRange(1, 2).Draw(t, "homes")
			p.add(journal.Record{Kind: journal.Vendor, T: at(-2000), Wedding: wedding, Vendor: id, Homes: int64(homes[id])})
			for s := range homes[id] {
				p.session(-1000, id, int64(s+1), []string{"eu", "us"}[(v+s)%2], journal.Joined)
			}
			p.add(journal.Record{Kind: journal.Arrived, T: at(-1000), Vendor: id})
		}
		for m := range rapid.IntRange(1, 8).Draw(t, "messages") {
			by := rapid.SampledFrom(vendors).Draw(t, "by")
			lane := rapid.SampledFrom([]string{journal.Urgent, journal.Normal}).Draw(t, "lane")
			out := rapid.SampledFrom([]string{journal.OK, journal.OK, journal.OK, journal.Info, journal.Fail, ""}).Draw(t, "out")
			sched := 100 + 900*float64(m) + float64(w)
			id := fmt.Sprintf("%s/%c%d", by, lane[0], m)
			p.add(journal.Record{Kind: journal.Pub, T: at(sched + 1), ID: id, Wedding: wedding, Vendor: by, Lane: lane, Sched: at(sched)})
			if out != "" {
				p.add(journal.Record{Kind: journal.Done, T: at(sched + 80), ID: id, Out: out})
			}
			for _, v := range vendors {
				if v == by || out == journal.Fail || out != journal.OK && rapid.Bool().Draw(t, "vanishes") {
					continue
				}
				after := rapid.Float64Range(5, 200).Draw(t, "latency")
				p.recvOn(v, 1, id, sched+after, false)
				if homes[v] == 2 {
					p.dup(v, 2, id, sched+after+1, false, false)
				}
				if rapid.Bool().Draw(t, "replayed too") {
					p.dup(v, 1, id, sched+after+5, true, true)
				}
			}
		}
	}
	return p
}

func TestSoundRunsAreSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := soundRun(t)
		p.shuffle(t)
		j := p.judge(t)
		tally := j.Tally(&claim.Claim{Population: claim.All, Within: SLA})
		if len(j.Flaws) > 0 || tally.Late+tally.Lost+tally.MaybeLate > 0 {
			t.Fatalf("flaws %+v, tally %+v", j.Flaws, tally)
		}
	})
}

// TestEveryFlawIsFound breaks a sound run in one place; the flaw must be found, and name the message and
// the recipient.
func TestEveryFlawIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := soundRun(t)
		acknowledged := map[string]bool{}
		for _, r := range p.records {
			if r.Kind == journal.Done && r.Out == journal.OK {
				acknowledged[r.ID] = true
			}
		}
		var due []int
		for i, r := range p.records {
			if r.Kind == journal.Recv && acknowledged[r.ID] {
				due = append(due, i)
			}
		}
		if len(due) == 0 {
			t.Skip("nothing to break")
		}
		victim := rapid.SampledFrom(due).Draw(t, "victim")
		r := p.records[victim]
		flaw := rapid.SampledFrom([]claim.Flaw{claim.Lost, claim.Duplicated, "twice on the wire", claim.Phantom, claim.Crosstalk, claim.Invented, "late"}).Draw(t, "flaw")
		want, message, vendor := flaw, r.ID, r.Vendor
		switch flaw {
		case claim.Lost:
			p.records = slices.Delete(p.records, victim, victim+1)
		case claim.Duplicated:
			p.recvOn(r.Vendor, rapid.Int64Range(1, 2).Draw(t, "session"), r.ID, 8500, rapid.Bool().Draw(t, "replayed"))
		case "twice on the wire":
			want = claim.Duplicated
			p.dup(r.Vendor, r.Session, r.ID, 8500, true, false)
		case claim.Phantom:
			p.change(func(d journal.Record) bool { return d.Kind == journal.Done && d.ID == r.ID }, func(d *journal.Record) { d.Out = journal.Fail })
		case claim.Crosstalk:
			vendor = "stranger"
			p.records = slices.Insert(p.records, 1, journal.Record{Kind: journal.Vendor, T: at(-2000), Wedding: "elsewhere", Vendor: vendor, Homes: 1})
			p.recv(vendor, r.ID, 8500)
		case claim.Invented:
			message = "nobody/u1"
			p.recv(vendor, message, 8500)
		case "late":
			p.records[victim].T = r.T + 201*ms
		}
		p.shuffle(t)
		j := p.judge(t)
		if flaw == "late" {
			tally := j.Tally(&claim.Claim{Population: claim.All, Within: SLA})
			if tally.Late != 1 || tally.Misses[0].Message.ID != message || tally.Misses[0].Vendor.ID != vendor {
				measured, _ := j.PhaseAt(tally.Misses[0].Message.Sched)
				t.Fatalf("late in %s: %+v", measured, tally)
			}
			return
		}
		if !slices.ContainsFunc(j.Flaws, func(f Problem) bool { return f.Flaw == want && f.Message.ID == message && f.Vendor.ID == vendor }) {
			t.Fatalf("%s of %s at %s was not found among %+v", want, message, vendor, j.Flaws)
		}
		for _, f := range j.Flaws {
			if f.Flaw != want {
				t.Fatalf("a flaw of another class: %+v", f)
			}
		}
	})
}

// shuffle brings the records into another order, as concurrent writers do; declarations stay in front.
func (p *play) shuffle(t *rapid.T) {
	declared := func(r journal.Record) bool { return r.Kind == journal.Run || r.Kind == journal.Vendor }
	var first, rest []journal.Record
	for _, r := range p.records {
		if declared(r) {
			first = append(first, r)
		} else {
			rest = append(rest, r)
		}
	}
	p.records = append(first, rapid.Permutation(rest).Draw(t, "order")...)
}
