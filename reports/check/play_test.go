package check

import (
	"slices"
	"time"

	chaos "github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// play is a small history that a test bends: wedding w with the vendors a, b and c, and wedding x with z. The
// publisher is a. Times are milliseconds; the measured span is before [0, 2000), fault [2000, 4000),
// recovery [4000, 5000), after [5000, 8000), drain from 8000 on. Everybody arrived at -1000.
type play struct {
	records []journal.Record
	faults  []Injection
	lags    []Lag
}

const (
	zero = int64(100 * time.Second)
	ms   = int64(time.Millisecond)
)

func at(millis float64) int64 { return zero + int64(millis*1e6) }

func newPlay() *play {
	p := &play{}
	p.add(journal.Record{Kind: journal.Run, Schema: journal.Schema, T: at(-2000), WallNS: at(-2000) + 1e18})
	for _, v := range []struct {
		id, wedding, region string
		homes               int64
	}{{"a", "w", "eu", 1}, {"b", "w", "eu", 1}, {"c", "w", "us", 1}, {"z", "x", "us", 1}} {
		p.add(journal.Record{Kind: journal.Vendor, T: at(-2000), Wedding: v.wedding, Vendor: v.id, Type: "florist", Homes: v.homes})
		p.session(-1000, v.id, 1, v.region, journal.Joined)
		p.add(journal.Record{Kind: journal.Arrived, T: at(-1000), Vendor: v.id})
	}
	return p
}

func (p *play) add(r journal.Record) { p.records = append(p.records, r) }

func (p *play) session(t float64, v string, n int64, region, state string) {
	p.add(journal.Record{Kind: journal.Session, T: at(t), Vendor: v, Session: n, Region: region, State: state})
}

// pub publishes by a, urgently; out "" means that there was no answer.
func (p *play) pub(id string, sched float64, out string) {
	p.pubBy("a", id, journal.Urgent, sched, sched+50, out)
}

func (p *play) pubBy(by, id, lane string, sched, done float64, out string) {
	p.add(journal.Record{Kind: journal.Pub, T: at(sched + 1), ID: id, Wedding: "w", Vendor: by, Lane: lane, Sched: at(sched)})
	if out != "" {
		p.add(journal.Record{Kind: journal.Done, T: at(done), ID: id, Out: out, Via: "eu"})
	}
}

func (p *play) recv(v, id string, t float64) { p.recvOn(v, 1, id, t, false) }

func (p *play) recvOn(v string, session int64, id string, t float64, replayed bool) {
	p.add(journal.Record{Kind: journal.Recv, T: at(t), Vendor: v, Session: session, ID: id, Via: "eu", Replayed: replayed})
}

func (p *play) dup(v string, session int64, id string, t float64, same, replayed bool) {
	p.add(journal.Record{Kind: journal.Dup, T: at(t), Vendor: v, Session: session, ID: id, Via: "eu", Same: same, Replayed: replayed})
}

// fault strikes region eu at from, and is over at to.
func (p *play) fault(from, to float64) {
	p.faults = append(p.faults, Injection{Number: uint64(len(p.faults) + 1), Kind: "PodChaos", Name: "kill", Action: "pod-kill", Targets: []string{"eu-0"}, Regions: []string{"eu"},
		Intent: at(from), Injected: at(from + 1), Proved: at(from + 2), Reverting: at(to - 2), Reverted: at(to), Gone: at(to + 1)})
}

// good publishes m1 and m2 by a, and delivers both to b and c in time.
func (p *play) good() *play {
	for i, id := range []string{"m1", "m2"} {
		t := 100 + 200*float64(i)
		p.pub(id, t, journal.OK)
		p.recv("b", id, t+20)
		p.recv("c", id, t+40)
	}
	return p
}

// without removes records.
func (p *play) without(drop func(journal.Record) bool) {
	p.records = slices.DeleteFunc(p.records, drop)
}

func recvOf(v, id string) func(journal.Record) bool {
	return func(r journal.Record) bool { return r.Kind == journal.Recv && r.Vendor == v && r.ID == id }
}

// change changes the first record that matches.
func (p *play) change(match func(journal.Record) bool, change func(*journal.Record)) {
	change(&p.records[slices.IndexFunc(p.records, match)])
}

func (p *play) diary() *Diary {
	d := &Diary{Injections: p.faults}
	for _, m := range []struct {
		t     float64
		phase claim.Phase
	}{{0, claim.Before}, {2000, claim.Fault}, {4000, claim.Recovery}, {5000, claim.After}, {8000, claim.Drain}} {
		d.Phases = append(d.Phases, PhaseMark{At: at(m.t), Phase: m.phase})
	}
	return d
}

// judge ends the history at 9000 and judges it.
func (p *play) judge(t interface { // a *testing.T, *testing.B or *rapid.T
	Helper()
	Fatal(args ...any)
}) *Judgement {
	t.Helper()
	h := NewHistory()
	for _, r := range append(p.records, journal.Record{Kind: journal.End, T: at(9000), WallNS: at(9000) + 1e18}) {
		if err := h.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	h.Lags = p.lags
	return Judge(h, p.diary())
}

// entries are chaos journal lines of one injection, in order, one millisecond apart.
func entries(events ...chaos.Event) []chaos.Entry {
	var all []chaos.Entry
	for i, e := range events {
		entry := chaos.Entry{T: at(float64(i)), Seq: uint64(i + 1), Event: e, Injection: 1, Kind: "PodChaos", Name: "kill", Action: "pod-kill",
			Targets: []string{"eu-0"}, Regions: []string{"eu"}}
		if e == chaos.EventUnproved || e == chaos.EventRevertFailed {
			entry.Err = "it did not look so"
		}
		all = append(all, entry)
	}
	return all
}
