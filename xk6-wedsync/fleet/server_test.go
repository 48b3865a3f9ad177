package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// realServers runs three nodes of the reference server in this process.
func realServers(t *testing.T) (regions []Region, stop func(region string)) {
	t.Helper()
	names := []string{"eu-west", "us-east", "ap-southeast"}
	var peers []backbone.Peer
	for _, name := range names {
		peers = append(peers, backbone.Peer{Node: name + "-1", Region: name, URL: "nats://" + loopback.Must(t)})
	}
	running := map[string]*server.Server{}
	stop = func(region string) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := running[region].Close(ctx); err != nil {
			t.Errorf("stopping %s: %v", region, err)
		}
	}
	for _, p := range peers {
		s, err := server.New(server.Config{Node: p.Node, Region: p.Region, Listen: "127.0.0.1:0", LogListen: strings.TrimPrefix(p.URL, "nats://"),
			Peers: peers, Dir: t.TempDir(), Dev: true, ClusterSecret: "a-secret-for-the-cluster", SyncInterval: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		running[p.Region] = s
		t.Cleanup(func() { stop(p.Region) })
		regions = append(regions, Region{p.Region, []string{"ws://" + s.Addr() + "/socket"}})
	}
	for _, s := range running {
		for deadline := time.Now().Add(20 * time.Second); s.Ready() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(s.Ready())
			}
		}
	}
	return regions, stop
}

// TestRealServer plays a wedding on the reference server while one of its regions stops.
func TestRealServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	s := newStage(t, FleetConfig{})
	books := s.open()
	regions, stop := realServers(t)
	cfg := s.config(Vendors(12, 2, 0.25, 0, 1)...)
	cfg.Regions, cfg.Limit = regions, 10*time.Second
	w := s.wedding(cfg)
	const messages = 40
	sent := make([]*Message, 0, 2*messages)
	for i := range messages {
		if i == messages/2 {
			stop("eu-west")
		}
		u, err := w.Urgent("planner-1", fmt.Sprint("rain ", i), time.Time{})
		n, err2 := w.Update("band-1", "arrived", []byte(`{"n":1}`), time.Time{})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, u, n)
		time.Sleep(5 * time.Millisecond) // the pace of the test, not a wait for anything
	}
	for _, m := range sent {
		r := m.Wait(t.Context())
		if r.Outcome != journal.OK || r.Expected != 11 || r.Delivered != 11 || len(r.Held) < 2 {
			t.Errorf("receipt: %+v", r)
		}
	}
	// The urgent ones before the stop: who is told of late is not told of less.
	s.eventually("11 confirmations of the first message", func() bool { return sent[0].Wait(t.Context()).Confirmed == 11 })
	if err := w.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, what := range []What{Lost, Duplicate, Stray, Refused} {
		if n := s.observed(what); n != 0 {
			t.Errorf("%d observations of kind %d", n, what)
		}
	}
	if s.observed(Failover)+s.observed(Moved) == 0 {
		t.Error("a region stopped and nobody went elsewhere")
	}
	recv := map[string][]string{}
	for _, r := range s.shut(books) {
		if r.Kind == journal.Recv {
			if slices.Contains(recv[r.ID], r.Vendor) {
				t.Errorf("%s was shown %s twice", r.Vendor, r.ID)
			}
			recv[r.ID] = append(recv[r.ID], r.Vendor)
		}
	}
	if len(recv) != 2*messages {
		t.Errorf("%d messages in the journal, want %d", len(recv), 2*messages)
	}
}
