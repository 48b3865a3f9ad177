package backbone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testConfig(t testing.TB, node string) Config {
	return Config{Node: node, Region: "r-" + node, Listen: "127.0.0.1:0", Dir: filepath.Join(t.TempDir(), node), Secret: "s"}
}

func start(t testing.TB, cfg Config) *Backbone {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, b) })
	return b
}

func stop(t testing.TB, b *Backbone) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// store writes events and waits for the acks of all logs.
func store(t testing.TB, b *Backbone, events ...*Event) []Ack {
	t.Helper()
	n := (1 + len(b.Peers())) * len(events)
	acks := make(chan Ack, n)
	for _, ev := range events {
		if ev.HLC == 0 {
			ev.HLC = b.Clock().Now()
		}
		b.Write(ev, time.Now().Add(5*time.Second), func(a Ack) { acks <- a }, always)
	}
	var all []Ack
	for range n {
		all = append(all, <-acks)
	}
	return all
}

func always() bool { return true }

func logIDs(t testing.TB, b *Backbone, lane protocol.Lane) []string {
	t.Helper()
	var ids []string
	if err := b.Log(t.Context(), lane, func(s Stored) error { ids = append(ids, s.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := Start(t.Context(), Config{Node: "a.b", Listen: "nowhere", MaxAge: -1,
		Peers: []Peer{{"x", "r", "http://x"}, {"x", "r", "nats://x:1"}, {"", "", "nats://y:1"}}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`node "a.b"`, "region is empty", "listen address", "data directory", "secret", "peer x: URL", "twice", "peer is empty", "negative"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not mentioned in:\n%v", want, err)
		}
	}
}

func TestConfigOfALogThatForgetsTooSoon(t *testing.T) {
	cfg := testConfig(t, "n1")
	cfg.MaxAge, cfg.MaxBytes = time.Minute, 1<<20
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "taken for new") || !strings.Contains(err.Error(), "has room for at least") {
		t.Errorf("%v", err)
	}
	cfg.MaxAge, cfg.MaxBytes = minAge, minBytes
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestStartErrorsNameTheCause(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := testConfig(t, "n1")
	taken.Listen = l.Addr().String()
	noPort := testConfig(t, "n1")
	noPort.Listen = "127.0.0.1:http"
	noDir := testConfig(t, "n1")
	noDir.Dir = filepath.Join(os.DevNull, "x")
	broken := testConfig(t, "n1")
	if err := os.MkdirAll(broken.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken.Dir, "log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	twice := testConfig(t, "n2")
	twice.Registerer = prometheus.NewRegistry()
	start(t, twice)
	twice.Dir = t.TempDir()
	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"port in use":          {taken, "address already in use"},
		"port not a number":    {noPort, "must be a number"},
		"directory impossible": {noDir, "log directory"},
		"file in the way":      {broken, "log directory"},
		"registry in use":      {twice, "registry"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			b, err := Start(ctx, tc.cfg)
			if err == nil {
				stop(t, b)
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q is not in: %v", tc.want, err)
			}
		})
	}
}

func TestStrangersAreKeptOut(t *testing.T) {
	b := start(t, testConfig(t, "n1"))
	if conn, err := nats.Connect(b.LogURL()); err == nil {
		conn.Close()
		t.Error("connected without a key")
	}
	key, err := laneKey("another secret", protocol.Urgent)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := nats.Connect(b.LogURL(), nats.Nkey(public, key.Sign)); err == nil {
		conn.Close()
		t.Error("connected with the key of another cluster")
	}
}

// TestSubscriberThatStopsReading is a peer that has subscribed to everything and is then frozen.
func TestSubscriberThatStopsReadingDelaysNobody(t *testing.T) {
	b := start(t, testConfig(t, "n1"))
	frozen := make(chan struct{})
	dial := &freezable{frozen: frozen}
	key, err := laneKey("s", protocol.Urgent)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(b.LogURL(), nats.Nkey(public, key.Sign), nats.SetCustomDialer(dial), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe(">", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	dial.freeze()
	defer close(frozen)
	var slowest time.Duration
	for i := range 200 {
		begun := time.Now()
		if a := store(t, b, &Event{ID: fmt.Sprint(i), Room: "w", Lane: protocol.Urgent, Payload: make([]byte, 64<<10)})[0]; a.Err != nil {
			t.Fatal(a.Err)
		}
		slowest = max(slowest, time.Since(begun))
	}
	if slowest > 500*time.Millisecond {
		t.Errorf("the slowest ack took %v beside a frozen subscriber", slowest)
	}
}

// freezable dials connections whose reads stop.
type freezable struct {
	mu     sync.Mutex
	stuck  bool
	frozen chan struct{}
}

func (f *freezable) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = true
}

func (f *freezable) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return &freezableConn{c, f}, err
}

type freezableConn struct {
	net.Conn
	f *freezable
}

func (c *freezableConn) Read(b []byte) (int, error) {
	c.f.mu.Lock()
	stuck := c.f.stuck
	c.f.mu.Unlock()
	if stuck {
		<-c.f.frozen
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

func TestQueueOverflowIsSkippedAndToldAtOnce(t *testing.T) {
	cfg := testConfig(t, "n1")
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close() // accepts into its backlog, and never answers
	cfg.Peers = []Peer{{"n2", "r2", "nats://" + dead.Addr().String()}}
	cfg.QueueLen = 10
	b := start(t, cfg)
	refused := 0
	var mu sync.Mutex
	for i := range 15 {
		ev := &Event{ID: fmt.Sprint(i), Room: "w", HLC: b.Clock().Now()}
		b.Write(ev, time.Now().Add(200*time.Millisecond), func(a Ack) {
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(a.Err, errQueueFull) && a.Node == "n2" {
				refused++
			}
		}, always)
	}
	mu.Lock()
	if refused != 5 {
		t.Errorf("%d of 15 were skipped at once with a queue of 10, want 5", refused)
	}
	mu.Unlock()
	eventually(t, "the others are given up", func() error {
		for _, l := range b.roster.Load().links[protocol.Normal] {
			l.mu.Lock()
			n, bytes := len(l.pending), l.bytes
			l.mu.Unlock()
			if n > 0 || bytes > 0 {
				return fmt.Errorf("%d of %d bytes pending for %s", n, bytes, l.peer.Node)
			}
		}
		return nil
	})
	if err := b.Ready(); err == nil || !strings.Contains(err.Error(), "another region") {
		t.Errorf("ready: %v", err)
	}
}
