package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/server/backbone"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	secret   = "a-secret-of-at-least-thirty-two-bytes"
	patience = 10 * time.Second
)

// token returns a good token of a role.
func token(t testing.TB, role string) string {
	return sign(t, jwt.MapClaims{"role": role, "exp": time.Now().Add(time.Hour).Unix()})
}

func sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// logBuffer keeps a node's log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testConfig is a node alone, with errors answered at once.
func testConfig(t testing.TB) Config {
	return Config{
		Node: "eu-west-1", Region: "eu-west", Listen: "127.0.0.1:0", LogListen: "127.0.0.1:0",
		Dir: t.TempDir(), JWTSecret: secret, ClusterSecret: "cluster-secret", SyncInterval: true,
		ErrorBackoff: time.Millisecond, JoinErrorBackoff: time.Millisecond,
	}
}

// node is a running Server of a test.
type node struct {
	*Server
	log *logBuffer
}

// start runs a node until the test ends.
func start(t testing.TB, change ...func(*Config)) *node {
	t.Helper()
	cfg := testConfig(t)
	for _, c := range change {
		c(&cfg)
	}
	n := &node{log: &logBuffer{}}
	cfg.Logger = slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if n.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop(t) })
	return n
}

func (n *node) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("closing %s: %v", n.cfg.Node, err)
	}
}

// metric is the value of a counter or gauge, of the series with the label value if one is given.
func (n *node) metric(t testing.TB, name, label string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is nil, and 0
			}
		}
	}
	t.Fatalf("there is no series %s %s", name, label)
	return 0
}

// startThree runs one node in each of three regions and waits until all are ready.
func startThree(t testing.TB, change ...func(*Config)) []*node {
	t.Helper()
	regions := []string{"eu-west", "us-east", "ap-south"}
	var peers []backbone.Peer
	for _, region := range regions {
		peers = append(peers, backbone.Peer{Node: region + "-1", Region: region, URL: "nats://" + loopback.Must(t)})
	}
	var nodes []*node
	for _, me := range peers {
		set := func(c *Config) {
			c.Node, c.Region, c.LogListen, c.Peers = me.Node, me.Region, strings.TrimPrefix(me.URL, "nats://"), peers
		}
		nodes = append(nodes, start(t, append([]func(*Config){set}, change...)...))
	}
	for _, n := range nodes {
		waitFor(t, n.cfg.Node+" to be ready", func() bool { return n.Ready() == nil })
	}
	return nodes
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		<-tick.C
	}
}

// client is a socket of a test.
type client struct {
	t testing.TB
	*websocket.Conn
}

// dial opens a socket with a token of role authenticated.
func (n *node) dial(t testing.TB, vsn string) *client {
	t.Helper()
	return n.dialWith(t, url.Values{"vsn": {vsn}, "apikey": {token(t, "authenticated")}})
}

func (n *node) dialWith(t testing.TB, query url.Values) *client {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+"/socket/websocket?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &client{t: t, Conn: ws}
}

// say sends text frames.
func (c *client) say(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.WriteMessage(websocket.TextMessage, []byte(f)); err != nil {
			c.t.Fatalf("sending %.100s: %v", f, err)
		}
	}
}

// binary sends a binary frame.
func (c *client) binary(frame string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.BinaryMessage, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next message, with what differs from run to run replaced.
func (c *client) hear() string {
	c.t.Helper()
	return blank(string(c.read()))
}

// read returns the next message.
func (c *client) read() []byte {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	_, message, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("reading: %v", err)
	}
	return message
}

var (
	hlcPattern  = regexp.MustCompile(`"hlc":"\d+"`)
	uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	agoPattern  = regexp.MustCompile(`expired \d+ seconds`)
)

func blank(message string) string {
	message = hlcPattern.ReplaceAllString(message, `"hlc":"H"`)
	message = uuidPattern.ReplaceAllString(message, "UUID")
	return agoPattern.ReplaceAllString(message, "expired N seconds")
}

// expect checks the next messages, which must come exactly so.
func (c *client) expect(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if got := c.hear(); got != want {
			c.t.Fatalf("\n got %q\nwant %q", got, want)
		}
	}
}

// silence checks that nothing else has been sent to the client: the next thing that it hears is the
// answer to a heartbeat. Version 2 only.
func (c *client) silence() {
	c.t.Helper()
	c.say(`[null,"hb","phoenix","heartbeat",{}]`)
	c.expect(`[null,"hb","phoenix","phx_reply",{"status":"ok","response":{}}]`)
}

// play runs a script: lines that begin with "C> " are sent, those with "S> " expected.
func (c *client) play(script string) {
	c.t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if sent, ok := strings.CutPrefix(line, "C> "); ok {
			c.say(sent)
		} else if heard, ok := strings.CutPrefix(line, "S> "); ok {
			c.expect(heard)
		} else if line != "" {
			c.t.Fatalf("script line %q", line)
		}
	}
}

// join joins a topic with a config and takes the reply. The join ref is "1".
func (c *client) join(vsn, topic, config string) {
	c.t.Helper()
	if vsn == "1.0.0" {
		c.say(`{"topic":"` + topic + `","event":"phx_join","payload":{"config":` + config + `},"ref":"1","join_ref":"1"}`)
		c.expect(`{"topic":"` + topic + `","event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[]}},"ref":"1"}`)
		return
	}
	c.say(`["1","1","` + topic + `","phx_join",{"config":` + config + `}]`)
	c.expect(`["1","1","` + topic + `","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
}

// joined is a new version 2 client that has joined a topic.
func (n *node) joined(t testing.TB, topic, config string) *client {
	t.Helper()
	c := n.dial(t, "2.0.0")
	c.join("2.0.0", topic, config)
	return c
}

// closeCode reads until the connection is closed.
func (c *client) closeCode() int {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	for {
		_, _, err := c.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			c.Close()
			return closed.Code
		}
		if err != nil {
			c.t.Fatalf("no close frame: %v", err)
		}
	}
}

// push is a kind 3 frame.
func push(ref, topic, event, meta string, encoding byte, payload string) string {
	return string([]byte{3, 1, byte(len(ref)), byte(len(topic)), byte(len(event)), byte(len(meta)), encoding}) +
		"1" + ref + topic + event + meta + payload
}
