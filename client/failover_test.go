package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

func TestFailoverAvoidsHomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b", "c")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.Homes, cfg.ReturnAfter = 2, 0 })
		connect(t, c)
		is := func(want ...string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			if got := r.joined(); !slices.Equal(got, want) {
				t.Fatalf("joined %v, want %v", got, want)
			}
		}
		is("a", "b")
		w.peers[0].kill()
		is("b", "c")
		w.peers[2].fallSilent()
		is("b") // the only other region is dead too; two homes never share one
		w.peers[0].restore()
		is("a", "b")
		w.peers[1].kill()
		is("a")
		w.peers[2].restore()
		is("a", "c")
		w.peers[0].kill()
		w.peers[2].kill()
		is()
		w.peers[1].restore()
		is("b")
	})
}

// A whole region that falls silent does not cost a time-out for each of its nodes.
func TestSilenceSpeaksForTheRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "a2", "b")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.Endpoints[1].Region = "a" })
		connect(t, c)
		w.peers[0].fallSilent()
		w.peers[1].fallSilent()
		time.Sleep(2 * time.Second)
		if _, _, states, _ := r.seen(); !slices.Equal(r.joined(), []string{"b"}) || len(states) != 8 {
			t.Fatalf("states %+v", states)
		}
	})
	synctest.Test(t, func(t *testing.T) { // but a node that is killed has neighbours
		w := newWorld(t, newMemNet(), "a", "a2", "b")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.Endpoints[1].Region = "a" })
		connect(t, c)
		w.peers[0].kill()
		time.Sleep(2 * time.Second)
		w.peers[1].with(func() {
			if len(w.peers[1].members) != 1 || !slices.Equal(r.joined(), []string{"a"}) {
				t.Fatal("the neighbour was passed over")
			}
		})
	})
}

func TestResumeAsksForTheNewestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b", "c")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.ReturnAfter = 0 })
		start := time.Now()
		connect(t, c)
		time.Sleep(2 * time.Second)

		// Nothing seen yet: from the first join on.
		w.peers[0].kill()
		w.say(protocol.Meta{ID: "m1"}, "e", `{}`) // while nobody listens
		time.Sleep(time.Second)
		resume := w.peers[1].noted().joins[0].Config.Wedsync.Resume
		if resume == nil || resume.HLC != hlcAt(start) || resume.LastID != "" {
			t.Fatalf("resume %+v, want %d", resume, hlcAt(start))
		}
		// A clock that is wrong by hours does not move the position.
		newest := w.say(protocol.Meta{ID: "m2"}, "e", `{}`)
		w.peers[1].each(func(m *member) { m.tell(said{protocol.Meta{ID: "m3", HLC: 1 << 63}, "e", nil}) })
		w.peers[1].each(func(m *member) { m.tell(said{protocol.Meta{ID: "m0", HLC: newest - 1}, "e", nil}) })
		time.Sleep(time.Second)
		w.peers[1].fallSilent()
		w.say(protocol.Meta{ID: "m4"}, "e", `{}`)
		time.Sleep(3 * time.Second)
		resume = w.peers[2].noted().joins[0].Config.Wedsync.Resume
		if resume == nil || resume.HLC != newest || resume.LastID != "m2" {
			t.Fatalf("resume %+v, want %d", resume, newest)
		}
		if got := r.ids(); !slices.Equal(got, []string{"m1", "m2", "m3", "m0", "m4"}) {
			t.Fatalf("shown %v", got)
		}
		if m, _, _, _ := r.seen(); !m[0].Replayed || m[1].Replayed || !m[4].Replayed {
			t.Fatalf("wrong ones are marked as replayed: %+v", m)
		}
	})
}

// A session that dies while the past is replayed to it must not hide the rest of the past behind
// what it was told live.
func TestResumeAfterHalfAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.ReturnAfter = 0 })
		connect(t, c)
		for _, p := range w.peers {
			p.kill()
		}
		for _, id := range []string{"m1", "m2", "m3"} {
			w.say(protocol.Meta{ID: id}, "e", `{}`)
			time.Sleep(20 * time.Second)
		}
		b := w.peers[1]
		b.with(func() {
			b.onJoin = func(m *member, _ protocol.Join) []byte {
				first := w.log[0]
				first.meta.Replayed = true
				live := said{protocol.Meta{ID: "m4", HLC: hlcAt(time.Now())}, "e", nil}
				w.log = append(w.log, live)
				m.sendText(&protocol.Frame{JoinRef: joinRef, Ref: joinRef, Topic: protocol.WireTopic(testTopic),
					Event: protocol.EventReply, Payload: protocol.ReplyPayload(protocol.StatusOK, nil)})
				m.tell(first)
				m.tell(live)
				b.onJoin = nil
				time.AfterFunc(time.Second, func() { _ = m.conn.NetConn().Close() })
				return []byte{}
			}
		})
		b.restore()
		time.Sleep(10 * time.Second)
		got := r.ids()
		slices.Sort(got)
		if !slices.Equal(got, []string{"m1", "m2", "m3", "m4"}) {
			t.Fatalf("shown %v", got)
		}
	})
}

