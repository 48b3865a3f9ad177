package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/server"
)

// §13: how many sockets may have joined a channel.
func TestConcurrentUsers(t *testing.T) {
	t.Parallel()
	full := func() *node { return start(t, func(c *server.Config) { c.Limits.ConcurrentUsers = 2 }) }
	const refused = `
			c> ["1","1","realtime:$T","phx_join",{$more}]
			c< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"ConnectionRateLimitReached: Too many connected users"}}]`
	for _, vsn := range []string{"1", "2"} { // one node each: the count is of the whole node
		table(t, full(), []behaviour{
			{name: "§13 one user too many is refused at the join; who is counted is not counted again", vsn: vsn, script: `
				c nothing
				a join {}
				b join {}
				` + strings.Replace(refused, "$more", "", 1) + `
				a> ["2","2","realtime:$T:other","phx_join",{}]
				a< ["2","2","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]` +
				strings.Replace(refused, "$more", "", 1)},
		})
		table(t, full(), []behaviour{
			{name: "§13 a place that is free again is given to the next", vsn: vsn, run: func(s *scene) {
				s.play("c nothing\na join {}\nb join {}" + strings.Replace(refused, "$more", "", 1))
				s.client("a").drop()
				waitFor(s.t, "the place to be free", func() bool {
					s.client("c").say(s.everywhere(`["1","1","realtime:$T","phx_join",{}]`))
					return strings.Contains(show(s.client("c").hear().parts), `"ok"`)
				})
			}},
		})
		table(t, full(), []behaviour{
			{name: "§5.3 users are counted before the token is judged", vsn: vsn, script: `
				c nothing
				a join {}
				b join {}
				` + strings.Replace(refused, "$more", `"access_token":"words"`, 1)},
		})
		table(t, full(), []behaviour{
			{name: "§1.2 a handshake is refused with 429 while there are too many users", vsn: vsn, run: func(s *scene) {
				s.play("a join {}\nb join {}")
				s.is(s.handshake(url.Values{"vsn": {vsn + ".0.0"}, "apikey": {s.words["authenticated"]}}, nil),
					http.StatusTooManyRequests, `{"error":"Too many connected users"}`)
			}},
		})
	}
}

