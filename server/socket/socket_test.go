package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// end is one connection of a test: the server's socket, the client's, and how the socket ended.
type end struct {
	socket *Socket
	client *websocket.Conn
	why    chan string
	log    *safeBuffer
}

// connect returns a connected pair. handle runs on the server for each message.
func connect(t testing.TB, cfg Config, handle func(s *Socket, binary bool, message []byte)) *end {
	t.Helper()
	cfg = cfg.WithDefaults()
	return connectWith(t, &cfg, handle)
}

// connectShared returns a pair whose socket shares its configuration with others.
func connectShared(t testing.TB, cfg *Config) *end {
	t.Helper()
	return connectWith(t, cfg, nil)
}

func connectWith(t testing.TB, cfg *Config, handle func(s *Socket, binary bool, message []byte)) *end {
	t.Helper()
	e := &end{why: make(chan string, 1), log: &safeBuffer{}}
	if cfg.Metrics == nil {
		metrics, err := telemetry.New(prometheus.NewRegistry(), "n", "r")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Metrics, cfg.Logger = metrics, slog.New(slog.NewTextHandler(e.log, nil))
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	sockets := make(chan *Socket, 1)
	up := websocket.Upgrader{ReadBufferSize: ReadBuffer, WriteBufferPool: &sync.Pool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		s := New(ws, cfg)
		sockets <- s
		e.why <- s.Run(func(binary bool, message []byte) {
			if handle != nil {
				handle(s, binary, message)
			}
		})
	}))
	t.Cleanup(server.Close)
	var err error
	e.client, _, err = websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.client.Close() })
	e.socket = <-sockets
	if err := e.client.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return e
}

// ended waits for the reason of the end.
func (e *end) ended(t *testing.T) string {
	t.Helper()
	select {
	case why := <-e.why:
		return why
	case <-time.After(patience):
		t.Fatal("the socket did not end")
		return ""
	}
}

// closeCode reads until the connection is closed, and hangs up.
func (e *end) closeCode(t *testing.T) int {
	t.Helper()
	defer e.client.Close()
	for {
		_, _, err := e.client.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return closed.Code
		}
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestEchoOfEverySize(t *testing.T) {
	e := connect(t, Config{}, func(s *Socket, binary bool, message []byte) {
		f := Text
		if binary {
			f = Binary
		}
		s.Send(protocol.Normal, f(append(Begin(len(message)), message...)))
	})
	for _, n := range []int{0, 1, 125, 126, 511, 512, 513, 65535, 65536, 4_999_999} {
		kind := websocket.TextMessage
		if n%2 == 1 {
			kind = websocket.BinaryMessage
		}
		sent := bytes.Repeat([]byte{'x'}, n)
		if err := e.client.WriteMessage(kind, sent); err != nil {
			t.Fatal(err)
		}
		gotKind, got, err := e.client.ReadMessage()
		if err != nil || gotKind != kind || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came back as %d of kind %d: %v", n, len(got), gotKind, err)
		}
	}
	waitFor(t, "the writer to end", func() bool {
		e.socket.mu.Lock()
		defer e.socket.mu.Unlock()
		return !e.socket.pending()
	})
}

func TestMessageOverTheLimit(t *testing.T) {
	e := connect(t, Config{}, nil)
	if err := e.client.WriteMessage(websocket.TextMessage, make([]byte, 6_000_000)); err != nil {
		t.Logf("the client could not finish writing, which is fine: %v", err)
	}
	if code := e.closeCode(t); code != CloseTooBig {
		t.Errorf("closed with %d, want %d", code, CloseTooBig)
	}
	if why := e.ended(t); why != "too_big" {
		t.Errorf("ended by %q", why)
	}
	if log := e.log.String(); !strings.Contains(log, "over the limit") || !strings.Contains(log, "limit_bytes=5000000") {
		t.Errorf("the log does not say what happened: %s", log)
	}
}

