package control

import (
	"context"
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

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// tinyVar makes this test binary a server: the least that a node must do.
const tinyVar = "WEDSYNC_TINY_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(tinyVar) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	listen := os.Args[slices.Index(os.Args, "--listen")+1]
	go func() {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "wedsync_connections 7\n") })))
		os.Exit(1)
	}()
	<-ctx.Done()
	stop()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve starts a cluster of two regions and serves it in dir.
func serve(t *testing.T, dir string, scaling bool) (*cluster.Cluster, *Server) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	profile := wan.Profile{Name: "test", Regions: []string{"a", "b"}, Access: time.Millisecond,
		RoundTrips: map[wan.Pair]time.Duration{{A: "a", B: "b"}: 2 * time.Millisecond}}
	network, err := wan.NewProxies(profile, logger)
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	c, err := cluster.Start(t.Context(), cluster.Config{Profile: profile, Dir: dir, ServerBinary: self, MaxNodesPerRegion: 2,
		JWTSecret: "x", ClusterSecret: "y", Env: []string{tinyVar + "=1"}, Network: network, Logger: logger})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	must(t, c.WaitReady(t.Context()))
	s, err := Serve(Config{Cluster: c, Dir: dir, Scaling: scaling, Logger: logger})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return c, s
}

// long is a directory whose path is longer than that of a socket may be.
func long(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "cluster-1")
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

func TestStatusUpgradeScale(t *testing.T) {
	dir := long(t)
	c, _ := serve(t, dir, false)
	client, err := Find(filepath.Join(filepath.Dir(dir), "cluster-*"))
	must(t, err)
	nodes, err := client.Status(t.Context())
	must(t, err)
	if len(nodes) != 2 || nodes[0].Node != "a-1" || nodes[0].State != "ready" || nodes[0].PID != c.Nodes()[0].Pid() || nodes[0].Connections != 7 || nodes[0].RSS == 0 || len(nodes[0].SHA256) != 64 {
		t.Errorf("%+v", nodes)
	}
	pid := nodes[0].PID
	var said []string
	hear := func(text string) { said = append(said, text[:strings.IndexAny(text+":", ":,")]) }
	must(t, client.Upgrade(t.Context(), "", hear))
	must(t, client.Scale(t.Context(), "b", 2, hear))
	must(t, client.Scale(t.Context(), "b", 1, hear))
	want := []string{"replacing 2 nodes", "a-1", "b-1", "b-2", "b has 2 node(s)", "b-2", "b has 1 node(s)"}
	if d := cmp.Diff(want, said); d != "" {
		t.Error(d)
	}
	if now := c.Nodes()[0].Pid(); now == pid {
		t.Error("the process is the same after an upgrade")
	}
	must(t, c.Nodes()[1].Kill())
	nodes, err = client.Status(t.Context())
	must(t, err)
	if nodes[1].State != "down" {
		t.Errorf("%+v", nodes[1])
	}
	for what, do := range map[string]func() error{
		"at least one":      func() error { return client.Scale(t.Context(), "a", 0, hear) },
		"no region":         func() error { return client.Scale(t.Context(), "c", 1, hear) },
		"no more":           func() error { return client.Scale(t.Context(), "a", 3, hear) },
		"no/such":           func() error { return client.Upgrade(t.Context(), "/no/such", hear) },
		"is running in":     func() error { _, err := Serve(Config{Cluster: c, Dir: dir}); return err },
		"none in /nowhere":  func() error { _, err := Find("/nowhere"); return err },
		"running in /nowhe": func() error { _, err := Open("/nowhere"); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want it to say %q", err, what)
		}
	}
}

func TestOneOperationAtATime(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir, false)
	s.one.Lock()
	if err := (&Client{dir}).Scale(t.Context(), "a", 1, func(string) {}); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("%v", err)
	}
	s.one.Unlock()
}

// TestUpgradeGoesOn: also when whoever asked for it has gone.
func TestUpgradeGoesOn(t *testing.T) {
	dir := t.TempDir()
	c, _ := serve(t, dir, false)
	before := map[string]int{}
	for _, n := range c.Nodes() {
		before[n.Name] = n.Pid()
	}
	ctx, cancel := context.WithCancel(t.Context())
	// The first word comes before the first node is drained.
	if err := (&Client{dir}).Upgrade(ctx, "", func(string) { cancel() }); err == nil || !strings.Contains(err.Error(), "cluster status") {
		t.Errorf("%v", err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, n := range c.Nodes() {
		for n.Pid() == before[n.Name] || n.Ready(t.Context()) != nil {
			if time.Now().After(deadline) {
				t.Fatalf("%s was not replaced", n)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func TestScalingClusterIsNotScaledByHand(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, true)
	if err := (&Client{dir}).Scale(t.Context(), "a", 2, func(string) {}); err == nil || !strings.Contains(err.Error(), "--scaling") {
		t.Errorf("%v", err)
	}
}

func TestSeveralClusters(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cluster-1", "cluster-2"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		serve(t, filepath.Join(dir, name), false)
	}
	if _, err := Find(filepath.Join(dir, "cluster-*")); err == nil || !strings.Contains(err.Error(), "2 clusters are running") {
		t.Errorf("%v", err)
	}
}

// TestSocketOfAKilledCluster is taken over.
func TestSocketOfAKilledCluster(t *testing.T) {
	dir := t.TempDir()
	c, _ := serve(t, t.TempDir(), false)
	s, err := Serve(Config{Cluster: c, Dir: dir})
	must(t, err)
	must(t, os.Rename(filepath.Join(dir, socketName), filepath.Join(dir, "kept")))
	must(t, s.Close())
	must(t, os.Rename(filepath.Join(dir, "kept"), filepath.Join(dir, socketName))) // nobody listens to it
	if _, err := Open(dir); err == nil {
		t.Fatal("a socket without a cluster was taken for one")
	}
	s, err = Serve(Config{Cluster: c, Dir: dir})
	must(t, err)
	must(t, s.Close())
}