// §13: rates are averages over buckets of five seconds, so these cases take about that long.
func TestRates(t *testing.T) {
	t.Parallel()
	const burst = 60 // far over a limit of 1 per second, whatever the first bucket is
	events := start(t, func(c *server.Config) { c.Limits.EventsPerSecond = 1 })
	presence := start(t, func(c *server.Config) { c.Limits.PresencePerSecond, c.Limits.PresenceCalls = 1, 0 })
	for _, vsn := range []string{"1", "2"} {
		joins := start(t, func(c *server.Config) { c.Limits.JoinsPerSecond, c.Limits.ChannelsPerSocket = 1, 0 })
		table(t, joins, []behaviour{
			{name: "§13 a burst of joins passes; then they are refused, the socket is closed with 1001, and handshakes get 429", vsn: vsn, run: func(s *scene) {
				a, b := s.client("a"), s.client("b")
				i := 0
				s.eventually(func() bool {
					i++
					s.words["i"] = fmt.Sprint(i)
					a.say(s.everywhere(`["9","9","realtime:$T:more:$i","phx_join",{}]`))
					return !strings.Contains(show(a.peek().parts), `"ok"`) || a.skip()
				})
				if i <= 10 { // in two buckets of five seconds that is the limit, and there are never fewer
					s.t.Errorf("refused after %d joins", i-1)
				}
				s.play(`
					a< ["9","9","realtime:$T:more:$i","phx_reply",{"status":"error","response":{"reason":"ClientJoinRateLimitReached: Too many joins per second"}}]
					a closed 1001`)
				s.nothing(b)
				s.is(s.handshake(url.Values{"vsn": {vsn + ".0.0"}, "apikey": {s.words["authenticated"]}}, nil),
					http.StatusTooManyRequests, `{"error":"Too many joins per second"}`)
			}},
		})
		// talk has a send broadcasts until one of its channels is ended.
		talk := func(s *scene, ended string) {
			for range burst {
				s.client("a").say(s.everywhere(`["1",null,"realtime:$T","broadcast",{"event":"x"}]`))
			}
			s.eventually(func() bool {
				s.client("a").say(s.everywhere(`["1",null,"realtime:$T","broadcast",{"event":"x"}]`))
				c := s.client(ended)
				c.flush()
				for len(c.ahead) > 0 && c.ahead[0].parts[3] == "broadcast" {
					c.skip()
				}
				return len(c.ahead) > 0
			})
		}
		const tooMany = `
			X< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Too many messages per second","channel":"$T"}]
			X< ["1","1","realtime:$T","phx_close",{}]`
		table(t, events, []behaviour{
			{name: "§13 a channel that sends over the limit of events is told, and closed; the socket stays", vsn: vsn, run: func(s *scene) {
				s.play(`a join {}`)
				talk(s, "a")
				s.play(by("a", tooMany))
				for _, h := range s.client("a").rest() { // what was sent after the end is on no channel
					if h.parts[3] != "phx_reply" {
						s.t.Errorf("after the end: %s", show(h.parts))
					}
				}
			}},
		})
		// A departure: the original also shuts down the channels that receive, so that one sender can silence a
		// wedding, and stops urgent messages like others.
		table(t, events, []behaviour{
			{name: "§13 over the limit of events the channels that receive stay, and urgent messages arrive (ours)", vsn: vsn, run: func(s *scene) {
				s.play("a join {}\nb join {}\nc join {}")
				talk(s, "a")
				s.client("c").say(s.everywhere(`["1",null,"realtime:$T","broadcast",{"event":"urgent","payload":{"n":"the one"}}]`))
				for b := s.client("b"); ; {
					h := b.hear()
					if h.parts[3] != "broadcast" {
						s.t.Fatalf("the receiver is told %s", show(h.parts))
					}
					if strings.Contains(show(h.parts), "the one") {
						break
					}
				}
				if left := s.client("b").rest(); len(left) > 0 {
					s.t.Errorf("behind it: %s", show(left[0].parts))
				}
			}},
		})
		table(t, events, []behaviour{
			{name: "§9.1 REST over the limit of events is 429 Too many requests", vsn: vsn, run: func(s *scene) {
				s.play(`a join {}`)
				talk(s, "a")
				s.is(s.post(batchPath, jsonType, `{"messages":[{"topic":"$T","event":"x","payload":{}}]}`), http.StatusTooManyRequests, `{"message":"Too many requests"}`)
				s.is(s.post("/api/broadcast/$T/events/x", jsonType, `{}`), http.StatusTooManyRequests, `{"message":"Too many requests"}`)
			}},
		})
		table(t, presence, []behaviour{
			{name: "§13 a channel over the limit of presence events is told, and closed", vsn: vsn, run: func(s *scene) {
				s.play(by("a", present))
				call := func(i int) {
					s.client("a").say(s.everywhere(fmt.Sprintf(`["1","t%d","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":%d}}]`, i, i)))
				}
				for i := range burst {
					call(i)
				}
				i := burst
				s.eventually(func() bool {
					i++
					call(i)
					a := s.client("a")
					a.flush()
					for len(a.ahead) > 0 && a.ahead[0].parts[3] != "system" {
						a.skip()
					}
					return len(a.ahead) > 0
				})
				s.play(`a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Too many presence messages per second","channel":"$T"}]`)
				for s.client("a").hear().parts[3] != "phx_close" {
				}
			}},
		})
	}
}

// eventually tries until it succeeds, several times a second.
func (s *scene) eventually(ok func() bool) {
	s.t.Helper()
	deadline, pause := time.Now().Add(patience), time.NewTicker(100*time.Millisecond)
	defer pause.Stop()
	for !ok() {
		if <-pause.C; time.Now().After(deadline) {
			s.t.Fatalf("nothing happened in %s", patience)
		}
	}
}

