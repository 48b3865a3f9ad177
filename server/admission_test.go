package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/socket"
)

// limited is a change of a test's configuration.
func limited(l limit.Limits) func(*Config) {
	return func(c *Config) { c.Limits = l }
}

// reached is how often a limit has bitten.
func (n *node) reached(t testing.TB, name limit.Name) float64 {
	t.Helper()
	return n.metric(t, limit.MetricReached, string(name))
}

func (n *node) expectReached(t testing.TB, want map[limit.Name]float64) {
	t.Helper()
	for _, name := range limit.Names {
		if got := n.reached(t, name); got != want[name] {
			t.Errorf("limit %s was reached %v times, want %v", name, got, want[name])
		}
	}
}

// socketURL is where a client with a good token connects.
func (n *node) socketURL(t testing.TB) string {
	return "ws://" + n.Addr() + "/socket/websocket?vsn=2.0.0&apikey=" + url.QueryEscape(token(t, "authenticated"))
}

// knock tries to open a socket in the background.
type knock struct {
	done chan struct{} // closed when there is an outcome
	*client
	response *http.Response
	body     string
	err      error
}

func (n *node) knock(t testing.TB) *knock {
	k := &knock{done: make(chan struct{})}
	address := n.socketURL(t)
	go func() { // ends with the handshake
		defer close(k.done)
		ws, response, err := websocket.DefaultDialer.Dial(address, nil)
		k.response, k.err = response, err
		if err == nil {
			k.client = &client{t: t, Conn: ws}
		} else if response != nil {
			body, _ := io.ReadAll(response.Body)
			k.body = strings.TrimSpace(string(body))
		}
	}()
	return k
}

// opened waits for the socket.
func (k *knock) opened(t testing.TB) *client {
	t.Helper()
	select {
	case <-k.done:
	case <-time.After(patience):
		t.Fatal("the handshake still waits")
	}
	if k.err != nil {
		t.Fatalf("refused: %v %s", k.err, k.body)
	}
	t.Cleanup(func() { k.Close() })
	return k.client
}

// expectRefused tries to connect and expects an answer instead of a socket.
func (n *node) expectRefused(t testing.TB, status int, text string) {
	t.Helper()
	k := n.knock(t)
	<-k.done
	if k.err == nil {
		k.Close()
		t.Fatal("let in")
	}
	if want := `{"error":"` + text + `"}`; k.response == nil || k.response.StatusCode != status || k.body != want {
		t.Errorf("%v %s, want %d %s", k.response, k.body, status, want)
	}
}

