package check

import (
	"fmt"
	"slices"
	"testing"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// TestRecoveries strikes eu twice. Single-homed: a never notices, b comes back and catches up, d comes back and had
// missed nothing, e comes back never. Dual-homed f is no matter of this.
func TestRecoveries(t *testing.T) {
	p := newPlay()
	for _, v := range []struct {
		id    string
		homes int64
	}{{"d", 1}, {"e", 1}, {"f", 2}} {
		p.add(journal.Record{Kind: journal.Vendor, T: at(-2000), Wedding: "w", Vendor: v.id, Homes: v.homes})
		p.session(-1000, v.id, 1, "eu", journal.Joined)
		p.add(journal.Record{Kind: journal.Arrived, T: at(-1000), Vendor: v.id})
	}
	p.fault(2000, 3000)
	p.fault(5000, 6000)
	for _, s := range []struct {
		v            string
		ends, joined float64
	}{{"b", 2010, 2110}, {"d", 2020, 2320}, {"e", 2030, 0}, {"f", 2005, 2105}} {
		p.session(s.ends, s.v, 1, "eu", journal.Closed)
		if s.joined != 0 {
			p.session(s.joined, s.v, 2, "us", journal.Joined)
		}
	}
	p.session(4000, "d", 3, "eu", journal.Joined) // is back home for the second fault
	p.session(5050, "d", 3, "eu", journal.Closed)
	p.session(5060, "d", 4, "us", journal.Joined)
	p.session(5085, "d", 4, "us", journal.CaughtUp) // the server's word
	p.pubBy("c", "m", journal.Urgent, 2050, 2100, journal.OK)
	p.recvOn("b", 2, "m", 2140, true)
	var got []string
	for _, r := range p.judge(t).Recoveries() {
		figures := fmt.Sprintf("%d displaced", r.Displaced)
		for _, l := range []*Latencies{&r.Detect, &r.Rejoin, &r.CatchUp, &r.Whole} {
			figures += fmt.Sprint(" ", slices.Collect(func(yield func(int64) bool) {
				for _, ns := range l.Finite() {
					yield(ns / ms)
				}
			}))
		}
		got = append(got, figures)
	}
	want := []string{"4 displaced [10 20 30] [100 300] [0 30] [140 320]", "2 displaced [50] [10] [25] [85]"} // a is in eu all the time
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