func TestIdleSocketIsClosed(t *testing.T) {
	e := connect(t, Config{IdleTimeout: 50 * time.Millisecond}, nil)
	if code := e.closeCode(t); code != CloseNormal {
		t.Errorf("closed with %d, want %d", code, CloseNormal)
	}
	if why := e.ended(t); why != "idle" {
		t.Errorf("ended by %q", why)
	}
}

func TestCloseByServerComesAfterWhatIsQueued(t *testing.T) {
	e := connect(t, Config{}, nil)
	e.socket.Send(protocol.Normal, textFrame("last words"))
	e.socket.Close(CloseRestart, "the server restarts", "shutdown")
	if e.socket.Send(protocol.Urgent, textFrame("too late")) {
		t.Error("a closing socket took a frame")
	}
	_, got, err := e.client.ReadMessage()
	if err != nil || string(got) != "last words" {
		t.Fatalf("read %q, %v", got, err)
	}
	if code := e.closeCode(t); code != CloseRestart {
		t.Errorf("closed with %d", code)
	}
	if why := e.ended(t); why != "shutdown" {
		t.Errorf("ended by %q", why)
	}
}

func TestCloseOfASilentPeerIsBounded(t *testing.T) {
	e := connect(t, Config{CloseGrace: 20 * time.Millisecond}, nil)
	e.socket.Close(CloseRestart, "", "shutdown") // the client never reads, so it never answers
	if why := e.ended(t); why != "shutdown" {
		t.Errorf("ended by %q", why)
	}
}

func TestEndsByTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(c *websocket.Conn) error
		why  string
		code int // what the client gets, or 0
	}{
		"close frame": {func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"))
		}, "client", 1000},
		"close frame without code": {func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.CloseMessage, nil)
		}, "client", 1000},
		"hang up":        {func(c *websocket.Conn) error { return c.Close() }, "lost", 0},
		"unmasked frame": {func(c *websocket.Conn) error { _, err := c.NetConn().Write([]byte{0x81, 0}); return err }, "protocol", 1002},
		"garbage": {func(c *websocket.Conn) error {
			_, err := c.NetConn().Write(bytes.Repeat([]byte{0xFF}, 64))
			return err
		}, "protocol", 1002},
	} {
		t.Run(name, func(t *testing.T) {
			e := connect(t, Config{}, nil)
			if err := c.act(e.client); err != nil {
				t.Fatal(err)
			}
			if c.code != 0 {
				if code := e.closeCode(t); code != c.code {
					t.Errorf("closed with %d, want %d", code, c.code)
				}
			}
			if why := e.ended(t); why != c.why {
				t.Errorf("ended by %q, want %q", why, c.why)
			}
		})
	}
}

