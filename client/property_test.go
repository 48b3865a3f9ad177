package client

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"pgregory.net/rapid"
)

// inBubble hides from rapid that t is a *testing.T, whose deadline does not exist in a bubble.
type inBubble struct{ *testing.T }

// end stops a client and its world, so that the next check begins with nothing.
func (w *world) end(c *Client) {
	_ = c.Close(w.t.Context())
	for _, p := range w.peers {
		p.kill()
	}
}

// Whatever dies when, a client is shown every message of others exactly once, its own never, and
// every message that it published and that was acknowledged is in the log once.
func TestNothingIsLostOrShownTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMemNet()
		rapid.Check(inBubble{t}, func(rt *rapid.T) {
			w := newWorld(t, net, "a", "b", "c")
			c, r := newTestClient(t, w, func(cfg *Config) {
				cfg.Homes = rapid.IntRange(1, 2).Draw(rt, "homes")
				cfg.Version = rapid.SampledFrom([]protocol.Version{protocol.V1, protocol.V2}).Draw(rt, "version")
			})
			defer w.end(c)
			connect(t, c)
			var want []string
			said := 0
			for range rapid.IntRange(1, 25).Draw(rt, "steps") {
				p := w.peers[rapid.IntRange(0, 2).Draw(rt, "region")]
				switch rapid.SampledFrom([]string{"kill", "silence", "restore", "say", "say", "publish", "restart channel", "drain"}).Draw(rt, "step") {
				case "kill":
					p.kill()
				case "silence":
					p.fallSilent()
				case "restore":
					p.restore()
				case "restart channel":
					p.each(func(m *member) { m.push(protocol.EventError, m.joinRef, nil) })
				case "drain":
					p.drain(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "time to move")) * time.Millisecond)
				case "say":
					for range rapid.IntRange(1, 5).Draw(rt, "messages") {
						said++
						id := fmt.Sprintf("m%d", said)
						want = append(want, id)
						w.say(protocol.Meta{ID: id}, "e", `{}`)
						time.Sleep(rapid.SampledFrom([]time.Duration{0, time.Millisecond, 700 * time.Millisecond}).Draw(rt, "pause"))
					}
				case "publish":
					said++
					lane := rapid.SampledFrom([]protocol.Lane{protocol.Normal, protocol.Urgent}).Draw(rt, "lane")
					id := fmt.Sprintf("own%d", said)
					if _, err := publishFor(c, 3*time.Second, Publication{ID: id, Event: "e", Lane: lane}); err == nil && w.held(id) != 1 {
						rt.Fatalf("%s was acknowledged and is in the log %d times", id, w.held(id))
					}
				}
				time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "wait")) * time.Millisecond)
			}
			for _, p := range w.peers {
				p.restore()
			}
			time.Sleep(20 * time.Second)
			got := r.ids()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				_, _, states, _ := r.seen()
				rt.Fatalf("shown %v\n want %v\n states %+v", got, want, states)
			}
			if joined, _ := c.joinedHomes(); joined != len(c.homes) {
				rt.Fatalf("%d homes at the end", joined)
			}
			checkStates(rt, r)
		})
	})
}

func (w *world) held(id string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.log {
		if s.meta.ID == id {
			n++
		}
	}
	return n
}

// checkStates checks what the changes of a client promise: phases in order, no two homes in one
// region, times that do not go back.
func checkStates(t *rapid.T, r *recorder) {
	_, _, states, _ := r.seen()
	last := map[int]State{}
	for i, s := range states {
		before := last[s.Session]
		if s.Phase <= before.Phase || before.Phase == Closed || s.At.Before(before.At) || s.Phase == Dialing && before.Phase != 0 {
			t.Fatalf("change %d: %+v after %+v", i, s, before)
		}
		if (s.Phase == Left || s.Phase == Closed) == (s.Reason == "") {
			t.Fatalf("change %d: %+v", i, s)
		}
		if s.Phase == Joined {
			for _, other := range last {
				if (other.Phase == Joined || other.Phase == CaughtUp) && other.Region == s.Region {
					t.Fatalf("change %d: a second home in %s", i, s.Region)
				}
			}
		}
		last[s.Session] = s
	}
}

// A server that sends rubbish loses nothing but its own rubbish.
func TestRubbishFromTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newMemNet()
		rapid.Check(inBubble{t}, func(rt *rapid.T) {
			w := newWorld(t, net, "a")
			c, r := newTestClient(t, w, nil)
			defer w.end(c)
			connect(t, c)
			frames := rapid.SliceOfN(rapid.OneOf(
				rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) outgoing { return outgoing{2, b} }),
				rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) outgoing { return outgoing{2, append([]byte{4}, b...)} }),
				rapid.Map(rapid.String(), func(s string) outgoing { return outgoing{1, []byte(s)} }),
				rapid.SampledFrom([]outgoing{
					{1, []byte(`["1",null,"realtime:wed:42","from_the_future",{}]`)},
					{1, []byte(`["1","1","realtime:wed:42","phx_reply",{"status":"ok"}]`)},
					{1, []byte(`["1","99","realtime:wed:42","phx_reply",{"status":7}]`)},
					{1, []byte(`["1","99","realtime:wed:42","phx_reply",[]]`)},
					{1, []byte(`[null,null,"realtime:wed:42","receipt",{"id":7}]`)},
					{1, []byte(`[null,null,"realtime:wed:42","broadcast",7]`)},
					{1, []byte(`[null,null,"realtime:wed:42","broadcast",{"meta":{"id":"a b"}}]`)},
					{1, []byte(`[null,null,"realtime:wed:42","system",[]]`)},
					{1, []byte(`[null,null,"realtime:wed:43","broadcast",{"event":"not ours","meta":{"id":"x"}}]`)},
					{1, []byte(`[null,null,"realtime:wed:43","phx_close",{}]`)},
				}),
			), 1, 20).Draw(rt, "frames")
			w.peers[0].each(func(m *member) {
				for _, f := range frames {
					m.send(f.kind, f.frame)
				}
			})
			w.say(protocol.Meta{ID: "m1"}, "e", `{}`)
			time.Sleep(5 * time.Second)
			if got := r.ids(); !slices.Contains(got, "m1") {
				rt.Fatalf("shown %v", got)
			}
			if _, _, states, _ := r.seen(); len(states) != 3 {
				rt.Fatalf("states %+v", states)
			}
		})
	})
}
