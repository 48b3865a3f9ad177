package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
	"github.com/wedsync/wedsync/xk6-wedsync/rehearsal"
)

func trio() []Vendor {
	return []Vendor{{"planner-1", Planner, 2}, {"florist-1", "florist", 2}, {"band-1", "band", 1}}
}

func TestWeddingDay(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	w := s.wedding(s.config(trio()...))
	if r := s.fleet.Report(); r.Vendors != 3 || r.Joined != 5 || r.Homes != 5 {
		t.Errorf("%d vendors and %d sockets of %d, want 3 and 5 of 5", r.Vendors, r.Joined, r.Homes)
	}
	at := time.Now().Add(-50 * time.Millisecond)
	r := s.receipt(w.Urgent("planner-1", "ceremony moved to 4 PM", at))
	if r.Outcome != journal.OK || r.Expected != 2 || r.Delivered != 2 || len(r.Missing) != 0 || len(r.Held) != 3 || r.Via == "" {
		t.Errorf("receipt of the urgent message: %+v", r)
	}
	if r.Slowest < 50*time.Millisecond || r.Answer < 50*time.Millisecond {
		t.Errorf("slowest %s, answer %s: the delay before the sending is not charged", r.Slowest, r.Answer)
	}
	if u := s.receipt(w.Update("florist-1", "photos_ready", []byte(`{"n":1}`), time.Time{})); u.Outcome != journal.OK || u.Delivered != 2 {
		t.Errorf("receipt of the update: %+v", u)
	}
	s.eventually("both confirmations", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.messages[r.ID].confirmed) == 2
	})
	if err := w.Leave(s.within(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := s.server.WaitEmpty(s.within(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := s.fleet.Report(); got.Vendors != 0 || got.Joined != 0 || got.Homes != 0 || got.Urgent != (LaneReport{Sent: 1, Expected: 2, Delivered: 2, Late: got.Urgent.Late}) {
		t.Errorf("totals: %+v", got)
	}

	n := map[string]int{}
	arrived := map[string]bool{}
	for _, r := range s.shut(books) {
		key := r.Kind.String()
		switch r.Kind {
		case journal.Session:
			key += " " + r.State
		case journal.Pub:
			key += " " + r.Lane
			if r.T < r.Sched || !strings.HasPrefix(r.ID, w.run+"/"+r.Vendor+"/") {
				t.Errorf("publish %+v", r)
			}
		case journal.Arrived:
			arrived[r.Vendor] = true
		case journal.Recv:
			if !arrived[r.Vendor] || r.Session == 0 || r.Via == "" {
				t.Errorf("receive %+v", r)
			}
		case journal.Lag:
			continue
		}
		n[key]++
	}
	delete(n, "dup") // how many second copies come before the end is a race
	want := map[string]int{"run": 1, "vendor": 3, "session dialing": 5, "session opened": 5, "session joined": 5, "session left": 5, "session closed": 5,
		"arrived": 3, "pub urgent": 1, "pub normal": 1, "done": 2, "recv": 4, "leaving": 3, "end": 1}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

// TestAccounting makes each kind of fault and shows that it is noticed.
func TestAccounting(t *testing.T) {
	for name, c := range map[string]struct {
		mischief rehearsal.Mischief
		vendors  []Vendor
		late     bool // sent long after the intended instant
		want     func(Receipt) bool
		seen     map[What]int
		lane     LaneReport
	}{
		"all well": {
			want: func(r Receipt) bool { return r.Delivered == 2 && r.Outcome == journal.OK },
			seen: map[What]int{Delivered: 2, Lost: 0, Duplicate: 0, Stray: 0, Answered: 1},
			lane: LaneReport{Sent: 1, Expected: 2, Delivered: 2},
		},
		"lost": {
			mischief: rehearsal.Mischief{Drop: func(_, key string) bool { return key == "florist-1" }},
			want:     func(r Receipt) bool { return r.Delivered == 1 && cmp.Equal(r.Missing, []string{"florist-1"}) },
			seen:     map[What]int{Delivered: 1, Lost: 1},
			lane:     LaneReport{Sent: 1, Expected: 2, Delivered: 1, Lost: 1},
		},
		"late": {
			late: true,
			want: func(r Receipt) bool { return r.Late == 2 && r.Slowest > time.Second },
			seen: map[What]int{Delivered: 2, Lost: 0},
			lane: LaneReport{Sent: 1, Expected: 2, Delivered: 2, Late: 2},
		},
		"twice": {
			mischief: rehearsal.Mischief{Twice: func(_, key string) bool { return key == "band-1" }},
			want:     func(r Receipt) bool { return r.Delivered == 2 },
			seen:     map[What]int{Delivered: 2, Duplicate: 1},
			lane:     LaneReport{Sent: 1, Expected: 2, Delivered: 2},
		},
		"refused": {
			mischief: rehearsal.Mischief{Refuse: func(string) bool { return true }},
			want:     func(r Receipt) bool { return r.Outcome == journal.Fail && r.Delivered == 0 && r.Why != "" },
			seen:     map[What]int{Delivered: 0, Lost: 0, Refused: 1},
			lane:     LaneReport{Sent: 1},
		},
		"not answered": {
			mischief: rehearsal.Mischief{Mute: func(string) bool { return true }},
			want:     func(r Receipt) bool { return r.Outcome == journal.Info && r.Delivered == 2 },
			seen:     map[What]int{Delivered: 2, Lost: 0, Refused: 1},
			lane:     LaneReport{Sent: 1, Expected: 2, Delivered: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, FleetConfig{})
			cfg := s.config(trio()...)
			cfg.Limit, cfg.GiveUp, cfg.Drain = 700*time.Millisecond, 300*time.Millisecond, 100*time.Millisecond
			w := s.wedding(cfg)
			s.server.Make(c.mischief)
			at := time.Now()
			if c.late {
				at = at.Add(-time.Second)
			}
			r := s.receipt(w.Urgent("planner-1", "rain", at))
			if !c.want(r) {
				t.Errorf("receipt: %+v", r)
			}
			s.eventually("the observations", func() bool {
				for what, n := range c.seen {
					if what != Lost && s.observed(what) != n {
						return false
					}
				}
				return true
			})
			if err := w.Leave(s.within(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if s.observed(Lost) != c.seen[Lost] {
				t.Errorf("%d lost, want %d", s.observed(Lost), c.seen[Lost])
			}
			got := s.fleet.Report().Urgent
			if !c.late {
				got.Late = 0 // a busy machine may be late by itself
			}
			if diff := cmp.Diff(c.lane, got); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRegionDies kills the region that a single-homed vendor is in: it must resume elsewhere, and the accounts close.
func TestRegionDies(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	w := s.wedding(s.config(trio()...))
	s.server.Kill("eu-west") // wedding 0 prefers it
	var receipts []Receipt
	for i := range 20 {
		receipts = append(receipts, s.receipt(w.Urgent("planner-1", fmt.Sprint("message ", i), time.Time{})))
	}
	for _, r := range receipts {
		if r.Outcome != journal.OK || r.Delivered != 2 {
			t.Errorf("receipt: %+v", r)
		}
	}
	if s.observed(Failover) != 3 {
		t.Errorf("%d fail-overs, want 3: every vendor had a socket there", s.observed(Failover))
	}
	if err := w.Leave(s.Context()); err != nil {
		t.Fatal(err)
	}
	recv := map[string]int{}
	for _, r := range s.shut(books) {
		if r.Kind == journal.Recv {
			recv[r.Vendor+" "+r.ID]++
		}
	}
	if len(recv) != 40 {
		t.Errorf("%d deliveries in the journal, want 40", len(recv))
	}
	for key, n := range recv {
		if n != 1 {
			t.Errorf("%s: %d times", key, n)
		}
	}
}

func TestContextEndsEverything(t *testing.T) {
	s := newStage(t, FleetConfig{})
	ctx, cancel := context.WithCancel(s.Context())
	w, err := s.fleet.NewWedding(ctx, s.config(trio()...))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Arrive(ctx, 0); err != nil {
		t.Fatal(err)
	}
	sched, err := w.Schedule(ScheduleConfig{Every: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, ok := sched.Next(s.Context()); ok {
		t.Error("a schedule outlived its wedding")
	}
	<-w.Ended()
	if err := s.server.WaitEmpty(s.within(5 * time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := w.Urgent("planner-1", "x", time.Time{}); err == nil || !strings.Contains(err.Error(), "is over") {
		t.Errorf("publishing after the end: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	w, err := s.fleet.NewWedding(s.Context(), s.config(trio()...))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	_, err = w.Urgent("planner-1", "x", time.Time{})
	expect(err, "await arrive() before")
	if err := w.Arrive(s.Context(), 0); err != nil {
		t.Fatal(err)
	}
	expect(w.Arrive(s.Context(), 0), "arrived already")
	_, err = w.Urgent("nobody", "x", time.Time{})
	expect(err, `no vendor "nobody"`)
	_, err = w.Update("planner-1", "urgent", nil, time.Time{})
	expect(err, "use urgent()")
	_, err = w.Update("planner-1", "x", []byte("{"), time.Time{})
	expect(err, "must be JSON")
	_, err = w.Schedule(ScheduleConfig{Every: -1, For: -1, Jitter: -1})
	expect(err, "every: should")
	expect(err, "for: is negative")
	expect(err, "jitter: should")
	if err := errors.Join(w.Leave(s.Context()), w.Leave(s.Context())); err != nil {
		t.Errorf("leaving twice: %v", err)
	}
	expect(w.Arrive(s.Context(), 0), "arrived already")
	again, err := s.fleet.NewWedding(s.Context(), s.config(trio()...))
	if err != nil {
		t.Fatal(err)
	}
	expect(again.Arrive(s.Context(), 0), "id of its own")
	again.end()
	expect(s.fleet.Open(books), "there is one already")
	s.shut(books)
}

// BenchmarkDelivery is the way of one message through a vendor's callback: accounts, journal and histogram.
func BenchmarkDelivery(b *testing.B) {
	dir := b.TempDir()
	history, err := journal.Open(dir, 1)
	if err != nil {
		b.Fatal(err)
	}
	latency, err := journal.OpenLatency(dir)
	if err != nil {
		b.Fatal(err)
	}
	series, err := latency.Series(journal.Tag(journal.Urgent, "eu-west"))
	if err != nil {
		b.Fatal(err)
	}
	f := New(FleetConfig{})
	w := &Wedding{fleet: f, books: &Books{history, latency}, messages: map[string]*Message{}, latencies: map[string]*[protocol.Lanes]*journal.Series{"eu-west": {series, series, series}}}
	w.cfg.Observe = func(Observation) {}
	for i, v := range Vendors(12, 2, 0, 0, 1) {
		w.vendors = append(w.vendors, &vendor{Vendor: v, w: w, index: i, full: "w001/" + v.Name, arrived: true})
	}
	at := time.Now()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%11 == 0 {
			m := newMessage("k3f9a2x1/w001/planner-1/u17", protocol.Urgent, w.vendors[0], at, DefaultPhase, w.vendors)
			w.messages[m.id] = m
		}
		v := w.vendors[1+n%11]
		v.onMessage(clientMessage("k3f9a2x1/w001/planner-1/u17", at))
	}
	b.StopTimer()
	_, _ = history.Close(), latency.Close()
}

// TestEscalationIsToldToThePlannerAlone, and is nobody's message: the books of deliveries do not have it.
func TestEscalationIsToldToThePlannerAlone(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	w := s.wedding(s.config(trio()...))
	got := client.Message{ID: "esc/w001/u1", Event: protocol.EscalationEvent, Region: "eu-west", Session: 1, At: time.Now()}
	for _, v := range w.vendors {
		v.onMessage(got)
		again := got
		again.SameSession = true
		v.onDuplicate(again)
	}
	if s.observed(Escalated) != 1 || s.observed(Stray)+s.observed(Duplicate)+s.observed(Delivered) != 0 {
		t.Errorf("observed: %v", s.seen)
	}
	if err := w.Leave(s.within(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.shut(books) {
		if r.Kind == journal.Recv || r.Kind == journal.Dup {
			t.Errorf("a line of an escalation: %+v", r)
		}
	}
}
