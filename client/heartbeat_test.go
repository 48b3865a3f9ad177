package client

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// A region that drops every packet and closes nothing is noticed within a second, whenever in the
// heartbeat's period it falls silent.
func TestSilenceIsNoticed(t *testing.T) {
	for _, after := range []time.Duration{0, 1, 300 * time.Millisecond, 599 * time.Millisecond, 601 * time.Millisecond, 1700 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemNet(), "a", "b", "c")
				c, r := newTestClient(t, w, nil)
				connect(t, c)
				time.Sleep(after)
				silent := time.Now()
				w.peers[0].fallSilent()
				time.Sleep(5 * time.Second)
				closed, ok := r.state("a", Closed)
				if !ok || closed.At.Sub(silent) > DefaultSilenceLimit || !strings.Contains(closed.Reason, "silent") {
					t.Fatalf("closed %+v, %v after the silence", closed, closed.At.Sub(silent))
				}
				joined, ok := r.state("b", Joined)
				if !ok || joined.At.Sub(closed.At) > DefaultFailoverJitter {
					t.Fatalf("joined again %v after that", joined.At.Sub(closed.At))
				}
			})
		})
	}
}

// A quiet channel is not a silent server, and no more heartbeats are sent than needed.
func TestQuietIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		time.Sleep(time.Minute)
		beats := len(w.peers[0].noted().beats)
		if beats < 90 || beats > 100 {
			t.Errorf("%d heartbeats in a minute, want one per 600 ms", beats)
		}
		for range 300 { // traffic replaces heartbeats
			w.peers[0].each(func(m *member) { m.tell(said{event: "e", payload: []byte(`{}`)}) })
			time.Sleep(200 * time.Millisecond)
		}
		if n := len(w.peers[0].noted().beats) - beats; n > 1 {
			t.Errorf("%d heartbeats beside traffic", n)
		}
		if _, _, states, _ := r.seen(); len(states) != 3 {
			t.Errorf("states %+v", states)
		}
	})
}

// Somebody who writes at the moment of a heartbeat only puts it off: what he writes may be something
// that no server answers.
func TestBusyWriterOnlyDelaysHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		s := c.homes[0].joined
		for range 20 {
			s.writeMu.Lock()
			time.Sleep(DefaultHeartbeatInterval + 100*time.Millisecond)
			s.writeMu.Unlock()
			time.Sleep(100 * time.Millisecond)
		}
		if !slices.Equal(r.joined(), []string{"a"}) {
			t.Error("a busy session was taken for a silent one")
		}
		// One who never comes to an end does not hide the silence.
		s.writeMu.Lock()
		w.peers[0].fallSilent()
		time.Sleep(DefaultSilenceLimit + DefaultFailoverJitter)
		s.writeMu.Unlock()
		synctest.Wait()
		if !slices.Equal(r.joined(), []string{"b"}) {
			t.Error("a busy session hid the silence")
		}
	})
}

// Pings of the server, and of a proxy between, count as well.
func TestPingIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		for range 50 {
			w.peers[0].each(func(m *member) {
				_ = m.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
				_ = m.conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
			})
			time.Sleep(200 * time.Millisecond)
		}
		if n := len(w.peers[0].noted().beats); n > 1 {
			t.Errorf("%d heartbeats beside pings", n)
		}
		if _, _, states, _ := r.seen(); len(states) != 3 {
			t.Errorf("states %+v", states)
		}
	})
}