func TestReturnJoinsBeforeItLeaves(t *testing.T) {
	for _, homes := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a", "b", "c")
			c, r := newTestClient(t, w, func(cfg *Config) { cfg.Homes = homes })
			connect(t, c)
			refuge := w.peers[homes] // the most preferred that is not a home
			w.peers[0].kill()
			time.Sleep(10 * time.Second)
			if !slices.Contains(r.joined(), refuge.region) {
				t.Fatalf("joined %v", r.joined())
			}
			w.peers[0].restore()
			stop := time.Now().Add(10 * time.Second)
			for n := 0; time.Now().Before(stop); n++ {
				w.say(protocol.Meta{ID: "m" + time.Now().Format("05.000")}, "e", `{}`)
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(time.Second)
			if got := len(r.ids()); got != len(w.said()) {
				t.Errorf("%d of %d messages shown", got, len(w.said()))
			}
			_, _, states, _ := r.seen()
			back := slices.IndexFunc(states, func(s State) bool { return s.Region == "a" && s.Phase == Joined && s.Session > homes })
			left := slices.IndexFunc(states, func(s State) bool { return s.Region == refuge.region && s.Phase == Left })
			if back < 0 || left < back || refuge.noted().leaves != 1 {
				t.Errorf("states %+v", states)
			}
			want := []string{"a", "b"}[:homes]
			if !slices.Equal(r.joined(), want) {
				t.Errorf("joined %v, want %v", r.joined(), want)
			}
		})
	}
}

// A return that does not succeed leaves the refuge alone, also when the region only half lives.
func TestFailedReturnChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		w.peers[0].fallSilent()
		time.Sleep(10 * time.Second)
		w.peers[0].restore()
		w.peers[0].with(func() {
			w.peers[0].onJoin = func(*member, protocol.Join) []byte { return reason(protocol.ReasonRestarting) }
		})
		time.Sleep(30 * time.Second)
		if _, left := r.state("b", Left); left || !slices.Equal(r.joined(), []string{"b"}) {
			t.Fatalf("joined %v", r.joined())
		}
		if n := len(w.peers[0].noted().joins); n < 5 {
			t.Errorf("%d tries in 30 s", n)
		}
		w.peers[0].with(func() { w.peers[0].onJoin = nil })
		// The refuge dies while the return is on its way: one of the two wins, nothing hangs.
		w.peers[1].fallSilent()
		time.Sleep(10 * time.Second)
		if !slices.Equal(r.joined(), []string{"a"}) {
			t.Fatalf("joined %v", r.joined())
		}
	})
}

func TestServerEndsTheSession(t *testing.T) {
	tests := map[string]struct {
		end  func(m *member)
		want string
	}{
		"channel closed":      {func(m *member) { m.push(protocol.EventClose, m.joinRef, nil) }, "phx_close"},
		"channel crashed":     {func(m *member) { m.push(protocol.EventError, m.joinRef, nil) }, "phx_error"},
		"token expired":       {endBySystem, "Token has expired 1 seconds ago"},
		"restart":             {func(m *member) { closeWith(m, websocket.CloseServiceRestart) }, "1012"},
		"connection lost":     {func(m *member) { _ = m.conn.NetConn().Close() }, "connection lost"},
		"frame beyond limits": {func(m *member) { m.send(websocket.BinaryMessage, make([]byte, maxFrame+1)) }, "read limit"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemNet(), "a", "b")
				c, r := newTestClient(t, w, nil)
				connect(t, c)
				w.peers[0].each(tt.end)
				time.Sleep(time.Second)
				if closed, _ := r.state("a", Closed); !strings.Contains(closed.Reason, tt.want) {
					t.Errorf("reason %q", closed.Reason)
				}
				if !slices.Equal(r.joined(), []string{"b"}) {
					t.Errorf("joined %v", r.joined())
				}
			})
		})
	}
}

func endBySystem(m *member) {
	m.push(protocol.EventSystem, "", protocol.SystemPayload("postgres_changes", protocol.StatusError, "not about us", testTopic))
	m.push(protocol.EventSystem, "", protocol.SystemPayload("system", protocol.StatusError, "Token has expired 1 seconds ago", testTopic))
	m.push(protocol.EventClose, m.joinRef, nil)
}

func closeWith(m *member, code int) {
	_ = m.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
}

// A close of an older life of the channel is not ours.
func TestStaleCloseIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		w.peers[0].each(func(m *member) {
			m.joinRef = protocol.StringRef("77")
			m.push(protocol.EventClose, m.joinRef, nil)
		})
		time.Sleep(time.Second)
		if !slices.Equal(r.joined(), []string{"a"}) {
			t.Errorf("joined %v", r.joined())
		}
	})
}

func TestJoinThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b", "c")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		w.peers[1].with(func() {
			w.peers[1].onJoin = func(*member, protocol.Join) []byte { return []byte{} }
		})
		w.peers[0].kill()
		time.Sleep(5 * time.Second)
		if closed, _ := r.state("b", Closed); !strings.Contains(closed.Reason, "not answered") || !slices.Equal(r.joined(), []string{"c"}) {
			t.Errorf("reason %q, joined %v", closed.Reason, r.joined())
		}
	})
}

// A definite no to the first join is what Connect returns, though servers take their time to say it.
func TestConnectIsRefused(t *testing.T) {
	tests := map[string]struct {
		arrange func(p *peer)
		want    string
	}{
		"handshake": {func(p *peer) { p.refuse, p.delay = 401, 2*time.Second }, "401 Unauthorized: Token has expired"},
		"join": {func(p *peer) {
			p.delay = 5 * time.Second
			p.onJoin = func(*member, protocol.Join) []byte { return reason("Unauthorized: You do not have permissions") }
		}, "Unauthorized: You do not have permissions"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemNet(), "a", "b")
				w.peers[0].with(func() { tt.arrange(w.peers[0]) })
				c, _ := newTestClient(t, w, nil)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				err := c.Connect(ctx)
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a", "b")
			w.peers[1].kill()
			c, _ := newTestClient(t, w, dual)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			err := c.Connect(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 of 2 homes") {
				t.Errorf("error %v", err)
			}
			// The client goes on: that region may come back.
			w.peers[1].restore()
			time.Sleep(5 * time.Second)
			if joined, _ := c.joinedHomes(); joined != 2 {
				t.Errorf("%d homes", joined)
			}
		})
	})
}
