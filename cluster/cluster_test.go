package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/cluster/lab"
	"github.com/wedsync/wedsync/cluster/wan"
)

func profile() wan.Profile {
	return wan.Profile{Name: "test", Regions: []string{"a", "b", "c"}, Access: 4 * time.Millisecond,
		RoundTrips: map[wan.Pair]time.Duration{{A: "a", B: "b"}: 10 * time.Millisecond, {A: "a", B: "c"}: 14 * time.Millisecond, {A: "b", B: "c"}: 20 * time.Millisecond}}
}

// onBoth runs a test in each kind of network.
func onBoth(t *testing.T, test func(t *testing.T, cfg Config)) {
	for _, kind := range []wan.Kind{wan.Packet, wan.Proxy} {
		t.Run(string(kind), func(t *testing.T) { test(t, config(t, kind, "well")) })
	}
}

// config is a cluster of test servers; the log of this package goes to logged.
func config(t *testing.T, kind wan.Kind, how string) Config {
	t.Helper()
	if kind == wan.Packet && !lab.Inside() {
		t.Skip("SKIPPED: this machine refuses namespaces or TUN devices; see `wedsync doctor`")
	}
	choice := lab.Proxy
	if kind == wan.Packet {
		choice = lab.Packet
	}
	l, err := lab.Enter(lab.Config{Choice: choice})
	must(t, err)
	network, err := l.Network(profile())
	must(t, err)
	t.Cleanup(func() { must(t, network.Close()) })
	self, err := os.Executable()
	must(t, err)
	return Config{Network: network, Profile: profile(), Dir: t.TempDir(), ServerBinary: self, JWTSecret: "0123456789abcdef",
		ClusterSecret: "s", Env: []string{serverVar + "=" + how, "GORACE=atexit_sleep_ms=0"}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func start(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, c.WaitReady(ctx))
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestClusterStartsAndLeavesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		cfg.NodesPerRegion = 2
		c := start(t, cfg)
		var names []string
		for _, n := range c.Nodes() {
			names = append(names, n.Name)
			if !n.Alive() || n.Pid() == 0 || n.State() == 0 {
				t.Errorf("%s: alive %v, pid %d, state %c", n, n.Alive(), n.Pid(), n.State())
			}
			if _, ended := n.Exited(); ended {
				t.Errorf("%s has ended", n)
			}
		}
		if d := cmp.Diff([]string{"a-1", "a-2", "b-1", "b-2", "c-1", "c-2"}, names); d != "" {
			t.Error(d)
		}
		must(t, c.Close())
		for _, n := range c.Nodes() {
			if n.Alive() || syscall.Kill(n.Pid(), 0) == nil {
				t.Errorf("process %d of %s is left", n.Pid(), n)
			}
			text, err := os.ReadFile(n.LogFile())
			must(t, err)
			if !strings.Contains(string(text), "stopped as asked") {
				t.Errorf("%s was not stopped kindly; its log:\n%s", n, text)
			}
		}
	})
}

func TestNodeLivesAndDies(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		c := start(t, cfg)
		n := c.Nodes()[1]
		first := n.Pid()

		must(t, n.Kill())
		if n.Alive() || n.State() != 0 {
			t.Error("alive after Kill")
		}
		if exit, ended := n.Exited(); !ended || !exit.Wanted || exit.Status != "signal: killed" {
			t.Errorf("Exited = %+v, %v", exit, ended)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := n.Ready(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("a killed node: %v, want a refusal", err)
		}
		if err := n.Signal(syscall.SIGSTOP); err == nil {
			t.Error("a killed node took a signal")
		}
		must(t, n.Kill()) // again does no harm

		must(t, n.Start(t.Context()))
		must(t, c.WaitReady(t.Context(), n))
		if n.Pid() == first {
			t.Error("started again with the same process")
		}
		if err := n.Start(t.Context()); err == nil {
			t.Error("a running node was started")
		}
		if data, err := os.ReadFile(filepath.Join(n.DataDir(), "starts")); err != nil || string(data) != "xx" {
			t.Errorf("data %q, %v: want that of the first start kept", data, err)
		}

		must(t, n.Signal(syscall.SIGSTOP))
		waitState(t, n, 'T')
		frozen, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := n.Ready(frozen); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a frozen node: %v, want silence", err)
		}
		must(t, n.Signal(syscall.SIGCONT))
		must(t, c.WaitReady(t.Context(), n))

		must(t, n.Signal(syscall.SIGSTOP))
		must(t, n.Stop(5*time.Second)) // also when frozen, and kindly
		if exit, _ := n.Exited(); exit.Status != "exit status 0" {
			t.Errorf("a stopped node: %+v", exit)
		}
	})
}

func waitState(t *testing.T, n *Node, want byte) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); n.State() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is in state %c, want %c", n, n.State(), want)
		}
	}
}

func TestReadinessIsAskedThroughTheNetwork(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		c := start(t, cfg)
		n := c.Nodes()[2]
		must(t, c.Network().Isolate(n.Region, true))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := c.WaitReady(ctx, n); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an isolated node: %v, want it not to be reached", err)
		}
		must(t, c.Network().Isolate(n.Region, false))
		must(t, c.WaitReady(t.Context()))
	})
}

