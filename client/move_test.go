package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

// drain asks everybody to move, takes nobody any more, and closes who is still there in the end.
func (p *peer) drain(by time.Duration) {
	p.with(func() {
		p.onJoin = func(*member, protocol.Join) []byte { return reason(protocol.ReasonRestarting) }
		for m := range p.members {
			m.push(protocol.EventSystem, "", protocol.MovingPayload(testTopic, by))
		}
	})
	p.running.Add(1)
	time.AfterFunc(by, func() {
		defer p.running.Done()
		p.each(func(m *member) { closeWith(m, websocket.CloseServiceRestart) })
		p.with(func() { p.onJoin = nil })
	})
}

// talk says something every 20 ms until it is told to stop.
func (w *world) talk() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			w.say(protocol.Meta{ID: fmt.Sprint("t", n)}, "e", `{}`)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() { cancel(); <-done; time.Sleep(time.Second) }
}

// A home moves to the neighbour of its node, or to the next region that no other home has; it leaves when it has
// caught up, everything is shown once, and live but for what a join overlaps.
func TestMove(t *testing.T) {
	for name, tt := range map[string]struct {
		regions []string
		homes   int
		to      int // peer
	}{
		"to the neighbour":                    {[]string{"a", "a", "b"}, 1, 1},
		"to a neighbour that is no favourite": {[]string{"a", "b", "a"}, 1, 2},
		"to the next region":                  {[]string{"a", "b", "c"}, 1, 1},
		"not to the other home":               {[]string{"a", "b", "c"}, 2, 2},
		"to the neighbour, with two homes":    {[]string{"a", "b", "a"}, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemNet(), "n0", "n1", "n2")
				late := 0
				c, r := newTestClient(t, w, func(cfg *Config) {
					cfg.Homes, cfg.Confirm = tt.homes, true
					for i := range cfg.Endpoints {
						cfg.Endpoints[i].Region = tt.regions[i]
					}
					show := cfg.OnMessage
					cfg.OnMessage = func(m Message) {
						show(m)
						if m.Replayed {
							late++
						}
					}
				})
				connect(t, c)
				stop := w.talk()
				time.Sleep(time.Second)
				w.peers[0].drain(5 * time.Second)
				time.Sleep(4 * time.Second)
				stop()
				if got, want := len(r.ids()), len(w.said()); got != want || late > 0 {
					t.Errorf("%d of %d messages shown, %d of them from the log", got, want, late)
				}
				_, _, states, _ := r.seen()
				phase := func(p Phase) int {
					return slices.IndexFunc(states, func(s State) bool { return s.Session == tt.homes+1 && s.Phase == p && s.Region == tt.regions[tt.to] })
				}
				left := slices.IndexFunc(states, func(s State) bool { return s.Phase == Left })
				if joined := phase(Joined); joined < 0 || phase(CaughtUp) < joined || left < phase(CaughtUp) || states[left].Reason != ReasonMoved || states[left].Region != "a" {
					t.Errorf("states %+v", states)
				}
				if n := w.peers[0].noted(); n.leaves != 1 || slices.Contains(n.closes, websocket.CloseServiceRestart) {
					t.Errorf("it left %d times, and the socket was closed with %v", n.leaves, n.closes)
				}
				if joins := w.peers[tt.to].noted().joins; len(joins) != 1 || joins[0].Config.Wedsync.Resume == nil || !joins[0].Config.Wedsync.Resume.Returning {
					t.Errorf("joins %+v", joins)
				}
				first := w.peers[0].noted().joins[0].Config.Wedsync
				first.Resume = nil // the other home may have joined before
				if first != (protocol.Extension{Confirms: true, Move: true, Homes: tt.homes}) {
					t.Errorf("the first join says %+v", first)
				}
			})
		})
	}
}

