package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/auth"
)

// §9.3: replay on join. What is replayed here was acknowledged to a publisher on a socket; rows of
// realtime.messages are replayed in TestDatabaseBroadcast.
func TestReplay(t *testing.T) {
	t.Parallel()
	// store publishes n acknowledged messages to the case's private topic.
	store := func(s *scene, from, to int) {
		s.t.Helper()
		if s.conns["writer"] == nil {
			s.play(`writer join {"private":true,"broadcast":{"ack":true}}`)
		}
		for i := from; i < to; i++ {
			s.words["n"] = fmt.Sprint(i)
			s.play(`
				writer> ["1","w$n","realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"n":$n}}]
				writer< ["1","w$n","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]`)
		}
	}
	// replays joins with a replay and hears the messages from..to, and nothing else.
	replays := func(s *scene, replay string, from, to int) {
		s.t.Helper()
		s.words["replay"] = replay
		s.play(`
			a> ["5","5","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replay":$replay}}}]
			a< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
		for i := from; i < to; i++ {
			s.words["n"] = fmt.Sprint(i)
			s.play(`a< ["5",null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"n":$n},"meta":{"replayed":true,"id":"<any>","...":0}}]`)
		}
		s.play(`a nothing`)
	}
	now := func() int64 { return time.Now().UnixMilli() }
	table(t, plain(t), []behaviour{
		{name: "§9.3 replay gives what was sent since a time, oldest first, with meta and the join_ref", run: func(s *scene) {
			since := now()
			store(s, 0, 4)
			replays(s, fmt.Sprintf(`{"since":%d}`, since), 0, 4)
		}},
		{name: "§9.3 replay with a limit gives the newest", run: func(s *scene) {
			since := now()
			store(s, 0, 6)
			replays(s, fmt.Sprintf(`{"since":%d,"limit":2}`, since), 4, 6)
		}},
		{name: "§9.3 without a limit replay gives 25 at most", run: func(s *scene) {
			store(s, 0, 28)
			replays(s, `{"since":0}`, 3, 28)
		}},
		{name: "§9.3 a limit over 25 gives 25", run: func(s *scene) {
			store(s, 0, 28)
			replays(s, `{"since":0,"limit":1000}`, 3, 28)
		}},
		{name: "§9.3 a limit under 1 gives 1", run: func(s *scene) {
			store(s, 0, 3)
			replays(s, `{"since":0,"limit":0}`, 2, 3)
		}},
		{name: "§9.3 nothing is replayed of the time before since", run: func(s *scene) {
			store(s, 0, 3)
			since := now() + 1
			waitFor(s.t, "the next millisecond", func() bool { return now() > since })
			store(s, 3, 5)
			replays(s, fmt.Sprintf(`{"since":%d}`, since), 3, 5)
		}},
		{name: "§9.3 a topic without a history replays nothing", run: func(s *scene) { replays(s, `{"since":0}`, 0, 0) }},
		{name: "§9.3 live broadcasts after a replay are not marked", run: func(s *scene) {
			store(s, 0, 1)
			replays(s, `{"since":0}`, 0, 1)
			s.play(`
				writer> ["1","w","realtime:$T","broadcast",{"type":"broadcast","event":"live","payload":{}}]
				a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"live","payload":{},"meta":{"id":"<live=uuid>","hlc":"<n>"}}]`)
		}},
		{name: "§9.3 JSON that was sent in a binary push is replayed as text", vsn: "2", script: `
			b join {"private":true,"broadcast":{"ack":true}}
			b>3 ["1","2","realtime:$T","x",null,{"a":1}]
			b< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			a> ["5","5","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0}}}}]
			a< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a< ["5",null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"a":1},"meta":{"replayed":true,"id":"<uuid>","...":0}}]
			a nothing`},
		{name: "§9.3 bytes are replayed as kind 4 with the metadata, and to version 1 not at all", vsn: "2", script: `
			b join {"private":true,"broadcast":{"ack":true}}
			b>3b ["1","2","realtime:$T","x",null,"ffd8"]
			b< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			new> ["5","5","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0}}}}]
			new< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			new<4b ["realtime:$T","x",{"replayed":true,"id":"<uuid>","...":0},"ffd8"]
			old> ["5","5","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0}}}}]
			old< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			old nothing`},
		{name: "§9.3 a live copy of what is replayed does not come a second time", run: func(s *scene) {
			s.play(`writer join {"private":true,"broadcast":{"ack":true}}`)
			const rounds, messages = 8, 12
			for round := range rounds {
				name := fmt.Sprint("a", round)
				s.client(name)
				say := func(i int) {
					s.client("writer").say(s.everywhere(fmt.Sprintf(`["1",null,"realtime:$T","broadcast",{"event":"x","n":%d}]`, round*messages+i)))
				}
				for i := range messages - 1 {
					if say(i); i == messages/2 {
						s.client(name).say(s.everywhere(fmt.Sprintf(`["5","5","realtime:$T","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":%d}}}}]`, s.began.UnixMilli())))
					}
				}
				s.play(name + `< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
				say(messages - 1)
				s.client("writer").rest()
				times := map[string]int{}
				for _, h := range append(s.client(name).rest(), s.client(name).rest()...) {
					payload, _ := h.parts[4].(map[string]any)
					if n := show(payload["n"]); times[n] > 0 {
						s.t.Errorf("round %d: message %s came twice", round, n)
					} else {
						times[n]++
					}
				}
				s.client(name).drop()
			}
		}},
		{name: "§9.3 the history of a public room is not that of the private one", run: func(s *scene) {
			s.play(`
				b join {"private":false,"broadcast":{"ack":true}}
				b> ["1","2","realtime:$T","broadcast",{"event":"public"}]
				b< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]`)
			replays(s, `{"since":0}`, 0, 0)
		}},
	})
}

// §9.3: replay needs the right to read broadcasts.
func TestReplayNeedsRead(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *server.Config) {
		c.Policy = func(claims *auth.Claims, _ string, ext auth.Extension, _ auth.Action) bool {
			return claims.Role == "service_role" || ext == auth.Presence
		}
	})
	table(t, n, []behaviour{
		{name: "§9.3 a member that may not read broadcasts is replayed none", run: func(s *scene) {
			s.as("w", "service_role")
			s.play(`
				w join {"private":true,"broadcast":{"ack":true}}
				w> ["1","2","realtime:$T","broadcast",{"event":"x"}]
				w< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
				a> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true},"broadcast":{"replay":{"since":0}}}}]`)
			a := s.client("a") // whether it is let in without the replay, or refused, is not said
			a.flush()
			a.flush()
			for _, h := range a.ahead {
				if h.binary || h.parts[3] == "broadcast" {
					s.t.Errorf("it hears %s", show(h.parts))
				}
			}
		}},
	})
}
