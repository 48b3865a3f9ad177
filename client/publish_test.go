package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

func publishFor(c *Client, d time.Duration, p Publication) (Ack, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return c.Publish(ctx, p)
}

// Published through every home or the first, acknowledged by the first ok, shown to others once and
// to the publisher never.
func TestPublish(t *testing.T) {
	for _, v := range []protocol.Version{protocol.V1, protocol.V2} {
		for _, lane := range []protocol.Lane{protocol.Urgent, protocol.Normal, protocol.Bulk} {
			t.Run(fmt.Sprint(v, lane), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, newMemNet(), "a", "b", "c")
					version := func(cfg *Config) { cfg.Homes, cfg.Version = 2, v }
					c, mine := newTestClient(t, w, version)
					other, theirs := newTestClient(t, w, version)
					connect(t, c)
					connect(t, other)
					ack, err := publishFor(c, time.Second, Publication{ID: "w1/u1", Event: "timeline", Lane: lane, Payload: []byte(`{"eta":95}`)})
					if err != nil || ack.ID != "w1/u1" || len(ack.Held) != 2 || ack.Held[1] != "elsewhere" || ack.Region == "" || ack.At.IsZero() {
						t.Fatalf("%+v, %v", ack, err)
					}
					time.Sleep(time.Second)
					want := protocol.Meta{ID: "w1/u1", Lane: lane, From: "florist-7"}
					a, b := w.peers[0].noted().pushes, w.peers[1].noted().pushes
					sent := append(a, b...)
					if lane == protocol.Urgent && (len(a) != 1 || len(b) != 1) || lane != protocol.Urgent && len(sent) != 1 {
						t.Errorf("sent %+v", sent)
					}
					for _, m := range sent {
						if m != want {
							t.Errorf("metadata %+v", m)
						}
					}
					if m, d, _, _ := mine.seen(); len(m)+len(d) > 0 {
						t.Errorf("the publisher is shown %+v %+v", m, d)
					}
					m, _, _, _ := theirs.seen()
					if len(m) != 1 || m[0].ID != "w1/u1" || m[0].From != "florist-7" || m[0].Lane != lane || string(m[0].Payload) != `{"eta":95}` {
						t.Errorf("others are shown %+v", m)
					}
				})
			})
		}
	}
}

// A server that dies between accepting and answering: the same id goes out again elsewhere.
func TestPublishIsRetriedAfterFailover(t *testing.T) {
	faults := map[string]func(*peer){"killed": (*peer).kill, "silent": (*peer).fallSilent}
	for name, fault := range faults {
		for _, lane := range []protocol.Lane{protocol.Urgent, protocol.Normal} {
			for _, homes := range []int{1, 2} {
				t.Run(fmt.Sprint(name, lane, homes), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, newMemNet(), "a", "b", "c")
						c, _ := newTestClient(t, w, func(cfg *Config) { cfg.Homes = homes })
						other, theirs := newTestClient(t, w, func(cfg *Config) { slices.Reverse(cfg.Endpoints) })
						connect(t, c)
						connect(t, other)
						a := w.peers[0]
						a.with(func() {
							a.onPush = func(m *member, meta protocol.Meta) []byte {
								w.sayLocked(meta, "e", []byte(`{}`), m)
								return []byte{} // held, but the publisher is not told
							}
						})
						time.AfterFunc(100*time.Millisecond, func() { fault(a) })
						start := time.Now()
						ack, err := publishFor(c, 10*time.Second, Publication{ID: "u1", Event: "e", Lane: lane})
						if err != nil || ack.Region != "b" {
							t.Fatalf("%+v, %v", ack, err)
						}
						if took := time.Since(start); lane == protocol.Urgent && homes == 2 && took > 10*time.Millisecond {
							t.Errorf("the other home answered after %v", took)
						}
						time.Sleep(5 * time.Second)
						if m, _, _, _ := theirs.seen(); len(m) != 1 {
							t.Errorf("others are shown %+v", m)
						}
						for _, p := range w.peers {
							for _, m := range p.noted().pushes {
								if m.ID != "u1" {
									t.Errorf("%s got id %s", p.region, m.ID)
								}
							}
						}
					})
				})
			}
		}
	}
}

// A session that comes while an urgent publish is under way gets it at once.
func TestUrgentPublishReachesLaterJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a", "b")
		for _, p := range w.peers {
			p.kill()
		}
		c, _ := newTestClient(t, w, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Connect(ctx)
		time.AfterFunc(5*time.Second, w.peers[1].restore)
		ack, err := publishFor(c, 10*time.Second, Publication{ID: "u1", Event: "urgent"})
		if err != nil || ack.Region != "b" {
			t.Fatalf("%+v, %v", ack, err)
		}
	})
}