// upgrade asks for a socket as a plain HTTP client does, which hangs up when ctx ends.
func (n *node) upgrade(ctx context.Context, t testing.TB, key string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(n.socketURL(t), "ws:", "http:", 1), nil)
	if err != nil {
		return 0, err
	}
	request.Header = http.Header{"Connection": {"upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// A storm is delayed and not dropped: everybody comes in, and no faster than the rate allows.
func TestStormOfHandshakes(t *testing.T) {
	t.Parallel()
	const storm, rate = 500, 100
	n := start(t, limited(limit.Limits{ConnectsPerSecond: rate, Connections: storm}))
	address := n.socketURL(t)
	begin := time.Now()
	var mu sync.Mutex
	var at []time.Duration
	var open []*websocket.Conn
	var wg sync.WaitGroup
	for range storm {
		wg.Go(func() {
			ws, response, err := websocket.DefaultDialer.Dial(address, nil)
			if err != nil {
				t.Errorf("turned away: %v %v", response, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			at, open = append(at, time.Since(begin)), append(open, ws)
		})
	}
	waitFor(t, "handshakes to wait", func() bool { return n.limits.Admission.Waiting() > rate })
	wg.Wait()
	defer func() {
		for _, ws := range open {
			ws.Close()
		}
	}()
	slices.Sort(at)
	for i, took := range at {
		if allowed := rate * (1 + took.Seconds()); float64(i) > allowed {
			t.Fatalf("%d sockets were open after %s, at %d per second after a burst of as many", i+1, took, rate)
		}
	}
	burst, last := at[rate/2], at[len(at)-1]
	if last < 4*burst {
		t.Errorf("the middle of the burst came in after %s, the last one after %s: nobody was delayed", burst, last)
	}
	t.Logf("burst in after %s, last one after %s", at[rate-1], last)
	if n.reached(t, limit.Connects) < storm/2 || n.reached(t, limit.Waiting) != 0 || n.reached(t, limit.Connections) != 0 {
		t.Errorf("reached: connects %v, waiting %v, connections %v", n.reached(t, limit.Connects), n.reached(t, limit.Waiting), n.reached(t, limit.Connections))
	}
	if n.limits.Admission.Waiting() != 0 {
		t.Errorf("%d still wait", n.limits.Admission.Waiting())
	}
}

func TestFullHouseWaitsForAPlace(t *testing.T) {
	n := start(t, limited(limit.Limits{Connections: 1}))
	first := n.knock(t).opened(t)
	second := n.knock(t)
	waitFor(t, "the second to wait", func() bool { return n.reached(t, limit.Connections) == 1 })
	status, metrics := n.get(t, "/metrics", "")
	if status != http.StatusOK || !strings.Contains(metrics, limit.MetricWaiting+" 1") {
		t.Errorf("%s does not count the one who waits", limit.MetricWaiting)
	}
	first.Close()
	second.opened(t).silence()
	n.expectReached(t, map[limit.Name]float64{limit.Connections: 1})
}

// Who hangs up while it waits takes nobody's place.
func TestHangingUpWhileWaiting(t *testing.T) {
	n := start(t, limited(limit.Limits{Connections: 1}))
	first := n.knock(t).opened(t)
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { // ends with ctx
		_, err := n.upgrade(ctx, t, "dGhlIHNhbXBsZSBub25jZQ==")
		gone <- err
	}()
	waitFor(t, "the second to wait", func() bool { return n.limits.Admission.Waiting() == 1 })
	hangUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	waitFor(t, "the server to notice", func() bool { return n.limits.Admission.Waiting() == 0 })
	first.Close()
	n.knock(t).opened(t).silence()
}

// Places come back however a socket or a handshake ends.
func TestPlacesComeBack(t *testing.T) {
	n := start(t, limited(limit.Limits{Connections: 1}))
	for range 3 {
		c := n.knock(t).opened(t)
		c.silence()
		c.Close()
	}
	if status, err := n.upgrade(t.Context(), t, ""); err != nil || status != http.StatusBadRequest { // fails after the door
		t.Errorf("an upgrade without a key: %d %v", status, err)
	}
	n.knock(t).opened(t).silence()
}

// Strangers and plain requests use up nothing of what storms have to share.
func TestOnlyGoodHandshakesCount(t *testing.T) {
	n := start(t, limited(limit.Limits{ConnectsPerSecond: 1, Connections: 1}))
	for range 5 {
		if status, _ := n.get(t, "/socket/websocket?apikey="+token(t, "anon"), ""); status != http.StatusBadRequest {
			t.Errorf("a plain request: %d", status)
		}
		_, response, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+"/socket/websocket?apikey=words", nil)
		if err == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v %v", response, err)
		}
	}
	n.knock(t).opened(t).silence()
	n.expectReached(t, nil)
}

func TestTooManyUsers(t *testing.T) {
	n := start(t, limited(limit.Limits{ConcurrentUsers: 1}))
	early := n.dial(t, "2.0.0")
	first := n.joined(t, "realtime:r", `{}`)
	first.join("2.0.0", "realtime:s", `{}`) // it is counted already
	n.expectRefused(t, http.StatusTooManyRequests, "Too many connected users")
	early.play(`
		C> ["1","1","realtime:r","phx_join",{}]
		S> ["1","1","realtime:r","phx_reply",{"status":"error","response":{"reason":"ConnectionRateLimitReached: Too many connected users"}}]`)
	n.expectReached(t, map[limit.Name]float64{limit.UserCount: 2})
	first.Close()
	waitFor(t, "the first to be gone", func() bool { return n.limits.Users.Len() == 0 })
	early.join("2.0.0", "realtime:r", `{}`)
	early.play(`
		C> ["1","2","realtime:r","phx_leave",{}]
		S> ["1","2","realtime:r","phx_reply",{"status":"ok","response":{}}]
		S> ["1","1","realtime:r","phx_close",{}]`)
	n.joined(t, "realtime:r", `{}`)
}

// The average is over the limit from the end of the first bucket on, 5 s after the start.
func TestTooManyJoins(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{JoinsPerSecond: 1}))
	c := n.dial(t, "2.0.0")
	for i := range 12 {
		c.join("2.0.0", fmt.Sprintf("realtime:r%d", i), `{}`) // a burst passes
	}
	waitFor(t, "the average to be known", n.limits.Joins.Exceeded)
	n.expectRefused(t, http.StatusTooManyRequests, "Too many joins per second")
	c.play(`
		C> ["9","9","realtime:more","phx_join",{}]
		S> ["9","9","realtime:more","phx_reply",{"status":"error","response":{"reason":"ClientJoinRateLimitReached: Too many joins per second"}}]`)
	if code := c.closeCode(); code != websocket.CloseGoingAway {
		t.Errorf("closed with %d, want 1001", code)
	}
	n.expectReached(t, map[limit.Name]float64{limit.Joins: 2})
}

func TestTooManyChannelsIsCounted(t *testing.T) {
	n := start(t, limited(limit.Limits{ChannelsPerSocket: 1}))
	n.joined(t, "realtime:r", `{}`).play(`
		C> ["2","2","realtime:s","phx_join",{}]
		S> ["2","2","realtime:s","phx_reply",{"status":"error","response":{"reason":"ChannelRateLimitReached: Too many channels"}}]`)
	n.expectReached(t, map[limit.Name]float64{limit.Channels: 1})
}

