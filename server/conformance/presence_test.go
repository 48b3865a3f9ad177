package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/auth"
)

// Lines that many scripts of presence share: X joins with presence under a key into an empty room, and X
// tracks {"n":1} as the first of its calls. The diff is named by the key.
const (
	present = `
		X> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true,"key":"X"}}}]
		X< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
		X< ["1",null,"realtime:$T","presence_state",{}]`
	tracks = `
		X> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":1}}]
		X~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
		X~ [null,null,"realtime:$T","presence_diff",{"joins":{"X":{"metas":[{"n":1,"phx_ref":"<refX=ref>"}]}},"leaves":{}}]`
)

func by(name string, lines ...string) string {
	return strings.ReplaceAll(strings.Join(lines, ""), "X", name) + "\n"
}

// §10: presence on one node.
func TestPresence(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§10 track is answered ok {}, and the tracker itself hears the join", script: by("a", present, tracks) + `
			a nothing`},
		{name: "§10 a diff has both joins and leaves, and phx_ref of 16 characters", script: by("a", present) + by("b", present, tracks) + `
			a< [null,null,"realtime:$T","presence_diff",{"joins":{"b":{"metas":[{"n":1,"phx_ref":"<refb>"}]}},"leaves":{}}]`},
		{name: "§10 presence_state tells who is there", script: by("a", present, tracks) + `
			b> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true,"key":"b"}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< ["1",null,"realtime:$T","presence_state",{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}]
			b nothing`},
		{name: "§10 without a key the server makes a UUID", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true,"key":""}}}]
			` + joined + `
			a< ["1",null,"realtime:$T","presence_state",{}]
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{}}]
			a~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"<uuid>":{"metas":[{"phx_ref":"<ref>"}]}},"leaves":{}}]
			b> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< ["1",null,"realtime:$T","presence_state",{"<uuid>":{"metas":[{"phx_ref":"<ref>"}]}}]`},
		{name: "§10 a key that is a number is its digits", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true,"key":7}}}]
			` + joined + `
			a< ["1",null,"realtime:$T","presence_state",{}]
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{}}]
			a~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"7":{"metas":[{"phx_ref":"<ref>"}]}},"leaves":{}}]`},
		{name: "§10 a second track replaces the first: the new meta joins with phx_ref_prev, the old one leaves", script: by("a", present, tracks) + `
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":2}}]
			a~ ["1","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":2,"phx_ref":"<second=ref>","phx_ref_prev":"<refa>"}]}},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]
			b> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< ["1",null,"realtime:$T","presence_state",{"a":{"metas":[{"n":2,"phx_ref":"<second>","...":0}]}}]`},
		{name: "§10 an identical payload is no change, and answered ok", script: by("a", present, tracks) + `
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":1}}]
			a< ["1","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a nothing`},
		{name: "§10 untrack is answered ok, and the entry leaves", script: by("a", present, tracks) + `
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"untrack"}]
			a~ ["1","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]
			b> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< ["1",null,"realtime:$T","presence_state",{}]`},
		{name: "§10 untrack without a track is answered ok, and nothing changes", script: by("a", present) + `
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"untrack"}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a nothing`},
		{name: "§10 an entry can be tracked again after untrack, with a new phx_ref", script: by("a", present, tracks) + `
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"untrack"}]
			a~ ["1","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]
			a> ["1","4","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":1}}]
			a~ ["1","4","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<again=ref>"}]}},"leaves":{}}]`},
		{name: "§10 phx_leave takes the entry away", script: by("b", present) + `
			a> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true,"key":"a"}}}]
			` + joined + `
			a< ["1",null,"realtime:$T","presence_state",{}]` + by("a", tracks) + `
			a leave
			b< [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}},"leaves":{}}]
			b< [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]
			a nothing`},
		{name: "§10 a disconnect takes the entry away", script: by("b", present) + by("a", present, tracks) + `
			b< [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}},"leaves":{}}]
			a hangs up
			b< [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]`},
		{name: "§10 the end of a channel by its token takes the entry away", script: by("b", present) + by("a", present, tracks) + `
			b< [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}},"leaves":{}}]
			a> ["1","3","realtime:$T","access_token",{"access_token":"$expired"}]
			a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"Token has expired <n> seconds ago","channel":"$T"}]
			a< ["1","1","realtime:$T","phx_close",{}]
			b< [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]`},
		{name: "§10 several sockets with one key are several metas under it", script: by("a", present, tracks) + `
			b> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true,"key":"a"}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< ["1",null,"realtime:$T","presence_state",{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}]
			b> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":2}}]
			b~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			b~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":2,"phx_ref":"<refb=ref>"}]}},"leaves":{}}]
			c> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
			c< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			c< ["1",null,"realtime:$T","presence_state",{"a":{"metas":["<object>","<object>"]}}]
			a hangs up
			c< [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]`},
		{name: "§10 the inner event may be written in capitals", script: by("a", present) + `
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"TRACK","payload":{"n":1}}]
			a~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa=ref>"}]}},"leaves":{}}]
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"UnTrack"}]
			a~ ["1","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]`},
		{name: "§10 a payload that is no object is refused", script: by("a", present) + `
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":"text"}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Presence track payload must be a map"}}]
			a> ["1","3","realtime:$T","presence",{"type":"presence","event":"track","payload":[{}]}]
			a< ["1","3","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Presence track payload must be a map"}}]
			a nothing`},
		{name: "§10 an unknown inner event is an error", script: by("a", present) + `
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"dance","payload":{}}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"error","response":{}}]
			a nothing`},
		{name: "§10 a missing inner event is ok", script: by("a", present) + `
			a> ["1","2","realtime:$T","presence",{"type":"presence"}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a nothing`},
		{name: "§10 a payload comes back as it was", script: by("a", present) + `
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{"deep":[{"x":null}],"n":2.50,"emoji":"💐"}}]
			a~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"deep":[{"x":null}],"n":2.50,"emoji":"💐","phx_ref":"<ref>"}]}},"leaves":{}}]`},
		{name: "§10 on a public channel diffs reach members without presence, too", script: by("a", present) + `
			b join {}
			b nothing` + by("a", tracks) + `
			b< [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}},"leaves":{}}]
			b nothing`},
		{name: "§10 track turns presence on for a channel that was joined without it", script: by("a", present, tracks) + `
			b> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":false,"key":"b"}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{}}]
			b~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			b~ [null,null,"realtime:$T","presence_diff",{"joins":{"b":{"metas":[{"phx_ref":"<ref>"}]}},"leaves":{}}]
			b~ ["1",null,"realtime:$T","presence_state",{"a":"<object>","...":0}]
			b nothing`},
		{name: "§10 a private and a public channel of one name have different members", script: by("a", present) + `
			b> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true}}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< ["1",null,"realtime:$T","presence_state",{}]` + by("a", tracks) + `
			b nothing`},
		{name: "§10 a duplicate join takes the entry of the old channel away", script: by("b", present) + by("a", present, tracks) + `
			b< [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}},"leaves":{}}]
			a> ["5","5","realtime:$T","phx_join",{}]
			a< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b< [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]`},
		{name: "§10 clients of both versions see each other", script: by("old", present) + by("new", present, tracks) + `
			old< [null,null,"realtime:$T","presence_diff",{"joins":{"new":{"metas":[{"n":1,"phx_ref":"<refnew>"}]}},"leaves":{}}]
			old> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":2}}]
			old~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			old~ [null,null,"realtime:$T","presence_diff",{"joins":{"old":{"metas":[{"n":2,"phx_ref":"<refold=ref>"}]}},"leaves":{}}]
			new< [null,null,"realtime:$T","presence_diff",{"joins":{"old":{"metas":[{"n":2,"phx_ref":"<refold>"}]}},"leaves":{}}]`},
		{name: "§10 a channel may be tracked and broadcast to at once", script: by("a", present, tracks) + by("b", strings.Replace(present, `presence_state",{}`, `presence_state",{"a":"<object>"}`, 1)) + `
			b> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`},
	})
}

