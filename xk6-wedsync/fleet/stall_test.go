package fleet

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// TestStalls: a vendor that stalls gets nothing meanwhile, keeps its socket, and has everything afterwards.
func TestStalls(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	cfg := s.config(trio()...)
	cfg.Stalled = &Stalled{Share: 0.67, Every: time.Hour, For: time.Minute} // 2 of 3: everybody but the planner
	w := s.wedding(cfg)
	band := w.byName["band-1"]
	if band.tap == nil || w.byName["florist-1"].tap == nil || w.byName["planner-1"].tap != nil {
		t.Fatal("the wrong ones stall")
	}
	band.stall(true)
	var sent []*Message
	for i := range 3 {
		m, err := w.Urgent("planner-1", fmt.Sprint("rain ", i), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, m)
	}
	s.eventually("the other vendor's three", func() bool { return s.observed(Delivered) == 3 })
	// It would have given the server up by now if it took its own silence for the server's.
	time.Sleep(1200 * time.Millisecond)
	if s.observed(Delivered) != 3 || s.observed(Failover) != 0 || s.observed(Stall) != 1 {
		t.Errorf("%d delivered, %d failed over, %d stalls", s.observed(Delivered), s.observed(Failover), s.observed(Stall))
	}
	band.stall(false)
	for _, m := range sent {
		if r := m.Wait(t.Context()); r.Delivered != 2 {
			t.Errorf("receipt: %+v", r)
		}
	}
	if r := s.fleet.Report().Urgent; r.Late != 0 {
		t.Errorf("%d late: a vendor that does not read makes nobody late", r.Late)
	}
	if err := w.Leave(s.Context()); err != nil {
		t.Fatal(err)
	}
	var stalls []string
	for _, r := range s.shut(books) {
		if r.Kind == journal.Stall {
			stalls = append(stalls, fmt.Sprint(r.Vendor, r.On))
		}
	}
	if fmt.Sprint(stalls) != "[w001/band-1true w001/band-1false]" {
		t.Errorf("stalls: %v", stalls)
	}
}

// TestStallsBySchedule: they come by themselves, and end with the wedding however long they were meant to last.
func TestStallsBySchedule(t *testing.T) {
	s := newStage(t, FleetConfig{})
	books := s.open()
	cfg := s.config(trio()...)
	cfg.Stalled = &Stalled{Share: 1, Every: 60 * time.Millisecond, For: 20 * time.Millisecond}
	w := s.wedding(cfg)
	s.eventually("two stalls of each", func() bool { return s.observed(Stall) >= 4 })
	if err := w.Leave(s.within(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	on := map[string]bool{}
	for _, r := range s.shut(books) {
		if r.Kind == journal.Stall {
			if on[r.Vendor] == r.On {
				t.Errorf("%s: twice the same", r.Vendor)
			}
			on[r.Vendor] = r.On
		}
	}
	if on["w001/band-1"] || on["w001/florist-1"] || len(on) != 2 {
		t.Errorf("at the end: %v", on)
	}
}

// TestTapStopsTCP: while the tap is shut, a writer on the other side is stopped by TCP itself.
func TestTapStopsTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tap := newTap()
	c, err := tap.through(nil)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	tap.turn(true)
	tap.turn(true)
	read := make(chan int, 1)
	go func() { // ends when c is closed
		b, n := make([]byte, 1<<16), 0
		for {
			k, err := c.Read(b)
			if n += k; err != nil {
				read <- n
				return
			}
		}
	}()
	written := 0
	for err == nil && written < 1<<30 {
		if err = server.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err == nil {
			var k int
			k, err = server.Write(make([]byte, 1<<20))
			written += k
		}
	}
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Fatalf("after %d bytes: %v, want a writer that waits", written, err)
	}
	tap.turn(false)
	tap.turn(false)
	if err := server.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("on we go")); err != nil {
		t.Errorf("after the tap was opened: %v", err)
	}
	server.Close()
	if n := <-read; n != written+len("on we go") {
		t.Errorf("read %d of %d bytes", n, written)
	}
}

// TestTapCloses: a Read that waits for the tap ends with the connection.
func TestTapCloses(t *testing.T) {
	one, other := net.Pipe()
	defer other.Close()
	tap := newTap()
	tap.turn(true)
	c := &tapped{Conn: one, tap: tap, closed: make(chan struct{})}
	done := make(chan struct{})
	go func() { // ends when c is closed
		defer close(done)
		_, _ = c.Read(make([]byte, 1))
	}()
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("a read outlived its connection")
	}
}

// TestStallersShare: over all weddings the share is exact, and no planner is among them.
func TestStallersShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, weddings := rapid.IntRange(2, 30).Draw(t, "vendors"), rapid.IntRange(1, 50).Draw(t, "weddings")
		share, seed := rapid.Float64Range(0, 0.9).Draw(t, "share"), rapid.Uint64().Draw(t, "seed")
		total := 0
		for i := range weddings {
			vendors := Vendors(n, 1, 0, i, seed)
			chosen := stallers(vendors, share, i, seed)
			if chosen[vendors[0].Name] {
				t.Fatal("the planner stalls")
			}
			total += len(chosen)
		}
		if want := int(float64(weddings) * float64(n) * share); share <= float64(n-1)/float64(n)-1/float64(n) && total != want {
			t.Fatalf("%d stall, want %d", total, want)
		}
	})
}

func TestStalledValidate(t *testing.T) {
	err := (&Stalled{Share: 2, Every: time.Second, For: 2 * time.Second}).Validate()
	err2 := (&Stalled{}).Validate()
	for _, want := range []string{"share: should be", "every: should be longer"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err2 == nil || !strings.Contains(err2.Error(), "for: should be") {
		t.Errorf("%v", err2)
	}
}