func TestFrameOverTheLimitIsCounted(t *testing.T) {
	n := start(t, limited(limit.Limits{FrameBytes: 1000}))
	c := n.dial(t, "2.0.0")
	c.say(strings.Repeat("x", 1001))
	if code := c.closeCode(); code != socket.CloseTooBig {
		t.Errorf("closed with %d, want 1009", code)
	}
	waitFor(t, "the metric", func() bool { return n.reached(t, limit.Frame) == 1 })
}

func TestIdleSocketIsCounted(t *testing.T) {
	n := start(t, limited(limit.Limits{IdleTimeout: 50 * time.Millisecond}))
	if code := n.dial(t, "2.0.0").closeCode(); code != socket.CloseNormal {
		t.Errorf("closed with %d, want 1000", code)
	}
	waitFor(t, "the metric", func() bool { return n.reached(t, limit.Idle) == 1 })
}

func TestNoLimitsAtAll(t *testing.T) {
	n := start(t, limited(limit.Limits{}))
	c := n.dial(t, "2.0.0")
	for i := range 150 {
		c.join("2.0.0", fmt.Sprintf("realtime:r%d", i), `{}`)
	}
	n.expectReached(t, nil)
}

// A node that stops turns those away who still wait, and says when to come back.
func TestWaitingEndsWithTheNode(t *testing.T) {
	n := start(t, limited(limit.Limits{Connections: 1}))
	first := n.knock(t).opened(t)
	second := n.knock(t)
	waitFor(t, "the second to wait", func() bool { return n.limits.Admission.Waiting() == 1 })
	closing := make(chan struct{})
	go func() { // ends with the node
		defer close(closing)
		n.stop(t)
	}()
	<-second.done
	if second.err == nil || second.response == nil || second.response.StatusCode != http.StatusServiceUnavailable ||
		second.body != `{"error":"Realtime is restarting, please standby"}` || second.response.Header.Get("Retry-After") != "1" {
		t.Errorf("%v %v %s", second.err, second.response, second.body)
	}
	if code := first.closeCode(); code != socket.CloseRestart {
		t.Errorf("closed with %d, want 1012", code)
	}
	<-closing
}

// The answers that no test can wait for.
func TestRefusalsOfTheDoor(t *testing.T) {
	n := start(t, limited(limit.Limits{ConnectsPerSecond: 1}))
	for name, c := range map[string]struct {
		no    refusal
		text  string
		again time.Duration // and up to as much more
		code  int
	}{
		"busy":          {n.busy(fmt.Errorf("%w: 5 already do", limit.ErrBusy)), "Too many connections are waiting: try again in 2 seconds", time.Second, 503},
		"stopping":      {n.busy(limit.ErrClosed), "Realtime is restarting, please standby", time.Second, 503},
		"anything else": {badToken(errors.New("the key server is on fire")), "Error connecting to Realtime", 0, 500},
	} {
		if c.no.status != c.code || c.no.text != c.text || c.no.again < c.again || c.no.again > 2*c.again {
			t.Errorf("%s: %+v", name, c.no)
		}
	}
	if seconds(1500*time.Millisecond) != "2" {
		t.Error("come back after 1 s, when there is room after 1.5")
	}
}

func TestNeitherSubprotocolNorCompression(t *testing.T) {
	n := start(t)
	dialer := websocket.Dialer{Subprotocols: []string{"phoenix", "base64url.bearer.phx.abc"}, EnableCompression: true}
	ws, response, err := dialer.Dial(n.socketURL(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, header := range []string{"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
		if got := response.Header.Values(header); len(got) > 0 {
			t.Errorf("%s: %v", header, got)
		}
	}
}

// Policies see the x- headers of the upgrade, those of this socket alone and no others.
func TestHeadersOfTheUpgrade(t *testing.T) {
	seen := make(chan http.Header, 10)
	n := start(t, func(c *Config) {
		c.Policy = func(claims *auth.Claims, _ string, _ auth.Extension, _ auth.Action) bool {
			seen <- claims.Header
			return true
		}
	})
	address := n.socketURL(t)
	for _, want := range []string{"florist", ""} {
		header := http.Header{"Cookie": {"a=b"}}
		if want != "" {
			header.Set("X-Venue", want)
		}
		ws, _, err := websocket.DefaultDialer.Dial(address, header)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, Conn: ws}
		c.join("2.0.0", "realtime:wed:42", `{"private":true}`)
		if got := <-seen; got.Get("X-Venue") != want || got.Get("Cookie") != "" || (want == "") != (len(got) == 0) {
			t.Errorf("policies see %v, want X-Venue %q", got, want)
		}
		for len(seen) > 0 { // the other questions of the join
			<-seen
		}
		ws.Close()
	}
	_, response, err := websocket.DefaultDialer.Dial(address, http.Header{"X-Venue": {strings.Repeat("x", maxHeader+1)}})
	if err == nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of %d bytes: %v %v", maxHeader+1, response, err)
	}
}