func TestPing(t *testing.T) {
	e := connect(t, Config{}, nil)
	pong := make(chan string, 1)
	e.client.SetPongHandler(func(data string) error {
		pong <- data
		return io.EOF // ends ReadMessage below
	})
	if err := e.client.WriteControl(websocket.PingMessage, []byte("hi"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _, err := e.client.ReadMessage()
	select {
	case data := <-pong:
		if data != "hi" {
			t.Errorf("pong %q", data)
		}
	default:
		t.Errorf("no pong: %v", err)
	}
}

// A client that stops reading is disconnected once a lane is full, counted, and told why if it ever
// reads again; until then nobody who sends to it waits.
func TestSlowReaderIsDisconnected(t *testing.T) {
	for _, lane := range []protocol.Lane{protocol.Normal, protocol.Urgent} {
		t.Run(lane.String(), func(t *testing.T) {
			e := connect(t, Config{NormalFrames: 8, UrgentFrames: 8, CloseGrace: 50 * time.Millisecond}, nil)
			f := textFrame(strings.Repeat("x", 256<<10))
			sent := 0
			for ; e.socket.Send(lane, f); sent++ {
				if sent > 1000 {
					t.Fatal("256 MB were taken for a client that does not read")
				}
			}
			if why := e.ended(t); why != "overflow" {
				t.Errorf("ended by %q after %d frames", why, sent)
			}
			if got := testutil.ToFloat64(e.socket.cfg.Metrics.SlowConsumers); got != 1 {
				t.Errorf("%v slow consumers counted", got)
			}
		})
	}
}

// The write deadline ends a connection whose peer is gone without a word.
func TestStalledWriteEnds(t *testing.T) {
	e := connect(t, Config{WriteTimeout: 50 * time.Millisecond}, nil)
	f := textFrame(strings.Repeat("x", 1<<20))
	for range 3 { // far below the bound of the lane, but more than the kernel takes
		e.socket.Send(protocol.Normal, f)
		e.socket.Send(protocol.Urgent, f)
	}
	for e.socket.Wait(context.Background(), protocol.Normal, 1) {
		e.socket.Send(protocol.Normal, f)
	}
	if why := e.ended(t); why != "stalled" {
		t.Errorf("ended by %q", why)
	}
}

func TestWaitFollowsTheReader(t *testing.T) {
	e := connect(t, Config{NormalFrames: 64}, nil)
	const frames = 500
	f := textFrame(strings.Repeat("x", 32<<10))
	done := make(chan bool)
	go func() { // ends with the loop
		ok := true
		for range frames {
			ok = ok && e.socket.Wait(context.Background(), protocol.Normal, 32) && e.socket.Send(protocol.Normal, f)
		}
		done <- ok
	}()
	for range frames {
		if _, _, err := e.client.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	if !<-done {
		t.Error("the socket ended although its sender waited")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if e.socket.Wait(ctx, protocol.Normal, 0) {
		t.Error("waiting for fewer than no frames succeeded")
	}
}

// Few frames can be too much, too: a replay of large messages waits for its reader as well.
func TestWaitMindsBytes(t *testing.T) {
	e := connect(t, Config{NormalBytes: 4_000_000}, nil)
	const frames = 10
	f := textFrame(strings.Repeat("x", 2_500_000))
	done := make(chan bool)
	go func() { // ends with the loop
		ok := true
		for range frames {
			ok = ok && e.socket.Wait(context.Background(), protocol.Normal, 256) && e.socket.Send(protocol.Normal, f)
		}
		done <- ok
	}()
	for range frames {
		if _, _, err := e.client.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	if !<-done {
		t.Error("the socket ended although its sender waited")
	}
}

func TestUrgentOvertakes(t *testing.T) {
	e := connect(t, Config{NormalFrames: 1000, NormalBytes: 100 << 20}, nil)
	if tcp, ok := e.client.NetConn().(*net.TCPConn); ok {
		if err := tcp.SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
	}
	const background = 300
	f := textFrame(strings.Repeat("x", 64<<10))
	for range background {
		e.socket.Send(protocol.Normal, f)
	}
	e.socket.Send(protocol.Urgent, textFrame("urgent"))
	for i := range background + 1 {
		_, got, err := e.client.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) == "urgent" {
			if i > background*2/3 {
				t.Errorf("urgent came after %d of %d frames", i, background)
			}
			return
		}
	}
	t.Error("urgent did not come")
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	err := Config{FrameLimit: -1, NormalBytes: -1}.WithDefaults().Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"FrameLimit is -1", "NormalBytes is -1", "Logger and Metrics must be set"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waiting for " + what)
		}
		<-tick.C
	}
}

// BenchmarkSend is what a delivery costs: queue, writer goroutine, system call.
func BenchmarkSend(b *testing.B) {
	e := connect(b, Config{}, nil)
	go io.Copy(io.Discard, e.client.NetConn()) // ends with the connection
	f := textFrame(strings.Repeat("x", 300))
	b.ReportAllocs()
	for b.Loop() {
		e.socket.Wait(context.Background(), protocol.Normal, 64)
		e.socket.Send(protocol.Normal, f)
	}
}
