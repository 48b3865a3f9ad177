package server

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/socket"
)

// Clients see 1012, in batches, those without a channel first.
func TestDrainInBatches(t *testing.T) {
	const batch, pause = 2, 60 * time.Millisecond
	n := start(t, func(c *Config) { c.DrainBatch, c.DrainPause = batch, pause })
	var used, unused []*client
	for range 2 * batch {
		used = append(used, n.joined(t, "realtime:r", `{}`))
		c := n.dial(t, "2.0.0")
		c.silence() // its session has begun
		unused = append(unused, c)
	}
	begin := time.Now()
	took := func(clients []*client) []time.Duration {
		at := make([]time.Duration, len(clients))
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Go(func() {
				if code := c.closeCode(); code != socket.CloseRestart {
					t.Errorf("closed with %d, want 1012", code)
				}
				at[i] = time.Since(begin)
			})
		}
		wg.Wait()
		return at
	}
	var first, second []time.Duration
	var wg sync.WaitGroup
	wg.Go(func() { first = took(unused) })
	wg.Go(func() { second = took(used) })
	n.stop(t)
	wg.Wait()
	after := func(at []time.Duration, d time.Duration) (n int) {
		for _, a := range at {
			if a >= d {
				n++
			}
		}
		return n
	}
	if after(first, pause) < batch || after(second, 2*pause) < 2*batch || after(second, 3*pause) < batch {
		t.Errorf("without a channel %v, with one %v; want %d every %s", first, second, batch, pause)
	}
}

