package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"github.com/wedsync/wedsync/reports/nodes"
)

// tinyVar makes this test binary a server that has metrics.
const tinyVar = "WEDSYNC_TINY_SERVER"

func serveTiny() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	listen := os.Args[slices.Index(os.Args, "--listen")+1]
	go func() {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "go_goroutines 9\nwedsync_connections{vsn=\"1\"} 3\nwedsync_connections{vsn=\"2\"} 4\n")
		})))
		os.Exit(1)
	}()
	<-ctx.Done()
}

// smallCluster has two regions of one node each, and room for a second one.
func smallCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	profile := wan.Profile{Name: "test", Regions: []string{"a", "b"}, Access: time.Millisecond,
		RoundTrips: map[wan.Pair]time.Duration{{A: "a", B: "b"}: 2 * time.Millisecond}}
	network, err := wan.NewProxies(profile, logger)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Config{Profile: profile, Dir: t.TempDir(), ServerBinary: self, MaxNodesPerRegion: 2,
		JWTSecret: "x", ClusterSecret: "y", Env: []string{tinyVar + "=1"}, Network: network, Logger: logger})
	if err != nil {
		t.Fatal(errors.Join(err, network.Close()))
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSamplesAreWhatReportsRead: written here, read by package reports/nodes.
func TestSamplesAreWhatReportsRead(t *testing.T) {
	c := smallCluster(t)
	added, err := c.Add(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Nodes()[0].Kill(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "nodes.jsonl")
	s, err := startSampler(t.Context(), path, c.Ever)
	if err != nil {
		t.Fatal(err)
	}
	lines := func() int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
	waitFor(t, "the first samples", func() bool { return lines() >= 3 })
	if err := c.Remove(t.Context(), added); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "samples without the removed node", func() bool { return lines() >= 9 })
	if err := errors.Join(s.close(), s.close()); err != nil {
		t.Error(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all, err := nodes.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	down, up, left := all[0].Samples, all[1].Samples, all[2].Samples
	if down[0].Up || down[0].PID != 0 || down[0].RSS != 0 {
		t.Errorf("a dead node: %+v", down[0])
	}
	if s := up[0]; !s.Up || s.PID == 0 || s.RSS < 1<<20 || s.Goroutines != 9 || s.Connections != 7 || s.Draining || s.Wall == 0 {
		t.Errorf("a node: %+v", s)
	}
	if !left[0].Up || left[len(left)-1].Up {
		t.Errorf("a node that leaves: %+v", left)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// TestFrozenNodeIsUp, and says nothing of itself.
func TestFrozenNodeIsUp(t *testing.T) {
	c := smallCluster(t)
	n := c.Nodes()[0]
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if s := look(t.Context(), n); !s.Up || s.RSS == 0 || s.Goroutines != 0 {
		t.Errorf("%+v", s)
	}
	if took := time.Since(begun); took >= sampleEvery {
		t.Errorf("took %v: the next look would begin before", took)
	}
}

func TestSamplerSaysWhatIsWrong(t *testing.T) {
	if _, err := startSampler(t.Context(), filepath.Join(t.TempDir(), "none", "nodes.jsonl"), nil); err == nil {
		t.Error("a file that cannot be made was accepted")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: no /dev/full")
	}
	s := &sampler{file: full, done: make(chan struct{}), stop: func() {}, last: map[string]int64{}}
	close(s.done)
	s.write(nodes.Sample{Node: "a", Mono: 2})
	s.write(nodes.Sample{Node: "a", Mono: 1}) // too late, and after an error
	if err := s.close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
}
