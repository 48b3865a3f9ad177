package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/socket"
)

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := New(Config{Listen: "4000", JWTSecret: "short", Peers: []backbone.Peer{{Node: "a"}, {Node: "a", Region: "r", URL: "u"}},
		ErrorBackoff: -1, DrainBatch: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"set --node", "set --region", `--listen "4000" is not an address`, `--log-listen "" is not an address`, "set --data",
		"the JWT secret has 5 bytes: use at least 16", "set --cluster-secret", `peer "a" is incomplete`,
		`two nodes are called "a"`, "--error-backoff is -1ns", "--drain-batch is -1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestNoSecretNoStart(t *testing.T) {
	cfg := testConfig(t)
	cfg.JWTSecret = ""
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "WEDSYNC_JWT_SECRET") {
		t.Errorf("%v", err)
	}
}

func TestPortInUse(t *testing.T) {
	n := start(t)
	cfg := testConfig(t)
	cfg.Listen = n.Addr()
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), n.Addr()+" is in use by another process") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("%v", err)
	}
}

func TestLogPortInUse(t *testing.T) {
	n := start(t)
	cfg := testConfig(t)
	cfg.LogListen = n.Addr()
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(context.Background()); err == nil || !strings.Contains(err.Error(), n.Addr()) {
		t.Errorf("%v", err)
	}
}

func TestShutdownTellsClientsToComeBack(t *testing.T) {
	n := start(t)
	c := n.joined(t, "realtime:r", `{}`)
	done := make(chan struct{})
	go func() { // ends with the node
		defer close(done)
		n.stop(t)
	}()
	if code := c.closeCode(); code != socket.CloseRestart {
		t.Errorf("closed with %d, want 1012", code)
	}
	<-done
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("ready: %v", err)
	}
	for _, gauge := range []float64{testutil.ToFloat64(n.metrics.Connections), testutil.ToFloat64(n.metrics.Subscriptions)} {
		if gauge != 0 {
			t.Errorf("%v left behind", gauge)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	cfg := testConfig(t)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }() // ends with ctx
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("still running")
	}
}

// A node whose port is taken away says so and ends, instead of living on without clients.
func TestRunEndsWhenServingFails(t *testing.T) {
	s, err := New(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	serving := make(chan struct{})
	s.log = slog.New(notify{slog.DiscardHandler, "serving", serving})
	go func() { ended <- s.Run(context.Background()) }() // ends when serving fails
	<-serving
	if err := s.listeners[0].Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "serving "+s.Addr()) {
			t.Errorf("%v", err)
		}
	case <-time.After(patience):
		t.Fatal("still running")
	}
}

// notify closes a channel when a message is logged for the first time.
type notify struct {
	slog.Handler
	message string
	seen    chan struct{}
}

func (n notify) Enabled(context.Context, slog.Level) bool { return true }

func (n notify) Handle(_ context.Context, r slog.Record) error {
	if r.Message == n.message {
		close(n.seen)
	}
	return nil
}

// What still waits when the grace is over is cut off: here a publish that nobody will ever hold.
func TestCloseIsBounded(t *testing.T) {
	n := start(t, func(c *Config) {
		c.HoldDeadline = time.Hour
		c.Peers = []backbone.Peer{{Node: "far-1", Region: "far", URL: "nats://" + loopback.Must(t)}}
	})
	c := n.joined(t, "realtime:r", `{}`)
	other := n.joined(t, "realtime:r", `{}`)
	c.say(`["1","2","realtime:r","broadcast",{"event":"urgent"}]`)
	other.hear()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_ = n.Close(ctx) // it says what it had to cut off
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("took %s", took)
	}
}

func (n *node) get(t testing.TB, path, bearer string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+n.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(body))
}

func TestProbes(t *testing.T) {
	n := start(t)
	waitFor(t, "the node to be ready", func() bool { return n.Ready() == nil })
	for path, want := range map[string]string{
		"/healthz":              `{"status":"ok","node":"eu-west-1","region":"eu-west"}`,
		"/readyz":               `{"status":"ready"}`,
		"/healthcheck":          `ok`,
		"/api/ping":             `{"message":"Success"}`,
		"/realtime/v1/api/ping": `{"message":"Success"}`,
	} {
		if status, body := n.get(t, path, ""); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	if status, body := n.get(t, "/metrics", ""); status != http.StatusOK || !strings.Contains(body, "wedsync_connections 0") {
		t.Errorf("/metrics: %d %.200s", status, body)
	}
}

// All metrics of a node together, those of the backbone too, follow the rules of Prometheus.
func TestMetricsOfAWholeNode(t *testing.T) {
	problems, err := testutil.GatherAndLint(start(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAuditLog(t *testing.T) {
	n := start(t)
	c := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	c.publishAcked("m1")
	c.say(`["1","n1","realtime:r","broadcast",{"event":"x","meta":{"id":"n1"}}]`)
	c.hear()
	for lane, id := range map[string]string{"urgent": "m1", "normal": "n1"} {
		status, body := n.get(t, "/admin/log?lane="+lane, token(t, "service_role"))
		var line struct {
			ID, Room, Origin, HLC string
			Seq                   uint64
			StoredWallNS          int64 `json:"stored_wall_ns"`
		}
		if err := json.Unmarshal([]byte(body), &line); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s: %v", lane, status, body, err)
		}
		age := time.Since(time.Unix(0, line.StoredWallNS))
		if line.ID != id || line.Room != "private:r" || line.Origin != "eu-west-1" || line.HLC == "" || line.Seq == 0 || age < 0 || age > time.Minute {
			t.Errorf("%s: %s", lane, body)
		}
	}
	for bearer, want := range map[string]int{"": 401, "words": 401, token(t, "authenticated"): 403} {
		if status, body := n.get(t, "/admin/log?lane=urgent", bearer); status != want {
			t.Errorf("%d %s, want %d", status, body, want)
		}
	}
	for _, lane := range []string{"fast", "bulk"} {
		if status, body := n.get(t, "/admin/log?lane="+lane, token(t, "service_role")); status != 400 || !strings.Contains(body, "use urgent") {
			t.Errorf("%s: %d %s", lane, status, body)
		}
	}
}