// Nobody takes the client until it is closed: then it is in the usual search.
func TestMoveThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		w.peers[1].with(func() {
			w.peers[1].onJoin = func(*member, protocol.Join) []byte { return reason(protocol.ReasonRestarting) }
		})
		w.peers[0].drain(3 * time.Second)
		time.Sleep(2900 * time.Millisecond)
		if tries := len(w.peers[1].noted().joins); tries < 3 || tries > 60 {
			t.Errorf("%d tries in 3 s", tries)
		}
		if !slices.Equal(r.joined(), []string{"a"}) {
			t.Errorf("joined %v", r.joined())
		}
		w.peers[1].with(func() { w.peers[1].onJoin = nil })
		time.Sleep(2 * time.Second)
		if joined := r.joined(); len(joined) != 1 {
			t.Errorf("joined %v", joined)
		}
		w.say(protocol.Meta{ID: "m1"}, "e", `{}`)
		time.Sleep(10 * time.Millisecond)
		if !slices.Equal(r.ids(), []string{"m1"}) {
			t.Errorf("shown %v", r.ids())
		}
	})
}

// The new session dies before it has caught up: the home still has the old one, and moves once more.
func TestMoveIntoADyingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b", "c")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		b := w.peers[1]
		b.with(func() {
			b.onJoin = func(m *member, _ protocol.Join) []byte {
				time.AfterFunc(100*time.Millisecond, func() { _ = m.conn.NetConn().Close() })
				return protocol.ReplyPayload(protocol.StatusOK, nil) // but never that all is sent
			}
		})
		stop := w.talk()
		w.peers[0].drain(5 * time.Second)
		time.Sleep(3 * time.Second)
		stop()
		if got, want := len(r.ids()), len(w.said()); got != want {
			t.Errorf("%d of %d messages shown", got, want)
		}
		if m, _, _, _ := r.seen(); slices.ContainsFunc(m, func(m Message) bool { return m.Replayed }) {
			t.Error("the old session was given up too early: messages came late")
		}
		if !slices.Equal(r.joined(), []string{"c"}) {
			t.Errorf("joined %v", r.joined())
		}
	})
}

// A server that never says that all is sent, as stock ones do not, does not keep the old session open.
func TestMoveToASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		w.peers[1].with(func() {
			w.peers[1].onJoin = func(*member, protocol.Join) []byte { return protocol.ReplyPayload(protocol.StatusOK, nil) }
		})
		w.peers[0].drain(10 * time.Second)
		time.Sleep(catchUpLimit + time.Second)
		if left, ok := r.state("a", Left); !ok || left.Reason != ReasonMoved {
			t.Errorf("%+v", left)
		}
	})
}

// What is being published while the client moves is acknowledged, and held once.
func TestPublishWhileMoving(t *testing.T) {
	for _, lane := range []protocol.Lane{protocol.Normal, protocol.Urgent} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a", "b")
			c, _ := newTestClient(t, w, nil)
			connect(t, c)
			for _, p := range w.peers {
				p.with(func() { p.delay = 150 * time.Millisecond })
			}
			results := make(chan error, 100)
			for i := range cap(results) {
				go func() { // ends within 10 s
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					_, err := publishFor(c, 10*time.Second, Publication{ID: fmt.Sprint("p", i), Event: "e", Lane: lane})
					results <- err
				}()
			}
			time.Sleep(300 * time.Millisecond)
			w.peers[0].drain(2 * time.Second)
			for range cap(results) {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
			for i := range cap(results) {
				if n := w.held(fmt.Sprint("p", i)); n != 1 {
					t.Errorf("p%d is in the log %d times", i, n)
				}
			}
		})
	}
}

// A second word, one without time and a client that closes do no harm.
func TestMovingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		for _, by := range []time.Duration{-time.Second, time.Hour} {
			w.peers[0].each(func(m *member) {
				m.push(protocol.EventSystem, "", protocol.MovingPayload(testTopic, by))
			})
		}
		time.Sleep(time.Second)
		if !slices.Equal(r.joined(), []string{"a"}) {
			t.Errorf("joined %v", r.joined())
		}
		other, _ := newTestClient(t, w, nil)
		connect(t, other)
		w.peers[1].kill()
		w.peers[0].each(func(m *member) {
			m.push(protocol.EventSystem, "", protocol.MovingPayload(testTopic, time.Hour))
		})
		time.Sleep(time.Second)
		if err := other.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A server that is busy is asked again when it said, and not before if there is another.
