package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/server"
)

// §3: what holds for a socket, whatever its channels are.
func TestSocket(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§3 a heartbeat is answered on topic phoenix", script: `
			a> [null,"8","phoenix","heartbeat",{}]
			a< [null,"8","phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§3 a heartbeat is answered while channels are joined", script: `
			a join {}
			a> [null,"9","phoenix","heartbeat",{}]
			a< [null,"9","phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§3 a join of a topic without the prefix is unmatched", script: `
			a> ["1","1","$T","phx_join",{}]
			a< [null,"1","$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{name: "§3 a push to a topic that is not joined is unmatched", script: `
			a> ["1","2","realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{}}]
			a< [null,"2","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"untrack"}]
			a< [null,"3","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
			a> ["1","4","realtime:$T","access_token",{"access_token":"$anon"}]
			a< [null,"4","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{name: "§3 a binary push to a topic that is not joined is unmatched", vsn: "2", script: `
			a>3 ["1","2","realtime:$T","x",null,{}]
			a< [null,"2","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{name: "§3 a push on topic phoenix that is no heartbeat is unmatched", script: `
			a> [null,"2","phoenix","broadcast",{}]
			a< [null,"2","phoenix","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{name: "§3 phx_leave is answered ok, then phx_close", script: `
			a> ["1","1","realtime:$T","phx_join",{}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["1","2","realtime:$T","phx_leave",{}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["1","1","realtime:$T","phx_close",{}]
			a nothing`},
		{name: "§3 phx_leave of a topic that is not joined is answered ok, without phx_close", script: `
			a> ["9","15","realtime:$T","phx_leave",{}]
			a< ["9","15","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a nothing`},
		{name: "§3 phx_leave with another join_ref is ignored in silence", script: `
			a> ["2","2","realtime:$T","phx_join",{}]
			a< ["2","2","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["1","3","realtime:$T","phx_leave",{}]
			a nothing
			a> ["2","4","realtime:$T","phx_leave",{}]
			a< ["2","4","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["2","2","realtime:$T","phx_close",{}]`},
		{name: "§3 phx_leave without a join_ref is accepted", script: `
			a join {}
			a> [null,"2","realtime:$T","phx_leave",{}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["1","1","realtime:$T","phx_close",{}]`},
		{name: "§3 a duplicate join is answered first, then the old channel closes with its own join_ref", script: `
			a join {}
			a> ["2","2","realtime:$T","phx_join",{}]
			a< ["2","2","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a< ["1","1","realtime:$T","phx_close",{}]
			a> ["2","3","realtime:$T","phx_leave",{}]
			a< ["2","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["2","2","realtime:$T","phx_close",{}]`},
		{name: "§3 after a duplicate join there is one channel, with the new config", script: `
			a join {"broadcast":{"self":true}}
			a> ["2","2","realtime:$T","phx_join",{"config":{"broadcast":{"self":false}}}]
			a< ["2","2","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a< ["1","1","realtime:$T","phx_close",{}]
			b join {}
			b> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			a> ["2","3","realtime:$T","broadcast",{"event":"y"}]
			b< [null,null,"realtime:$T","broadcast",{"event":"y"}]
			a nothing`},
		{name: "§3 pushes with a stale join_ref are accepted", script: `
			a> ["7","7","realtime:$T","phx_join",{"config":{"broadcast":{"self":true}}}]
			a< ["7","7","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["6","8","realtime:$T","broadcast",{"event":"stale"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"stale"}]`},
		{name: "§3 pushes without a join_ref are accepted", script: `
			a join {"broadcast":{"self":true}}
			a> [null,"8","realtime:$T","broadcast",{"event":"none"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"none"}]`},
		{name: "§3 malformed frames are dropped without a reply, and the connection stays open", vsn: "2", script: `
			a>raw this is not JSON
			a>raw {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}
			a>raw "text"
			a>raw 17
			a>raw []
			a>raw [null,"1","phoenix","heartbeat"]
			a>raw [null,"1",17,"heartbeat",{}]
			a nothing`},
		{name: "§3 malformed frames are dropped without a reply, and the connection stays open", vsn: "1", script: `
			a>raw this is not JSON
			a>raw [null,"8","phoenix","heartbeat",{}]
			a>raw null
			a>raw {}
			a nothing`},
		{name: "§3 text that is not UTF-8 is dropped, and the connection stays open", run: func(s *scene) {
			s.play("a>raw [null,\"1\",\"phoenix\",\"heart\xffbeat\",{}]\na nothing")
		}},
		{name: "§3 binary frames of an unknown layout are dropped, and the connection stays open", run: func(s *scene) {
			a := s.client("a")
			for _, frame := range []string{"", "\x00", "\x03", "\x03\xff\xff\xff\xff\xff\x01", "\x09\x01\x01\x01\x01\x01\x01rest", "\x04\x01\x01\x00\x01tx{}",
				"\x03\x00\x00\x01\x01\x00\x01tx{not json"} {
				a.write(binaryMessage, []byte(frame))
			}
			s.nothing(a)
		}},
		{name: "§3 unknown events on a joined channel get no reply", script: `
			a join {"broadcast":{"ack":true,"self":true}}
			b join {}
			a> ["1","2","realtime:$T","dance",{"a":1}]
			a> ["1","3","realtime:$T","phx_error",{}]
			a> ["1","4","realtime:$T","postgres_changes",{}]
			a> ["1","5","realtime:$T","system",{"status":"ok"}]
			a> ["1","6","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a nothing
			b nothing`},
	})
}

// §3: the original blocks a socket during a join; a client must not notice that we do not, and profits
// that heartbeats go on.
func TestPendingJoin(t *testing.T) {
	t.Parallel()
	const delay = 400 * time.Millisecond
	n := start(t, func(c *server.Config) { c.JoinErrorBackoff = delay })
	table(t, n, []behaviour{
		{name: "§3 heartbeats and other topics go on while a refusal is held back", script: `
			a as anon
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			a> [null,"2","phoenix","heartbeat",{}]
			a< [null,"2","phoenix","phx_reply",{"status":"ok","response":{}}]
			a> ["3","3","realtime:$T:other","phx_join",{}]
			a< ["3","3","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: You do not have permissions to read from this Channel topic: $T"}}]`},
		{name: "§5.3 the error reply to a join is delayed", run: func(s *scene) {
			s.as("a", "anon")
			begin := time.Now()
			s.play(`
				a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
				a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`)
			if took := time.Since(begin); took < delay {
				s.t.Errorf("the refusal came after %s, want %s at least", took, delay)
			}
		}},
	})
}

// §3, §17: a room full of talk: whoever joins it hears nothing of it before the answer.
func TestJoinReplyComesFirst(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§3 nothing for a topic comes before its join reply", run: func(s *scene) {
			s.play(`a join {}`)
			talker, done := s.client("a"), make(chan struct{})
			frame := talker.text(s.everywhere(`["1",null,"realtime:$T","broadcast",{"event":"x","payload":"talk"}]`))
			stop := make(chan struct{})
			go func() { // ends with stop, which the case closes
				defer close(done)
				pace := time.NewTicker(100 * time.Microsecond)
				defer pace.Stop()
				for {
					select {
					case <-stop:
						return
					case <-pace.C:
						if talker.ws.WriteMessage(textMessage, frame) != nil {
							return
						}
					}
				}
			}()
			defer func() { close(stop); <-done }()
			for i := range 20 {
				name := fmt.Sprint("b", i)
				s.play(strings.ReplaceAll(`
					X> ["1","1","realtime:$T","phx_join",{}]
					X< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
					X< [null,null,"realtime:$T","broadcast",{"event":"x","payload":"talk"}]`, "X", name))
				s.client(name).drop()
			}
		}},
	})
}