func TestVenueReachesNodesByTheirURL(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		n := start(t, cfg).Nodes()[0]
		start := time.Now()
		response, err := http.Get(n.HTTP() + "/readyz") // this process is in the venue
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		response.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		if string(body) != "ready a-1\n" {
			t.Errorf("answer %q", body)
		}
		if took := time.Since(start); took < 8*time.Millisecond {
			t.Errorf("took %v, want at least two round trips of 4ms", took)
		}
		if want := "ws://" + strings.TrimPrefix(n.HTTP(), "http://") + "/socket"; n.WebSocket() != want {
			t.Errorf("WebSocket = %s, want %s", n.WebSocket(), want)
		}
	})
}

func TestGatewayLetsTheHostIn(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg Config) {
		c := start(t, cfg)
		n := c.Nodes()[1]
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		g := NewGateway(c.Network(), l, n, cfg.Logger)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
		response, err := client.Get("http://" + g.Addr() + "/readyz")
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		response.Body.Close()
		if string(body) != "ready b-1\n" {
			t.Errorf("answer %q", body)
		}
		must(t, n.Kill())
		if response, err := client.Get("http://" + g.Addr() + "/readyz"); err == nil {
			response.Body.Close()
			t.Error("a dead node answered")
		}
		open, err := net.Dial("tcp", g.Addr())
		must(t, err)
		defer open.Close()
		must(t, g.Close())
		must(t, open.SetReadDeadline(time.Now().Add(2*time.Second)))
		if _, err := open.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection outlived its gateway: %v", err)
		}
	})
}

func TestServerThatEndsAtOnceIsExplained(t *testing.T) {
	cfg := config(t, wan.Proxy, "ends")
	var logged syncBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	c, err := Start(t.Context(), cfg)
	must(t, err)
	defer c.Close()
	err = c.WaitReady(t.Context())
	if err == nil {
		t.Fatal("a cluster of servers that end became ready")
	}
	for _, want := range []string{"a-1 has ended", "exit status 3", "made of cheese", "a-1.log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if exit, _ := c.Nodes()[0].Exited(); exit.Wanted {
		t.Error("an end of its own counts as wanted")
	}
	if !strings.Contains(logged.String(), "ended by itself") {
		t.Errorf("it was not logged: %s", logged.String())
	}
}

func TestStubbornServerIsKilled(t *testing.T) {
	cfg := config(t, wan.Proxy, "stubborn")
	c := start(t, cfg)
	n := c.Nodes()[0]
	must(t, n.Stop(100*time.Millisecond))
	if exit, _ := n.Exited(); exit.Status != "signal: killed" {
		t.Errorf("%+v", exit)
	}
	for _, n := range c.Nodes() {
		must(t, n.Kill()) // not to wait for the grace of each
	}
}

func TestUnreadyServerIsNamed(t *testing.T) {
	c, err := Start(t.Context(), config(t, wan.Proxy, "unready"))
	must(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.WaitReady(ctx); err == nil || !strings.Contains(err.Error(), "not today") || !strings.Contains(err.Error(), "b-1") {
		t.Errorf("%v", err)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := Start(t.Context(), Config{ServerBinary: filepath.Join(t.TempDir(), "none"), NodesPerRegion: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Network", "NodesPerRegion", "Dir", "JWTSecret", "make build"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s:\n%v", want, err)
		}
	}
	cfg := config(t, wan.Proxy, "well")
	cfg.Regions = []string{"a", "mars", "a"}
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `no "mars"`) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("regions: %v", err)
	}
	cfg.Regions, cfg.ServerBinary = nil, t.TempDir()
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "not a program") {
		t.Errorf("a directory as server: %v", err)
	}
}

func TestTokenIsSigned(t *testing.T) {
	c := &Cluster{cfg: Config{JWTSecret: "0123456789abcdef"}}
	text, err := c.Token("service_role")
	must(t, err)
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return []byte("0123456789abcdef"), nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	must(t, err)
	if role := token.Claims.(jwt.MapClaims)["role"]; role != "service_role" {
		t.Errorf("role %v", role)
	}
}

func TestLabelsAreThoseOfAStatefulSet(t *testing.T) {
	n := Names([]string{"eu-west"}, 2)[1]
	want := map[string]string{"app.kubernetes.io/name": "wedsync-server", "topology.kubernetes.io/region": "eu-west",
		"statefulset.kubernetes.io/pod-name": "eu-west-2"}
	if d := cmp.Diff(want, n.Labels()); d != "" {
		t.Error(d)
	}
	if n.Alive() || n.Pid() != 0 || n.State() != 0 || n.Kill() != nil || n.Signal(syscall.SIGSTOP) == nil {
		t.Error("a node that was never started has a process")
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"one", "one"}, {"one\ntwo\n", "one\ntwo"}, {"one\ntwo\nthree\n\n", "two\nthree"},
		{strings.Repeat("x\n", 100000) + "y", "x\ny"},
	} {
		must(t, os.WriteFile(path, []byte(c.text), 0o644))
		if got := tail(path, 2); got != c.want {
			t.Errorf("tail of %.20q = %q, want %q", c.text, got, c.want)
		}
	}
	if got := tail(filepath.Join(t.TempDir(), "none"), 2); got != "" {
		t.Errorf("tail of nothing = %q", got)
	}
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