func TestPublishOutcomes(t *testing.T) {
	const unauthorized = "Unauthorized: no"
	say := func(texts ...string) func(*member, protocol.Meta) []byte { // one after the other, then ok
		return func(*member, protocol.Meta) []byte {
			if len(texts) == 0 {
				return nil
			}
			text := texts[0]
			texts = texts[1:]
			switch text {
			case "":
				return []byte{}
			case "too large":
				return protocol.ReplyPayload(protocol.StatusError, protocol.ReasonPayloadTooLarge)
			}
			return reason(text)
		}
	}
	always := func(text string) func(*member, protocol.Meta) []byte {
		return func(*member, protocol.Meta) []byte { return say(text)(nil, protocol.Meta{}) }
	}
	tests := []struct {
		name     string
		homes    int
		a, b     func(*member, protocol.Meta) []byte
		during   func(w *world)
		want     error
		text     string
		pushes   int // at least, to a
		urgently time.Duration
		slow     time.Duration // b
	}{
		{name: "refused", homes: 1, a: always(unauthorized), want: ErrRefused, text: unauthorized, pushes: 1, urgently: time.Millisecond},
		{name: "too large", homes: 1, a: always("too large"), want: ErrRefused, text: "payload_size", pushes: 1, urgently: time.Millisecond},
		{name: "malformed", homes: 1, a: always(protocol.ReasonMalformed + ": meta.id"), want: ErrRefused, pushes: 1, urgently: time.Millisecond},
		{name: "refused by both", homes: 2, a: always(unauthorized), b: always(unauthorized), want: ErrRefused, pushes: 1, urgently: time.Millisecond},
		{name: "refused by one, held by the other", homes: 2, a: always(unauthorized), pushes: 1, urgently: 20 * time.Millisecond,
			slow: 10 * time.Millisecond},
		{name: "never held", homes: 1, a: always("NotHeld: two regions"), want: ErrUnknown, text: "NotHeld", pushes: 10},
		{name: "held at the third try", homes: 1, a: say("NotHeld", "NotHeld"), pushes: 3, urgently: time.Second},
		{name: "never answered", homes: 1, a: always(""), want: ErrUnknown, pushes: 3},
		{name: "answered at the second try", homes: 1, a: say(""), pushes: 2, urgently: 4 * time.Second},
		{name: "an unknown no is no certainty", homes: 1, a: always("Who knows"), want: ErrUnknown, pushes: 10},
		{name: "a no after a death is no certainty", homes: 1, a: always(""), b: always(unauthorized), want: ErrUnknown, text: unauthorized, pushes: 1,
			during: func(w *world) { w.peers[0].kill() }},
		{name: "the server remembers nothing of us", homes: 1, a: always(protocol.ReasonUnmatchedTopic), want: ErrUnknown, pushes: 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemNet(), "a", "b")
				c, _ := newTestClient(t, w, func(cfg *Config) { cfg.Homes, cfg.ReturnAfter = tt.homes, 0 })
				connect(t, c)
				w.peers[0].with(func() { w.peers[0].onPush, w.peers[1].onPush, w.peers[1].delay = tt.a, tt.b, tt.slow })
				if tt.during != nil {
					time.AfterFunc(time.Second, func() { tt.during(w) })
				}
				start := time.Now()
				ack, err := publishFor(c, 10*time.Second, Publication{ID: "u1", Event: "e", Lane: protocol.Urgent})
				if !errors.Is(err, tt.want) || tt.want == nil && ack.ID != "u1" || err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%+v, %v", ack, err)
				}
				if took := time.Since(start); tt.urgently > 0 && took > tt.urgently {
					t.Errorf("took %v", took)
				}
				if n := len(w.peers[0].noted().pushes); n < tt.pushes {
					t.Errorf("%d pushes, want %d", n, tt.pushes)
				}
				if c.pending["u1"] != nil {
					t.Error("the publication is still pending")
				}
			})
		})
	}
}

func TestPublishIsRefusedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemNet(), "a")
		c, _ := newTestClient(t, w, nil)
		// Not connected: what was never sent is definitely not published.
		if _, err := publishFor(c, time.Second, Publication{Event: "e"}); !errors.Is(err, ErrRefused) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not joined: %v", err)
		}
		connect(t, c)
		for want, p := range map[string]Publication{
			"an id has":           {ID: "a b", Event: "e"},
			"an event has":        {ID: "m1"},
			"to 255 bytes":        {ID: "m1", Event: strings.Repeat("x", 256)},
			"payload is not JSON": {ID: "m1", Event: "e", Payload: []byte(`{`)},
			"the most is":         {ID: "m1", Event: "e", Payload: []byte(`"` + strings.Repeat("x", maxPayload) + `"`)},
		} {
			if _, err := publishFor(c, time.Second, p); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", want, err)
			}
		}
		if _, err := publishFor(c, time.Second, Publication{ID: "m1", Event: "e", Payload: []byte("\"\xff\"")}); !errors.Is(err, ErrRefused) {
			t.Errorf("not UTF-8: %v", err)
		}
		if n := len(w.peers[0].noted().pushes); n != 0 {
			t.Errorf("%d were sent", n)
		}
		if ack, err := publishFor(c, time.Second, Publication{Event: "e"}); err != nil || len(ack.ID) != 36 {
			t.Errorf("without an id: %+v, %v", ack, err)
		}

		// The same id twice at once, and a close in the middle.
		w.peers[0].with(func() { w.peers[0].onPush = func(*member, protocol.Meta) []byte { return []byte{} } })
		result := make(chan error)
		go func() {
			_, err := publishFor(c, time.Minute, Publication{ID: "m2", Event: "e"})
			result <- err
		}()
		synctest.Wait()
		if _, err := publishFor(c, time.Second, Publication{ID: "m2", Event: "e"}); !errors.Is(err, ErrRefused) {
			t.Errorf("twice at once: %v", err)
		}
		_ = c.Close(context.Background())
		if err := <-result; !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrClosed) {
			t.Errorf("closed in the middle: %v", err)
		}
		if _, err := publishFor(c, time.Second, Publication{Event: "e"}); !errors.Is(err, ErrRefused) || !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}
