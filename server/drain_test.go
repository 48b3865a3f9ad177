package server

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

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
		"they just fit":          {100, 100 * time.Millisecond, 5 * time.Second, 2500, 100},
		"larger, so that they":   {100, 100 * time.Millisecond, 5 * time.Second, 16384, 656}, // 25 batches and a bit
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