// §10, §15: presence and the policies of private channels. Topics end in what may be done on them.
func TestPresencePolicy(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *server.Config) {
		c.Policy = func(claims *auth.Claims, topic string, ext auth.Extension, act auth.Action) bool {
			return claims.Role == "service_role" || strings.Contains(topic, fmt.Sprintf(":%s.%s", ext, act))
		}
	})
	// on runs a script on a topic with these rights.
	on := func(rights, script string) func(*scene) {
		return func(s *scene) {
			s.words["T"] += rights
			s.as("z", "service_role")
			s.play(script)
		}
	}
	const both = ":broadcast.read:presence.read"
	const join = `
		X> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true,"key":"X"}}}]
		X< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`
	const empty = `
		X< ["1",null,"realtime:$T","presence_state",{}]`
	table(t, n, []behaviour{
		{name: "§10 a track that the policy denies is an error", run: on(both+":broadcast.write", by("a", join, empty)+`
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{}}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"error","response":{}}]
			a nothing`)},
		{name: "§10 a track that the policy allows is told", run: on(both+":presence.write", by("a", join, empty)+by("a", tracks))},
		{name: "§15 a member that may read presence alone gets no broadcasts", run: on(":presence.read", by("a", join, empty)+`
			z join {"private":true}
			z> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a nothing`)},
		{name: "§15 a member that may read broadcasts alone gets no presence", run: func(s *scene) {
			on(":broadcast.read", by("z", join, empty, tracks)+`
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true}}}]
			`+joined+`
			z> ["1","3","realtime:$T","presence",{"type":"presence","event":"untrack"}]
			z< ["1","3","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			z> ["1","4","realtime:$T","broadcast",{"event":"x"}]`)(s)
			a, broadcasts := s.client("a"), 0
			s.client("z").flush() // its broadcast is on its way
			a.flush()
			for _, h := range a.rest() {
				switch {
				case h.parts[3] == "broadcast":
					broadcasts++
				case h.parts[3] == "presence_state" && show(h.parts[4]) == "{}": // an empty one tells nothing
				default:
					s.t.Errorf("it hears %s", show(h.parts))
				}
			}
			if broadcasts != 1 {
				s.t.Errorf("it hears %d broadcasts, want 1", broadcasts)
			}
		}},
		{name: "§15 neither broadcast nor presence may be read: refused", run: on(":broadcast.write:presence.write", `
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true}}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: You do not have permissions to read from this Channel topic: $T"}}]`)},
		{name: "§15 the right to read presence lets nobody in who does not enable it", run: on(":presence.read", `
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`)},
		{name: "§10 a private channel without presence sees nobody if it may not", run: on(":broadcast.read", `
			a join {"private":true}`+by("z", join, empty, tracks)+`
			a nothing`)},
		{name: "§10 a private channel without presence sees the others once it has tracked", run: on(both+":presence.write", `
			a join {"private":true,"presence":{"key":"a"}}
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{"n":1}}]
			a~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa=ref>"}]}},"leaves":{}}]
			a~ ["1",null,"realtime:$T","presence_state",{"...":0}]`+by("z", join)+`
			z< ["1",null,"realtime:$T","presence_state",{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}]`+by("z", tracks)+`
			a< [null,null,"realtime:$T","presence_diff",{"joins":{"z":{"metas":[{"n":1,"phx_ref":"<refz>"}]}},"leaves":{}}]`)},
	})
}
