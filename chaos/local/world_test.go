package local

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/lab"
	"github.com/wedsync/wedsync/cluster/wan"
	"go.uber.org/goleak"
)

// tinyVar makes this test binary a server for the length of its life: the least that a node must do.
const tinyVar = "WEDSYNC_TINY_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(tinyVar) != "" {
		serve(os.Args[1:])
		return
	}
	os.Exit(lab.RunTests(leakChecked{m}))
}

// serve answers everything with 200 on --listen until it is asked to end. Asked for /burn, it keeps a core busy for a
// while.
func serve(args []string) {
	flags := flag.NewFlagSet("tiny", flag.ContinueOnError)
	var listen string
	for _, name := range []string{"node", "region", "listen", "log-listen", "data", "peers-file"} {
		flags.Func(name, "", func(v string) error {
			if name == "listen" {
				listen = v
			}
			return nil
		})
	}
	if err := flags.Parse(args); err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(listen, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/burn" {
				go func() {
					for end := time.Now().Add(burn); time.Now().Before(end); {
					}
				}()
			}
		})))
		os.Exit(1)
	}()
	<-ctx.Done()
	if os.Getenv(tinyVar) == "rude" {
		os.Exit(3)
	}
}

// burn is how long /burn takes.
const burn = 2 * time.Second

type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// world is a cluster of tiny servers in three near regions, and a driver with little patience.
type world struct {
	*testing.T
	*Driver
	path string // of the journal
}

// best is the kind of network that this machine allows.
func best() wan.Kind {
	if lab.Inside() {
		return wan.Packet
	}
	return wan.Proxy
}

func newWorld(t *testing.T, kind wan.Kind) *world {
	t.Helper()
	return newWorldOf(t, kind, "kind")
}

// newWorldOf has servers that are kind, or rude: those fail when they are asked to end.
func newWorldOf(t *testing.T, kind wan.Kind, servers string) *world {
	t.Helper()
	if kind == wan.Packet && !lab.Inside() {
		t.Skip("SKIPPED: this machine refuses namespaces or TUN devices; see `wedsync doctor`")
	}
	logger := slog.New(slog.DiscardHandler)
	profile := wan.Profile{Name: "test", Regions: []string{"a", "b", "c"}, Access: 4 * time.Millisecond,
		RoundTrips: map[wan.Pair]time.Duration{{A: "a", B: "b"}: 10 * time.Millisecond, {A: "a", B: "c"}: 16 * time.Millisecond, {A: "b", B: "c"}: 20 * time.Millisecond}}
	var net wan.Network
	var err error
	if kind == wan.Proxy {
		net, err = wan.NewProxies(profile, logger)
	} else {
		var l *lab.Lab
		if l, err = lab.Enter(lab.Config{Choice: lab.Packet, Logger: logger}); err == nil {
			net, err = l.Network(profile)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Config{Profile: profile, Dir: t.TempDir(), ServerBinary: self, JWTSecret: "x", ClusterSecret: "y",
		MaxNodesPerRegion: 3, Env: []string{tinyVar + "=" + servers}, Network: net, Logger: logger})
	if err != nil {
		t.Fatal(errors.Join(err, net.Close()))
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "chaos.jsonl")
	j, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	d := New(c, j, 42)
	d.limits = limits{prove: 4 * time.Second, gone: 4 * time.Second, revert: 4 * time.Second}
	return &world{t, d, path}
}

func (w *world) node(name string) *cluster.Node {
	w.Helper()
	for _, n := range w.cluster.Nodes() {
		if n.Name == name {
			return n
		}
	}
	w.Fatalf("no node %s", name)
	return nil
}

func (w *world) inject(e *experiment.Experiment) *Injection {
	w.Helper()
	p, err := w.Plan(e, 5*time.Second)
	if err != nil {
		w.Fatal(err)
	}
	i, err := w.Inject(w.Context(), p)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// refused wants an experiment not to be planned, for this reason.
func (w *world) refused(e *experiment.Experiment, says string) {
	w.Helper()
	if _, err := w.Plan(e, time.Second); err == nil || !strings.Contains(err.Error(), says) {
		w.Errorf("got %v, want %q", err, says)
	}
}

// must ends the test on an error.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// unproved wants a proof to fail, saying this.
func (w *world) unproved(err error, says string) {
	w.Helper()
	var u *Unproved
	if !errors.As(err, &u) || !strings.Contains(err.Error(), says) {
		w.Errorf("got %v, want an Unproved that says %q", err, says)
	}
}

// events are those of the injections in the journal, which must be whole.
func (w *world) events() string {
	w.Helper()
	entries, err := journal.ReadFile(w.path)
	if err != nil {
		w.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if e.Event != journal.EventProbe {
			all = append(all, fmt.Sprintf("%d:%s", e.Injection, e.Event))
		}
	}
	return strings.Join(all, " ")
}

func freezing(s experiment.Selector) *experiment.Experiment {
	e := kill(s)
	e.Kind, e.Name, e.Action, e.Process = experiment.PhysicalMachineChaos, "freeze", experiment.Process, &experiment.ProcessParams{Name: "wedsync-server", Signal: 19}
	return e
}

func losing(percent float64) *experiment.Experiment {
	e := network(experiment.Loss, experiment.Both, in("a"), ptr(in("b")))
	e.Loss.Percent = percent
	return e
}

// packets does things to the packets between a and b.
func packets(what func(*experiment.Experiment)) *experiment.Experiment {
	e := network(experiment.Netem, experiment.Both, in("a"), ptr(in("b")))
	e.Delay, e.Loss = nil, nil
	what(e)
	return e
}

func narrowing(rate int64) *experiment.Experiment {
	e := network(experiment.Bandwidth, experiment.Both, in("a"), ptr(in("b")))
	e.Bandwidth = &experiment.BandwidthParams{Rate: rate, Limit: 100_000, Buffer: 2000}
	return e
}
