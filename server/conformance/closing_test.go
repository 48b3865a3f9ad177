package conformance

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/server"
)

// §14: the ends of a connection. Leaving, limits, tokens, idle sockets and the sweep are with their sections.
func TestClosing(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§14 a frame of more than 5,000,000 bytes closes with 1009", run: func(s *scene) {
			a := s.client("a")
			message := s.everywhere(`["1","2","realtime:$T","broadcast",{"x":"`) + strings.Repeat("x", 5_000_000) + `"}]`
			_ = a.ws.WriteMessage(websocket.TextMessage, []byte(message)) // the server may hang up before it has all of it
			s.play(`a closed 1009`)
		}},
		{name: "§14 a frame of a reserved kind closes with 1002", run: func(s *scene) {
			if _, err := s.client("a").ws.NetConn().Write([]byte{0x83, 0x80, 1, 2, 3, 4}); err != nil {
				s.t.Fatal(err)
			}
			s.play(`a closed 1002`)
		}},
		{name: "§14 a frame that is not masked closes with 1002", run: func(s *scene) {
			if _, err := s.client("a").ws.NetConn().Write([]byte{0x81, 0x02, '{', '}'}); err != nil {
				s.t.Fatal(err)
			}
			s.play(`a closed 1002`)
		}},
		{name: "§14 a client that closes is answered with a close frame", run: func(s *scene) {
			a := s.client("a")
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye")
			if err := a.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience)); err != nil {
				s.t.Fatal(err)
			}
			s.play(`a closed 1000`)
		}},
		{name: "§14 a ping is answered", run: func(s *scene) {
			a, pong := s.client("a"), ""
			a.ws.SetPongHandler(func(data string) error { pong = data; return nil })
			if err := a.ws.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(patience)); err != nil {
				s.t.Fatal(err)
			}
			s.nothing(a)
			if pong != "there?" {
				s.t.Errorf("the pong says %q", pong)
			}
		}},
		{name: "§14 a refused join leaves the socket open", script: `
			a as anon
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]
			a join {}`},
	})
}

// §14: an administrator's disconnect ends every socket of a node, so each run has its own.
func TestServerDisconnect(t *testing.T) {
	t.Parallel()
	for _, vsn := range []string{"1", "2"} {
		n := start(t)
		table(t, n, []behaviour{
			{name: "§12 Server requested disconnect on each topic, then 1012", vsn: vsn, run: func(s *scene) {
				s.play(`
					a join {}
					a> ["2","2","realtime:$T:other","phx_join",{}]
					a< ["2","2","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
					b nothing`)
				n.Disconnect("the keys have changed")
				s.play(`
					a~ [null,null,"realtime:$T","system",{"extension":"system","status":"ok","message":"Server requested disconnect"}]
					a~ [null,null,"realtime:$T:other","system",{"extension":"system","status":"ok","message":"Server requested disconnect"}]
					a closed 1012
					b closed 1012
					c join {}`)
			}},
		})
	}
}

// §14: the end of a node.
func TestShutdown(t *testing.T) {
	t.Parallel()
	for _, vsn := range []string{"1", "2"} {
		n := start(t, func(c *server.Config) { c.DrainBatch, c.DrainPause = 1, 200*time.Millisecond })
		table(t, n, []behaviour{
			{name: "§14 sockets are drained in batches with 1012; meanwhile joins are refused with RealtimeRestarting", vsn: vsn, run: func(s *scene) {
				s.play(`
					a join {}
					b join {}
					c join {}
					d join {}`)
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- n.Close(ctx) }() // ends with ctx at the latest
				waitFor(s.t, "the node to stop", func() bool { return n.Ready() != nil })
				// All of them ask; those whose connection has not ended yet are answered.
				refused := 0
				for _, c := range append([]*conn(nil), s.order...) {
					_ = c.ws.WriteMessage(textMessage, c.text(s.everywhere(`["7","7","realtime:$T:more","phx_join",{}]`)))
					_, message, err := c.read()
					if err == nil {
						refused++
						h, wrong := c.take(textMessage, message)
						if wrong == nil {
							wrong = s.compare(c, `x< ["7","7","realtime:$T:more","phx_reply",{"status":"error","response":{"reason":"RealtimeRestarting: Realtime is restarting, please standby"}}]`, h)
						}
						if wrong != nil {
							s.t.Error(wrong)
						}
						_, _, err = c.read()
					}
					if !isClosed(err, 1012) {
						s.t.Errorf("%s: the connection ended with %v", c.name, err)
					}
				}
				if refused == 0 {
					s.t.Error("all were gone before they could ask: there were no batches")
				}
				if err := <-done; err != nil {
					s.t.Error(err)
				}
			}},
		})
	}
}
