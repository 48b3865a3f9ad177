package stock

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"github.com/wedsync/wedsync/server/changes/pgtest"
)

const (
	secret = "a-secret-of-at-least-thirty-two-bytes"
	// patience bounds the start of the cluster, and of a region that comes back.
	patience = 30 * time.Second
	// stopGrace is how long a region that is drained has for it.
	stopGrace = 10 * time.Second
	// root is the folder of the module.
	root = "../../.."
)

// profile keeps the regions apart as far as it takes to show what depends on order, and no farther: the cases wait for
// what they expect, so that distance would make them slower and nothing else.
var profile = wan.Profile{
	Name: "stock", Source: "made for the tests of this package", Access: 2 * time.Millisecond,
	Regions: []string{"eu-west", "us-east", "ap-southeast"},
	RoundTrips: map[wan.Pair]time.Duration{
		{A: "eu-west", B: "us-east"}: 20 * time.Millisecond, {A: "eu-west", B: "ap-southeast"}: 40 * time.Millisecond,
		{A: "us-east", B: "ap-southeast"}: 50 * time.Millisecond,
	},
}

// venue is the cluster and all that the cases need around it.
type venue struct {
	*cluster.Cluster
	database *database
	told     string // what the cases are told of it
}

// open starts everything; it ends with the test.
func open(t *testing.T) *venue {
	t.Helper()
	network, err := wan.NewProxies(profile, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { must(t, network.Close()) })
	db := openDatabase(t, pgtest.Start(t))
	policy, err := filepath.Abs("testdata/policy.yaml")
	must(t, err)
	c, err := cluster.Start(t.Context(), cluster.Config{
		Network: network, Profile: profile, Dir: t.TempDir(), ServerBinary: build(t),
		JWTSecret: secret, ClusterSecret: "between the servers", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		ExtraArgs: []string{
			"--database", db.url, "--policy", policy,
			// Refusals are tested often; the cases are about what is said, not about the delay.
			"--error-backoff", "50ms", "--join-error-backoff", "50ms",
			// All cases together are more than one application may send.
			"--max-events-per-second", "0", "--max-joins-per-second", "0",
			"--max-presence-events-per-second", "0", "--max-changes-per-second", "0",
		},
	})
	must(t, err)
	t.Cleanup(func() {
		must(t, c.Close())
		if t.Failed() {
			showLogs(t, c)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, c.WaitReady(ctx))

	v := &venue{Cluster: c, database: db}
	v.told = v.tell(t, v.control(t))
	return v
}

// restore starts the regions that are still down, so that one failed case does not fail those of the next file.
func (v *venue) restore(t *testing.T) {
	t.Helper()
	for _, n := range v.Nodes() {
		must(t, v.Network().Isolate(n.Region, false))
		if !n.Alive() {
			must(t, n.Start(t.Context()))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, v.WaitReady(ctx))
}

// tell is the environment of the cases: where everything is.
func (v *venue) tell(t *testing.T, control string) string {
	t.Helper()
	type region struct {
		Name string `json:"name"`
		HTTP string `json:"http"`
	}
	told := struct {
		Regions []region `json:"regions"`
		Secret  string   `json:"secret"`
		Control string   `json:"control"`
	}{Secret: secret, Control: control}
	for _, n := range v.Nodes() {
		told.Regions = append(told.Regions, region{n.Region, n.HTTP()})
	}
	text, err := json.Marshal(told)
	must(t, err)
	return "WEDSYNC_STOCK=" + string(text)
}

// build makes the server under test. WEDSYNC_SERVER names one that is there already.
func build(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("WEDSYNC_SERVER"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "wedsync-server")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/wedsync-server")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0") // as `make build` does, so that the cache is shared
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the server: %v\n%s", err, out)
	}
	return path
}

// dependOnSources makes this test's result depend on the server and the cases: go test sees which folders a test
// reads, but not what the programs read that it starts, and would call an old success a new one.
func dependOnSources(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"js", root + "/server", root + "/protocol", root + "/cmd/wedsync-server"} {
		must(t, filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return err
		}))
	}
}

// showLogs prints the end of each server's log.
func showLogs(t *testing.T, c *cluster.Cluster) {
	for _, n := range c.Nodes() {
		f, err := os.Open(n.LogFile())
		if err != nil {
			t.Log(err)
			continue
		}
		text, err := io.ReadAll(f)
		f.Close()
		lines := strings.Split(string(text), "\n")
		t.Logf("%s (%v):\n%s", n.LogFile(), err, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