func TestRetryAfter(t *testing.T) {
	for _, status := range []int{503, 429} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a", "b")
			busy := func(i, status int, again string) {
				w.peers[i].with(func() { w.peers[i].refuse, w.peers[i].again = status, again })
			}
			busy(0, status, "10")
			c, r := newTestClient(t, w, func(cfg *Config) { cfg.ReturnAfter = 0 })
			connect(t, c)
			if !slices.Equal(r.joined(), []string{"b"}) {
				t.Fatalf("joined %v", r.joined())
			}
			busy(1, status, "3600")
			began := time.Now()
			w.peers[1].each(func(m *member) { closeWith(m, websocket.CloseServiceRestart) })
			time.Sleep(50 * time.Second)
			for i, spans := range [][2]time.Duration{{10 * time.Second, 12600 * time.Millisecond}, {maxPause, maxPause*5/4 + 100*time.Millisecond}} {
				knocks := w.peers[i].noted().knocks
				if len(knocks) < 2 {
					t.Fatalf("%d handshakes at %d", len(knocks), i)
				}
				for n := 1; n < len(knocks); n++ {
					gap := knocks[n].at.Sub(knocks[n-1].at)
					if !knocks[n-1].at.After(began) && i == 1 {
						continue // it was let in
					}
					if gap < spans[0] || gap > spans[1] {
						t.Errorf("handshake %d at %d came after %s, want %s to %s", n, i, gap, spans[0], spans[1])
					}
				}
			}
			busy(0, 0, "")
			time.Sleep(15 * time.Second)
			if !slices.Equal(r.joined(), []string{"a"}) {
				t.Errorf("joined %v", r.joined())
			}
		})
	}
}

// Words that are no number of seconds count as any failure.
func TestRetryAfterIsNonsense(t *testing.T) {
	for _, again := range []string{"", "soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a")
			p := w.peers[0]
			p.with(func() { p.refuse, p.again = 503, again })
			c, _ := newTestClient(t, w, nil)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := c.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if n := len(p.noted().knocks); n < 5 || n > 200 {
				t.Errorf("%q: %d handshakes in 5 s", again, n)
			}
		})
	}
}

// The door of a server learns for how long the client waits for it: longer at first, when servers delay
// refusals, than after a fail-over.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, _ := newTestClient(t, w, nil)
		connect(t, c)
		w.peers[0].kill()
		time.Sleep(time.Second)
		for i, limit := range []time.Duration{refusalPatience, DefaultDialTimeout} {
			ms, err := strconv.Atoi(w.peers[i].noted().knocks[0].query.Get("patience"))
			if got := time.Duration(ms) * time.Millisecond; err != nil || got >= limit || got < limit/2 {
				t.Errorf("handshake %d waits for %s, and says %s", i, limit, got)
			}
		}
	})
}

func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		told := int64(0)
		c, _ := newTestClient(t, w, func(cfg *Config) { cfg.OnShed = func(n int64) { told += n } })
		connect(t, c)
		w.peers[0].each(func(m *member) { m.push(protocol.EventSystem, "", protocol.ShedPayload(testTopic, 17)) })
		synctest.Wait()
		if told != 17 {
			t.Errorf("told of %d", told)
		}
	})
}

// The three times of a fail-over stand in the states: noticed, joined elsewhere, caught up.
func TestFailoverTimes(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  func(p *peer)
		detect time.Duration
	}{
		"killed":  {(*peer).kill, 0},
		"silent":  {(*peer).fallSilent, DefaultSilenceLimit},
		"drained": {func(p *peer) { p.drain(0) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemNet(), "a", "b")
				c, r := newTestClient(t, w, nil)
				connect(t, c)
				time.Sleep(5 * time.Second)
				w.peers[1].with(func() { w.peers[1].delay = 30 * time.Millisecond })
				fault := time.Now()
				tt.fault(w.peers[0])
				time.Sleep(3 * time.Second)
				closed, _ := r.state("a", Closed)
				joined, _ := r.state("b", Joined)
				caught, ok := r.state("b", CaughtUp)
				if !ok || closed.At.Sub(fault) > tt.detect || joined.At.Sub(closed.At) > DefaultFailoverJitter+30*time.Millisecond || caught.At.Before(joined.At) {
					t.Errorf("noticed after %s, joined after another %s, caught up after another %s",
						closed.At.Sub(fault), joined.At.Sub(closed.At), caught.At.Sub(joined.At))
				}
				if !strings.Contains(closed.Reason, map[string]string{"killed": "lost", "silent": "silent", "drained": "1012"}[name]) {
					t.Errorf("reason %q", closed.Reason)
				}
			})
		})
	}
}