func TestDrainBatch(t *testing.T) {
	for name, c := range map[string]struct {
		batch int
		pause time.Duration
		left  time.Duration // 0: no deadline
		n     int
		want  int
	}{
		"they fit":               {100, 100 * time.Millisecond, 5 * time.Second, 1000, 100},
		"they just fit":          {100, 100 * time.Millisecond, 6 * time.Second, 2000, 100},
		"larger, so that they":   {100, 100 * time.Millisecond, 6 * time.Second, 16384, 820}, // 19 pauses and a bit, 20 batches
		"no time":                {100, 100 * time.Millisecond, time.Nanosecond, 16384, 16384},
		"a pause longer than it": {1, time.Hour, 5 * time.Second, 50, 50},
		"no deadline":            {100, 100 * time.Millisecond, 0, 16384, 100},
		"no pause":               {100, 0, 5 * time.Second, 16384, 100},
		"nobody":                 {100, 100 * time.Millisecond, 5 * time.Second, 0, 100},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if c.left > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			s := &Server{cfg: Config{DrainBatch: c.batch, DrainPause: c.pause}}
			if got := s.drainBatch(ctx, c.n); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// Nobody is left behind when the time is over, and nobody is waited for.
func TestDrainEndsWithItsTime(t *testing.T) {
	n := start(t, func(c *Config) { c.DrainBatch, c.DrainPause = 1, time.Hour })
	var clients []*client
	for range 5 {
		clients = append(clients, n.joined(t, "realtime:r", `{}`))
	}
	ctx, cancel := context.WithCancel(t.Context()) // no deadline: the batches stay as they are
	drained := make(chan struct{})
	go func() { // ends with ctx
		defer close(drained)
		n.drain(ctx)
	}()
	select {
	case <-drained:
		t.Fatal("all at once")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	<-drained
	for _, c := range clients {
		if code := c.closeCode(); code != socket.CloseRestart {
			t.Errorf("closed with %d, want 1012", code)
		}
	}
}

// While a node drains, its members go on, but nobody joins any more.
func TestJoinsWhileDraining(t *testing.T) {
	n := start(t, func(c *Config) { c.DrainBatch, c.DrainPause = 1, 200*time.Millisecond })
	clients := []*client{n.joined(t, "realtime:r", `{}`), n.joined(t, "realtime:r", `{}`)}
	closing := make(chan struct{})
	go func() { // ends with the node
		defer close(closing)
		n.stop(t)
	}()
	<-n.stopping
	refused := 0
	for _, c := range clients {
		_ = c.WriteMessage(websocket.TextMessage, []byte(`["2","2","realtime:s","phx_join",{}]`)) // one of them may be gone
	}
	for _, c := range clients {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			_, message, err := c.ReadMessage()
			if err != nil {
				if !websocket.IsCloseError(err, socket.CloseRestart) {
					t.Errorf("ended with %v", err)
				}
				break
			}
			if !strings.Contains(string(message), "RealtimeRestarting: Realtime is restarting, please standby") {
				t.Errorf("%s", message)
			}
			refused++
		}
		c.Close()
	}
	if refused == 0 {
		t.Error("nobody was told that the node restarts")
	}
	<-closing
}

// moving is a member that understands what it is told when the node is drained.
func (n *node) moving(t testing.TB, topic, homes string) *client {
	t.Helper()
	return n.joined(t, topic, `{"presence":{"key":"florist-7"},"broadcast":{"self":true},"wedsync":{"move":true,"homes":`+homes+`}}`)
}

var byPattern = regexp.MustCompile(`"by_ms":(\d+)`)

// toldToMove takes the word that the client is to move, and returns how much time it has.
func (c *client) toldToMove() time.Duration {
	c.t.Helper()
	text := string(c.read())
	by := byPattern.FindStringSubmatch(text)
	if by == nil || byPattern.ReplaceAllString(text, "") != `["1",null,"realtime:r","system",{"extension":"wedsync","status":"ok","message":"Moving","channel":"r",}]` {
		c.t.Fatalf("told %s", text)
	}
	ms, err := strconv.Atoi(by[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return time.Duration(ms) * time.Millisecond
}

// stopIn begins to end the node, which has so much time.
func (n *node) stopIn(t testing.TB, d time.Duration) (stopped <-chan struct{}) {
	done := make(chan struct{})
	go func() { // ends with the node
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Errorf("closing: %v", err)
		}
	}()
	return done
}

// Who can move is asked to, and meanwhile everything works. The node is done as soon as nobody is left.
func TestDrainAsksToMove(t *testing.T) {
	n := start(t)
	members := []*client{n.moving(t, "realtime:r", "1"), n.moving(t, "realtime:r", "1")}
	stopped := n.stopIn(t, time.Hour)
	for _, c := range members {
		if by := c.toldToMove(); by <= moveTime-time.Second || by > moveTime {
			t.Errorf("it has %s, want %s", by, moveTime)
		}
	}
	if n.metric(t, "wedsync_draining", "") != 1 {
		t.Error("the metric does not say that the node is being drained")
	}
	members[0].say(`["1","2","realtime:r","broadcast",{"type":"broadcast","event":"e","payload":{"still":"here"}}]`)
	for _, c := range members {
		if got := c.hear(); !strings.Contains(got, `{"still":"here"}`) {
			t.Errorf("heard %s", got)
		}
	}
	for _, c := range members {
		c.play(`
			C> ["1","3","realtime:r","phx_leave",{}]
			S> ["1","3","realtime:r","phx_reply",{"status":"ok","response":{}}]
			S> ["1","1","realtime:r","phx_close",{}]`)
		c.Close()
	}
	begin := time.Now()
	<-stopped
	if took := time.Since(begin); took >= moveTime {
		t.Errorf("waited %s for nobody", took)
	}
}

// Who has not moved in its time is closed.
func TestDrainClosesWhoStays(t *testing.T) {
	n := start(t)
	c := n.moving(t, "realtime:r", "1")
	begin := time.Now()
	stopped := n.stopIn(t, 2*time.Second)
	by := c.toldToMove()
	if code := c.closeCode(); code != socket.CloseRestart {
		t.Errorf("closed with %d, want 1012", code)
	}
	if took := time.Since(begin); took < by {
		t.Errorf("closed after %s, though it had %s", took, by)
	}
	<-stopped
}

// First those without a channel, then those who have another home, then the others; and a socket on which
// one channel cannot move is closed.
func TestDrainOrder(t *testing.T) {
	n := start(t, func(c *Config) { c.DrainBatch, c.DrainPause = 1, 50*time.Millisecond })
	single := n.moving(t, "realtime:r", "1")
	dual := n.moving(t, "realtime:r", "2")
	unused := n.dial(t, "2.0.0")
	unused.silence()
	mixed := n.moving(t, "realtime:r", "2")
	mixed.join("2.0.0", "realtime:s", `{}`)
	waitFor(t, "the turns", func() bool {
		turns := map[turn]int{}
		for _, c := range n.all() {
			turns[c.turn()]++
		}
		return turns[turnUnused] == 1 && turns[turnSpare] == 1 && turns[turnOnly] == 2
	})
	begin := time.Now()
	stopped := n.stopIn(t, patience)
	at := map[string]time.Duration{}
	if code := unused.closeCode(); code != socket.CloseRestart {
		t.Errorf("closed with %d, want 1012", code)
	}
	at["unused"] = time.Since(begin)
	dual.toldToMove()
	at["dual"] = time.Since(begin)
	single.toldToMove()
	at["single"] = time.Since(begin)
	if code := mixed.closeCode(); code != socket.CloseRestart {
		t.Errorf("closed with %d, want 1012", code)
	}
	if at["unused"] > at["dual"] || at["dual"] < 50*time.Millisecond || at["single"] < 2*50*time.Millisecond {
		t.Errorf("%v", at)
	}
	for _, c := range []*client{single, dual} {
		c.Close()
	}
	<-stopped
}

// What a stock client has published is answered before its socket is closed.
func TestDrainWaitsForAnswers(t *testing.T) {
	n := start(t)
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	session := n.all()[0]
	session.mu.Lock()
	session.slots = make(chan struct{}, 1)
	session.slots <- struct{}{} // a publish is under way
	session.mu.Unlock()
	stopped := n.stopIn(t, time.Hour)
	<-n.stopping
	time.AfterFunc(100*time.Millisecond, func() {
		session.mu.Lock()
		defer session.mu.Unlock()
		session.send(protocol.Urgent, `"1"`, `"7"`, "realtime:r", protocol.EventReply, okWith(nil))
		<-session.slots
	})
	c.expect(`["1","7","realtime:r","phx_reply",{"status":"ok","response":{}}]`)
	if code := c.closeCode(); code != socket.CloseRestart {
		t.Errorf("closed with %d, want 1012", code)
	}
	<-stopped
}

// A node without clients is drained at once, whatever time it has.
func TestIdleDrainTakesNoTime(t *testing.T) {
	n := start(t, func(c *Config) { c.DrainPause = time.Hour })
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	n.drain(ctx)
}

func TestPatienceOfADrain(t *testing.T) {
	s := &Server{}
	for left, want := range map[time.Duration]time.Duration{time.Hour: moveTime, 8 * time.Second: 2 * time.Second, -time.Second: 0} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		if got := s.patience(ctx); got > want || got < want-100*time.Millisecond {
			t.Errorf("with %s left: %s, want %s", left, got, want)
		}
		cancel()
	}
	if got := s.patience(t.Context()); got != moveTime {
		t.Errorf("without a deadline: %s", got)
	}
}

func TestDisconnect(t *testing.T) {
	n := start(t)
	v2, v1 := n.joined(t, "realtime:r", `{}`), n.dial(t, "1.0.0")
	v2.join("2.0.0", "realtime:s", `{}`)
	v1.join("1.0.0", "realtime:r", `{}`)
	unused := n.dial(t, "2.0.0")
	unused.silence()
	if got := n.Disconnect("the keys have changed"); got != 3 {
		t.Errorf("%d sockets, want 3", got)
	}
	const payload = `{"extension":"system","status":"ok","message":"Server requested disconnect"}`
	v2.expect(`[null,null,"realtime:r","system",`+payload+`]`, `[null,null,"realtime:s","system",`+payload+`]`)
	v1.expect(`{"topic":"realtime:r","event":"system","payload":` + payload + `,"ref":null}`)
	for _, c := range []*client{v2, v1, unused} {
		if code := c.closeCode(); code != socket.CloseRestart {
			t.Errorf("closed with %d, want 1012", code)
		}
	}
	waitFor(t, "the sockets to be gone", func() bool { return len(n.all()) == 0 })
	if got := n.Disconnect("again"); got != 0 {
		t.Errorf("%d sockets, want none", got)
	}
	n.joined(t, "realtime:r", `{}`) // and they may come back
	if !strings.Contains(n.log.String(), "the keys have changed") {
		t.Error("the log does not say why")
	}
}

func TestDisconnectSome(t *testing.T) {
	n := start(t)
	member := n.joined(t, "realtime:r", `{}`)
	if got := n.DisconnectIf("maintenance", func(c *auth.Claims) bool { return c.Role == "anon" }); got != 0 {
		t.Errorf("%d sockets, want none", got)
	}
	member.silence()
}

// A sweep closes who has had channels and has none left, and nobody else.
func TestSweep(t *testing.T) {
	n := start(t, limited(limit.Limits{NoChannelTimeout: 50 * time.Millisecond}))
	never, member := n.dial(t, "2.0.0"), n.joined(t, "realtime:r", `{}`)
	left := n.joined(t, "realtime:r", `{}`)
	left.play(`
		C> ["1","2","realtime:r","phx_leave",{}]
		S> ["1","2","realtime:r","phx_reply",{"status":"ok","response":{}}]
		S> ["1","1","realtime:r","phx_close",{}]`)
	refused := n.dial(t, "2.0.0")
	refused.play(`
		C> ["1","1","realtime:","phx_join",{}]
		S> ["1","1","realtime:","phx_reply",{"status":"error","response":{"reason":"TopicNameRequired: You must provide a topic name"}}]`)
	for _, c := range []*client{left, refused} {
		if code := c.closeCode(); code != websocket.CloseAbnormalClosure {
			t.Errorf("closed with %d, want 1006: no close frame", code)
		}
	}
	never.silence()
	member.silence()
	waitFor(t, "the metric", func() bool { return n.reached(t, limit.NoChannel) == 2 })
}
