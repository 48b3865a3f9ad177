package fleet

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/client"
)

func TestArriveNamesWhoCannot(t *testing.T) {
	s := newStage(t, FleetConfig{})
	cfg := s.config(trio()...)
	cfg.Arrival = 300 * time.Millisecond
	for _, r := range []string{"eu-west", "us-east", "ap-southeast"} {
		s.server.Kill(r)
	}
	w, err := s.fleet.NewWedding(s.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = w.Arrive(s.Context(), 0)
	for _, want := range []string{"3 of 3 vendors", "planner-1, florist-1, band-1", "connection refused"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	w.end()
}

// TestStormDoesNotWaitForItsHead: of vendors that come within a time, none waits for those before it, and each one's
// arrival is counted from when it was due.
func TestStormDoesNotWaitForItsHead(t *testing.T) {
	s := newStage(t, FleetConfig{})
	var dialing, most, arrived atomic.Int32
	all := make(chan struct{})
	cfg := s.config(Vendors(12, 1, 0, 0, 1)...)
	cfg.Parallel, cfg.Patience = 1, 10*time.Second
	cfg.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if most.Store(dialing.Add(1)); most.Load() == 12 {
			close(all)
		}
		<-all // the line of a server that lets nobody in before the last one has come
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	var slowest, quickest atomic.Int64 // the latter negative
	quickest.Store(-int64(time.Hour))
	cfg.Observe = func(o Observation) {
		if o.What == Arrival {
			arrived.Add(1)
			raise(&slowest, int64(o.Latency))
			raise(&quickest, -int64(o.Latency))
		}
	}
	w, err := s.fleet.NewWedding(s.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer w.end()
	start := time.Now()
	if err := w.Arrive(s.within(10*time.Second), 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 180*time.Millisecond {
		t.Errorf("all were there after %s, the last one was due after 183 ms", d)
	}
	if d := time.Duration(slowest.Load() + quickest.Load()); arrived.Load() != 12 || d < 150*time.Millisecond {
		t.Errorf("%d arrivals, want 12; the first one waited %s longer than the last, want some 183 ms", arrived.Load(), d)
	}
}

// TestMoved: leaving a socket because the server asks for it is no fail-over.
func TestMoved(t *testing.T) {
	s := newStage(t, FleetConfig{})
	w := s.wedding(s.config(trio()...))
	band := w.byName["band-1"]
	for _, state := range []client.State{{Session: 7, Region: "us-east", Phase: client.Joined},
		{Session: 1, Region: "eu-west", Phase: client.Left, Reason: client.ReasonMoved}, {Session: 1, Region: "eu-west", Phase: client.Closed, Reason: client.ReasonMoved}} {
		state.At = time.Now()
		band.onState(state)
	}
	if s.observed(Moved) != 1 || s.observed(Failover) != 0 || s.fleet.Report().Joined != 5 {
		t.Errorf("%d moves, %d fail-overs, %d sockets", s.observed(Moved), s.observed(Failover), s.fleet.Report().Joined)
	}
}
