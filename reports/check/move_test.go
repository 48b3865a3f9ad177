package check

import (
	"testing"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// TestMoves drains the nodes of b and c: b joins elsewhere before it leaves, c afterwards, and z does not come back.
func TestMoves(t *testing.T) {
	p := newPlay()
	left := func(t float64, v, why string) {
		p.add(journal.Record{Kind: journal.Session, T: at(t), Vendor: v, Session: 1, Region: "eu", State: journal.Left, Why: why})
		p.add(journal.Record{Kind: journal.Session, T: at(t + 20), Vendor: v, Session: 1, Region: "eu", State: journal.Closed, Why: why})
	}
	p.session(990, "b", 2, "eu", journal.Joined)
	left(1000, "b", Moved)
	left(1000, "c", Moved)
	p.session(1100, "c", 2, "us", journal.Joined)
	left(1000, "z", Moved)
	p.session(1100, "a", 2, "us", journal.Joined)
	left(1200, "a", "the home has another session")
	p.pub("m", 1010, journal.OK)
	p.recv("b", "m", 1020)
	p.recv("c", "m", 1120)
	j := p.judge(t)
	got := j.Moves()
	if got.Moved != 3 || got.Seamless != 1 || got.Gaps.Len() != 2 {
		t.Errorf("%+v", got)
	}
	if finite := got.Gaps.Finite(); len(finite) != 1 || finite[0] != 100*ms {
		t.Errorf("gaps %v, want 100 ms and one without an end", finite)
	}
	j.Due(func(pair *Pair) {
		if want := pair.Vendor.ID == "c"; pair.Offline() != want {
			t.Errorf("%s offline: %v, want %v", pair.Vendor.ID, pair.Offline(), want)
		}
	})
	p.fault(900, 3000)
	if all := p.judge(t).Failovers(); len(all) != 0 {
		t.Errorf("a move is taken for a fail-over: %+v", all)
	}
}
