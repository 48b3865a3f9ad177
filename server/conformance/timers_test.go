package conformance

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/server"
)

// §7: the timers of the server. Those of the client are in the suite that drives it.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	const idle = 1500 * time.Millisecond // far above what a busy machine makes a heartbeat late
	n := start(t, func(c *server.Config) { c.Limits.IdleTimeout = idle })
	table(t, n, []behaviour{
		{name: "§7 a socket without a frame of its client is closed with 1000", run: func(s *scene) {
			begin := time.Now()
			s.play(`
				a join {}
				a closed 1000`)
			if took := time.Since(begin); took < idle {
				s.t.Errorf("closed after %s, want %s at least", took, idle)
			}
		}},
		{name: "§7 heartbeats keep a socket open", run: func(s *scene) {
			s.play(`a join {}`)
			beat := time.NewTicker(idle / 5)
			defer beat.Stop()
			for range 8 { // longer than is allowed
				<-beat.C
				s.nothing(s.client("a"))
			}
		}},
		{name: "§7 what the server sends does not keep a socket open", run: func(s *scene) {
			s.play(`
				a join {}
				b join {}`)
			begin, talk := time.Now(), time.NewTicker(idle/8)
			defer talk.Stop()
			for time.Since(begin) < idle*3/2 {
				s.client("b").say(s.everywhere(`["1",null,"realtime:$T","broadcast",{"event":"x"}]`))
				<-talk.C
			}
			for {
				if _, _, err := s.client("a").read(); err != nil {
					if !isClosed(err, 1000) {
						s.t.Errorf("the connection ended with %v", err)
					}
					return
				}
			}
		}},
	})
}

// §7, §12: a token that runs out while it is in use.
func TestExpiry(t *testing.T) {
	t.Parallel()
	// soon is a time between one and two seconds from now: tokens count in whole ones.
	soon := func() int64 { return time.Now().Add(2 * time.Second).Unix() }
	table(t, plain(t), []behaviour{
		{name: "§7 when the token of a channel expires it is told and closed; the socket and its other channels stay", run: func(s *scene) {
			s.words["soon"] = sign(s.t, of("authenticated", "exp", soon()))
			s.play(`
				a> ["1","1","realtime:$T:other","phx_join",{"config":{"broadcast":{"self":true}}}]
				a< ["1","1","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				a> ["2","2","realtime:$T","phx_join",{"access_token":"$soon"}]
				a< ["2","2","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				a< ["2",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Token has expired <n> seconds ago","channel":"$T"}]
				a< ["2","2","realtime:$T","phx_close",{}]
				a> ["1","3","realtime:$T:other","broadcast",{"event":"x"}]
				a< [null,null,"realtime:$T:other","broadcast",{"event":"x"}]
				a nothing`)
		}},
		{name: "§7 a channel that was joined with the socket's token ends with it", run: func(s *scene) {
			s.words["soon"] = sign(s.t, of("authenticated", "exp", soon()))
			s.play(`
				a as soon
				a join {}
				a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Token has expired <n> seconds ago","channel":"$T"}]
				a< ["1","1","realtime:$T","phx_close",{}]
				a> ["2","2","realtime:$T","phx_join",{}]
				a< ["2","2","realtime:$T","phx_reply",{"status":"error","response":{"reason":"InvalidJWTToken: Token has expired <n> seconds ago"}}]`)
		}},
		{name: "§7 a token that is refreshed in time does not end the channel", run: func(s *scene) {
			exp := soon()
			s.words["soon"] = sign(s.t, of("authenticated", "exp", exp))
			s.play(`
				a> ["1","1","realtime:$T","phx_join",{"access_token":"$soon"}]
				` + joined + `
				a> ["1","2","realtime:$T","access_token",{"access_token":"$authenticated"}]
				b> ["1","1","realtime:$T","phx_join",{"access_token":"$soon"}]
				b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				b< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Token has expired <n> seconds ago","channel":"$T"}]
				b< ["1","1","realtime:$T","phx_close",{}]
				a nothing`)
		}},
	})
}

// §7, §14: the sweep of sockets that have no channel left.
func TestSweep(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *server.Config) { c.Limits.NoChannelTimeout = time.Second })
	table(t, n, []behaviour{
		{name: "§7 a socket that has left its last channel is cut off at a sweep, without a close frame", script: `
			a join {}
			a leave
			a closed 1006`},
		{name: "§7 a socket whose joins were refused is cut off at a sweep", script: `
			a as anon
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]
			a closed 1006`},
		{name: "§7 sockets that have a channel, and those that never tried to join, are not swept", script: `
			kept join {}
			fresh nothing
			a join {}
			a leave
			a closed 1006
			b join {}
			b leave
			b closed 1006
			c join {}
			c leave
			c closed 1006
			kept nothing
			fresh nothing`},
	})
}