// §13: everything that is counted, and not averaged.
func TestLimits(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§13 the 101st channel of a socket is refused, another socket's is not", run: func(s *scene) {
			for i := range 100 {
				s.join("a", fmt.Sprintf("realtime:%s:%d", s.words["T"], i), "{}")
			}
			s.play(`
				a> ["9","9","realtime:$T","phx_join",{}]
				a< ["9","9","realtime:$T","phx_reply",{"status":"error","response":{"reason":"ChannelRateLimitReached: Too many channels"}}]
				b join {}
				a> ["1","10","realtime:$T:7","phx_leave",{}]
				a< ["1","10","realtime:$T:7","phx_reply",{"status":"ok","response":{}}]
				a< ["1","1","realtime:$T:7","phx_close",{}]
				a join {}`)
		}},
		{name: "§5.3 channels are counted before the token is judged", run: func(s *scene) {
			for i := range 100 {
				s.join("a", fmt.Sprintf("realtime:%s:%d", s.words["T"], i), "{}")
			}
			s.play(`
				a> ["9","9","realtime:$T","phx_join",{"access_token":"words"}]
				a< ["9","9","realtime:$T","phx_reply",{"status":"error","response":{"reason":"ChannelRateLimitReached: Too many channels"}}]`)
		}},
		{name: "§13 a duplicate join needs no further channel", run: func(s *scene) {
			for i := range 100 {
				s.join("a", fmt.Sprintf("realtime:%s:%d", s.words["T"], i), "{}")
			}
			s.play(`
				a> ["9","9","realtime:$T:7","phx_join",{}]
				a< ["9","9","realtime:$T:7","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				a< ["1","1","realtime:$T:7","phx_close",{}]`)
		}},
		{name: "§13 the sixth presence call of a channel within 30 s ends it; track and untrack both count", run: func(s *scene) {
			s.play(by("a", present, tracks) + `
				a> ["1","c2","realtime:$T","presence",{"type":"presence","event":"untrack"}]
				a~ ["1","c2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
				a~ [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]
				a> ["1","c3","realtime:$T","presence",{"type":"presence","event":"untrack"}]
				a< ["1","c3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
				a> ["1","c4","realtime:$T","presence",{"type":"presence","event":"untrack"}]
				a< ["1","c4","realtime:$T","phx_reply",{"status":"ok","response":{}}]
				a> ["1","c5","realtime:$T","presence",{"type":"presence","event":"untrack"}]
				a< ["1","c5","realtime:$T","phx_reply",{"status":"ok","response":{}}]
				a> ["1","c6","realtime:$T","presence",{"type":"presence","event":"untrack"}]
				a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Client presence rate limit exceeded","channel":"$T"}]
				a< ["1","1","realtime:$T","phx_close",{}]
				a nothing`)
		}},
		{name: "§13 presence calls are counted for each channel of its own", run: func(s *scene) {
			s.play(by("a", present))
			for i := range 5 {
				s.words["i"] = fmt.Sprint(i)
				s.play(`
					a> ["1","c$i","realtime:$T","presence",{"type":"presence","event":"untrack"}]
					a< ["1","c$i","realtime:$T","phx_reply",{"status":"ok","response":{}}]`)
			}
			s.play(`
				a leave
				a join {}
				a> ["1","6","realtime:$T","presence",{"type":"presence","event":"untrack"}]
				a< ["1","6","realtime:$T","phx_reply",{"status":"ok","response":{}}]`)
		}},
		{name: "§13 a presence payload over the limit ends the channel", run: func(s *scene) {
			s.words["large"] = strings.Repeat("x", 3_000_500)
			s.play(by("a", present) + `
				a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{"large":"$large"}}]
				a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Track message size exceeded","channel":"$T"}]
				a< ["1","1","realtime:$T","phx_close",{}]
				a nothing`)
		}},
	})
}

// §13: a batch that alone is over the limit.
func TestBatchLimit(t *testing.T) {
	t.Parallel()
	table(t, start(t, func(c *server.Config) { c.Limits.EventsPerSecond = 2 }), []behaviour{
		{name: "§9.1 a batch larger than the limit is 429 and says so", vsn: "2", run: func(s *scene) {
			one := `{"topic":"$T","event":"x","payload":{}}`
			s.is(s.post(batchPath, jsonType, `{"messages":[`+one+`,`+one+`,`+one+`]}`), http.StatusTooManyRequests,
				`{"message":"Too many messages to broadcast, please reduce the batch size"}`)
		}},
	})
}

// §13: storms of connections wait.
func TestAdmission(t *testing.T) {
	t.Parallel()
	table(t, start(t, func(c *server.Config) { c.Limits.Connections = 1 }), []behaviour{
		{name: "§13 a connection over the limit of the node is queued, not refused", vsn: "2", run: func(s *scene) {
			s.play(`a join {}`)
			opened := make(chan error, 1)
			address := "ws://" + s.node.Addr() + s.everywhere("/socket/websocket?vsn=2.0.0&apikey=$anon")
			go func() { // ends when the handshake is answered
				ws, _, err := websocket.DefaultDialer.Dial(address, nil)
				if err == nil {
					ws.Close()
				}
				opened <- err
			}()
			s.nothing(s.client("a"))
			select {
			case err := <-opened:
				s.t.Fatalf("the second connection did not wait: %v", err)
			default:
			}
			s.client("a").drop()
			if err := <-opened; err != nil {
				s.t.Errorf("the second connection was refused: %v", err)
			}
		}},
	})
}
