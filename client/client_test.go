package client

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// dual makes a client with two homes in three regions.
func dual(cfg *Config) { cfg.Homes = 2 }

func TestDualHomesShowEachMessageOnce(t *testing.T) {
	for _, v := range []protocol.Version{protocol.V1, protocol.V2} {
		t.Run(v.String(), func(t *testing.T) { // over real sockets
			w := newWorld(t, nil, "a", "b", "c")
			c, r := newTestClient(t, w, func(cfg *Config) { cfg.Homes, cfg.Version = 2, v })
			connect(t, c)
			if d := r.joined(); !slices.Equal(d, []string{"a", "b"}) {
				t.Fatalf("joined %v, want the two preferred regions", d)
			}
			var want []string
			for i := range 50 {
				id := fmt.Sprintf("m%d", i)
				want = append(want, id)
				w.say(protocol.Meta{ID: id, From: "planner-1", Lane: protocol.Urgent}, "timeline", fmt.Sprintf(`{"n":%d}`, i))
			}
			eventually(t, "both homes have brought everything", func() bool {
				m, d, _, _ := r.seen()
				return len(m)+len(d) == 100
			})
			messages, duplicates, _, _ := r.seen()
			if got := r.ids(); !slices.Equal(got, want) {
				t.Fatalf("shown %v", got)
			}
			for i, m := range messages {
				if m.From != "planner-1" || m.Lane != protocol.Urgent || m.Event != "timeline" || string(m.Payload) != fmt.Sprintf(`{"n":%d}`, i) || m.Replayed {
					t.Fatalf("message %+v", m)
				}
			}
			for _, d := range duplicates {
				if d.SameSession {
					t.Fatalf("duplicate of the same session: %+v", d)
				}
			}
		})
	}
}

func TestServerThatSendsTwiceIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		w.say(protocol.Meta{ID: "m1"}, "e", `{}`)
		sent := w.said()[0]
		w.peers[0].each(func(m *member) { m.tell(sent) })
		time.Sleep(time.Second)
		messages, duplicates, _, _ := r.seen()
		if len(messages) != 1 || len(duplicates) != 1 || !duplicates[0].SameSession || duplicates[0].ID != "m1" {
			t.Fatalf("shown %+v, duplicates %+v", messages, duplicates)
		}
	})
}

// A stock server gives no ids: then nothing can be told apart, and nothing is swallowed.
func TestMessagesWithoutIDsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, r := newTestClient(t, w, nil)
		connect(t, c)
		for range 2 {
			w.peers[0].each(func(m *member) { m.tell(said{event: "e", payload: []byte(`1`)}) })
		}
		time.Sleep(time.Second)
		if m, d, _, _ := r.seen(); len(m) != 2 || len(d) != 0 {
			t.Fatalf("shown %+v, duplicates %+v", m, d)
		}
	})
}

func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b", "c")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.Homes, cfg.Confirm, cfg.Receipts = 2, true, true })
		connect(t, c)
		w.say(protocol.Meta{ID: "u1", Lane: protocol.Urgent}, "e", `{}`)
		w.say(protocol.Meta{ID: "u2"}, protocol.UrgentEvent, `{}`) // as a stock client sends it
		w.say(protocol.Meta{ID: "n1"}, "e", `{}`)
		for _, p := range w.peers {
			p.each(func(m *member) {
				m.push(protocol.EventReceipt, "", protocol.AppendReceipt(nil, &protocol.Receipt{ID: "mine", By: "baker-1", Region: "a"}))
				m.push(protocol.EventReceipt, "", protocol.AppendReceipt(nil, &protocol.Receipt{ID: "mine", By: "band-1", Region: "b"}))
			})
		}
		time.Sleep(time.Second)

		var confirmed []string
		messages, _, _, receipts := r.seen()
		for _, p := range w.peers {
			for _, ids := range p.noted().confirms {
				confirmed = append(confirmed, ids...)
				i := slices.IndexFunc(messages, func(m Message) bool { return m.ID == ids[0] })
				if messages[i].Region != p.region {
					t.Errorf("%v was brought by %s and confirmed to %s", ids, messages[i].Region, p.region)
				}
			}
			if joins := p.noted().joins; len(joins) > 0 && !joins[0].Config.Wedsync.Receipts {
				t.Error("the join does not ask for receipts")
			}
		}
		slices.Sort(confirmed)
		if !slices.Equal(confirmed, []string{"u1", "u2"}) {
			t.Errorf("confirmed %v, want each urgent message once", confirmed)
		}
		if len(receipts) != 2 || receipts[0].ID != "mine" || receipts[0].By == receipts[1].By {
			t.Errorf("receipts %+v, want one of each recipient", receipts)
		}
	})
}

func TestJoinSaysWhatServersNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, _ := newTestClient(t, w, func(cfg *Config) { cfg.Private = true })
		connect(t, c)
		j := w.peers[0].noted().joins[0]
		if j.AccessToken != "eyJ" || !j.Config.Private || !j.Config.Broadcast.Ack || j.Config.Broadcast.Self ||
			j.Config.Presence.Key != "florist-7" || j.Config.Wedsync.Resume != nil || j.Config.Wedsync.Receipts {
			t.Errorf("join %+v", j)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		c, r := newTestClient(t, w, dual)
		connect(t, c)
		if err := c.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for the servers to note what they read
		for _, p := range w.peers {
			if n := p.noted(); n.leaves != 1 || !slices.Equal(n.closes, []int{1000}) {
				t.Errorf("%s saw %d leaves and close frames %v", p.region, n.leaves, n.closes)
			}
			left, ok1 := r.state(p.region, Left)
			closed, ok2 := r.state(p.region, Closed)
			if !ok1 || !ok2 || left.Reason != "closed" || closed.Reason != "closed" || closed.At.Before(left.At) {
				t.Errorf("states of %s: %+v %+v", p.region, left, closed)
			}
		}
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("second close: %v", err)
		}
		if err := c.Connect(context.Background()); err == nil {
			t.Error("a closed client was connected")
		}
	})
}

// Whatever servers do, Close returns within LeaveTimeout, or when its context ends.
func TestCloseDoesNotWaitForTheSilent(t *testing.T) {
	tests := map[string]func(*world){
		"silent after join": func(w *world) { w.peers[0].fallSilent() },
		"killed":            func(w *world) { w.peers[0].kill() },
		"both gone":         func(w *world) { w.peers[0].fallSilent(); w.peers[1].kill() },
	}
	for name, fault := range tests {
		for _, after := range []time.Duration{0, 500 * time.Millisecond, 1200 * time.Millisecond} {
			t.Run(fmt.Sprint(name, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, newMemNet(), "a", "b")
					c, _ := newTestClient(t, w, dual)
					connect(t, c)
					fault(w)
					time.Sleep(after)
					start := time.Now()
					_ = c.Close(context.Background())
					if d := time.Since(start); d > LeaveTimeout {
						t.Errorf("took %v", d)
					}
				})
			})
		}
	}
	t.Run("context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a")
			c, _ := newTestClient(t, w, nil)
			connect(t, c)
			w.peers[0].fallSilent()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			start := time.Now()
			_ = c.Close(ctx)
			if d := time.Since(start); d > 10*time.Millisecond {
				t.Errorf("took %v", d)
			}
		})
	})
	t.Run("during a handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemNet(), "a")
			w.peers[0].silent.Store(true)
			c, _ := newTestClient(t, w, nil)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			if err := c.Connect(ctx); err == nil {
				t.Error("connected to a silent server")
			}
			start := time.Now()
			_ = c.Close(context.Background())
			if d := time.Since(start); d > time.Millisecond {
				t.Errorf("took %v", d)
			}
		})
	})
}

// A receipt may die with the session that carried it: what is replayed to the next one is confirmed again. An
// escalation is the server's own word, and nobody waits for its receipt.
func TestWhatIsReplayedIsConfirmedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, r := newTestClient(t, w, func(cfg *Config) { cfg.Confirm = true })
		connect(t, c)
		w.say(protocol.Meta{ID: "u1", Lane: protocol.Urgent}, "e", `{}`)
		w.say(protocol.Meta{ID: "esc/u0", Lane: protocol.Urgent}, protocol.EscalationEvent, `{"id":"u0"}`)
		again, replayed := w.said()[0], w.said()[0]
		replayed.meta.Replayed = true
		w.peers[0].each(func(m *member) { m.tell(again); m.tell(replayed) })
		time.Sleep(time.Second)
		var confirmed []string
		for _, ids := range w.peers[0].noted().confirms {
			confirmed = append(confirmed, ids...)
		}
		if !slices.Equal(confirmed, []string{"u1", "u1"}) {
			t.Errorf("confirmed %v, want u1 as it came and as it was replayed", confirmed)
		}
		if messages, _, _, _ := r.seen(); len(messages) != 2 {
			t.Errorf("shown %+v, want the message and the escalation", messages)
		}
	})
}
