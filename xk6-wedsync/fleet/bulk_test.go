package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
	"github.com/wedsync/wedsync/xk6-wedsync/rehearsal"
)

// TestBulk sends photos, of which one vendor gets none and another each one twice on the same socket: the history has
// one line for each of them, and a further one for what an honest server does not do.
func TestBulk(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	vendors := append(trio(), Vendor{"baker-1", "baker", 1})
	w := s.wedding(s.config(vendors...))
	w.bulkPatience = time.Second // the second copies come before that
	s.server.Make(rehearsal.Mischief{
		Drop:  func(id, key string) bool { return strings.Contains(id, "/b") && key == "florist-1" },
		Twice: func(id, key string) bool { return strings.HasSuffix(id, "/b1") && key == "band-1" },
	})
	photo, err := s.fleet.Photo(1000)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3
	for range n {
		if _, err := w.Bulk("baker-1", "photo", photo, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually("the photos, and an ok for each", func() bool {
		r := s.fleet.Report().Bulk
		return r.Delivered == 2*n && s.observed(Answered) == n && s.observed(Duplicate) == 1
	})
	if err := w.Leave(s.within(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := s.fleet.Report()
	if want := (LaneReport{Sent: n, Expected: 3 * n, Delivered: 2 * n, Lost: n}); got.Bulk.Sent != want.Sent || got.Bulk.Expected != want.Expected ||
		got.Bulk.Delivered != want.Delivered || got.Bulk.Lost != want.Lost || got.Bulk.Pending != 0 {
		t.Errorf("bulk: %+v, want %+v", got.Bulk, want)
	}
	if got.Update != (LaneReport{}) || got.Urgent != (LaneReport{}) {
		t.Errorf("bulk is in the books of others: %+v", got)
	}
	if s.observed(Lost) != n {
		t.Errorf("%d shed, want %d", s.observed(Lost), n)
	}
	var bulks []journal.Record
	kinds := map[journal.Kind]int{}
	copies := int64(0)
	for _, r := range s.shut(books) {
		kinds[r.Kind]++
		if r.Kind == journal.Bulk {
			bulks = append(bulks, r)
			copies += r.Copies
		}
	}
	if kinds[journal.Pub]+kinds[journal.Done]+kinds[journal.Recv] != 0 || kinds[journal.Dup] != 1 || len(bulks) != n {
		t.Errorf("lines: %v", kinds)
	}
	for _, b := range bulks {
		if b.Vendor != "w001/baker-1" || b.Bytes != 1000 || b.Out != journal.OK || b.Done < b.T || b.Via == "" {
			t.Errorf("line: %+v", b)
		}
		// planner-1, florist-1, band-1, baker-1
		if diff := cmp.Diff([]bool{true, false, true, false}, has(b.Got)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", b.Got, diff)
		}
	}
	if copies > n {
		t.Errorf("%d second copies, want at most %d: only the planner has two homes and got anything", copies, n)
	}
}

func has(got []int64) (has []bool) {
	for _, us := range got {
		has = append(has, us >= 0)
	}
	return has
}

// TestBulkAfterItsTime lets a copy come when its message has been given up, one by replay, and one a second time: the
// line of the message does not know of them, so each has one of its own.
func TestBulkAfterItsTime(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	w := s.wedding(s.config(append(trio(), Vendor{"baker-1", "baker", 1})...))
	s.server.Make(rehearsal.Mischief{Drop: func(string, string) bool { return true }})
	m, err := w.Bulk("planner-1", "photo", []byte(`{}`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("the ok", func() bool { return s.observed(Answered) == 1 })
	got := func(vendor string, replayed bool) {
		w.byName[vendor].onMessage(client.Message{ID: m.id, Lane: protocol.Bulk, Region: "eu-west", Session: 1, At: time.Now(), Replayed: replayed})
	}
	got("florist-1", true)
	got("baker-1", false)
	got("baker-1", false)
	w.mu.Lock()
	missed := w.settleBulk(time.Now())
	w.mu.Unlock()
	if len(missed) != 1 || missed[0].Type != "band" || missed[0].Lane != protocol.Bulk {
		t.Errorf("shed: %+v", missed)
	}
	got("band-1", false)
	w.byName["band-1"].onDuplicate(client.Message{ID: m.id, Lane: protocol.Bulk, Region: "us-east", Session: 2, At: time.Now()})
	if r := s.fleet.Report().Bulk; r.Expected != 3 || r.Delivered != 2 || r.Lost != 1 || r.Pending != 0 {
		t.Errorf("what came too late is counted twice: %+v", r)
	}
	if err := w.Leave(s.Context()); err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, r := range s.shut(books) {
		switch r.Kind {
		case journal.Recv, journal.Dup:
			lines[r.Kind.String()+" "+r.Vendor]++
		case journal.Bulk:
			if diff := cmp.Diff([]bool{false, false, false, true}, has(r.Got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
	}
	want := map[string]int{"recv w001/florist-1": 1, "recv w001/baker-1": 1, "recv w001/band-1": 1, "dup w001/band-1": 1}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines of their own (-want +got):\n%s", diff)
	}
}

// TestBulkIsNotWaitedForLong: what was shed does not hold up the end of a wedding, and the sweep finds it.
func TestBulkIsNotWaitedForLong(t *testing.T) {
	s := newStage(t, FleetConfig{})
	cfg := s.config(trio()...)
	cfg.Drain = time.Minute
	w := s.wedding(cfg)
	w.bulkPatience = 200 * time.Millisecond
	s.server.Make(rehearsal.Mischief{Drop: func(string, string) bool { return true }})
	if _, err := w.Bulk("planner-1", "photo", []byte(`{}`), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Leave(s.within(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if s.observed(Lost) != 2 {
		t.Errorf("%d shed, want 2", s.observed(Lost))
	}
}

func TestPhoto(t *testing.T) {
	f := New(FleetConfig{})
	for _, n := range []int{minPhoto, 100, 65536} {
		p, err := f.Photo(n)
		if err != nil || len(p) != n || !json.Valid(p) {
			t.Errorf("%d: %d bytes, %v", n, len(p), err)
		}
		if again, _ := f.Photo(n); &again[0] != &p[0] {
			t.Errorf("%d: made anew", n)
		}
	}
	_, small := f.Photo(minPhoto - 1)
	_, large := f.Photo(maxPhoto + 1)
	if small == nil || large == nil {
		t.Error(errors.Join(small, large), "is not everything that is wrong")
	}
	w, err := f.NewWedding(t.Context(), Config{ID: "w", Vendors: []Vendor{{"planner-1", Planner, 1}}, Regions: []Region{{"eu", []string{"ws://127.0.0.1:1/socket"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.end()
	if _, err := w.Bulk("planner-1", "urgent", nil, time.Time{}); err == nil || !strings.Contains(err.Error(), "name of its own") {
		t.Errorf("a bulk message that is urgent: %v", err)
	}
}
