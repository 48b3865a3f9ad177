package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/auth"
)

// §12: new tokens for a joined channel.
func TestRefresh(t *testing.T) {
	t.Parallel()
	exp := time.Now().Add(time.Hour).Unix()
	// ends pushes a token and hears the end of the channel; the socket and its other channels stay.
	ends := func(config, token, message string) func(*scene) {
		return func(s *scene) {
			s.words["pushed"], s.words["message"] = token, message
			s.play(`
				a> ["7","7","realtime:$T:other","phx_join",{}]
				a< ["7","7","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				a join ` + config + `
				a> ["1","2","realtime:$T","access_token",{"access_token":"$pushed"}]
				a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"$message","channel":"$T"}]
				a< ["1","1","realtime:$T","phx_close",{}]
				a> ["1","3","realtime:$T","broadcast",{}]
				a< [null,"3","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
				a> ["7","8","realtime:$T:other","phx_leave",{}]
				a< ["7","8","realtime:$T:other","phx_reply",{"status":"ok","response":{}}]
				a< ["7","7","realtime:$T:other","phx_close",{}]`)
		}
	}
	// stays pushes something that is ignored or taken, both without a word.
	stays := func(config, payload string) func(*scene) {
		return func(s *scene) {
			s.words["payload"] = payload
			s.play(`
				b join ` + config + `
				a join ` + config + `
				a> ["1","2","realtime:$T","access_token",$payload]
				a nothing
				b> ["1","3","realtime:$T","broadcast",{"event":"x"}]
				a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`)
		}
	}
	const fields = "Fields `role` and `exp` are required in JWT"
	table(t, plain(t), []behaviour{
		{name: "§12 a new token is taken without a reply", run: stays(`{"private":true}`, `{"access_token":"$service_role"}`)},
		{name: "§12 the current token again is ignored", script: `
			a> ["1","1","realtime:$T","phx_join",{"access_token":"$authenticated"}]
			` + joined + `
			a> ["1","2","realtime:$T","access_token",{"access_token":"$authenticated"}]
			a nothing`},
		{name: "§12 null is ignored", run: stays(`{"private":true}`, `{"access_token":null}`)},
		{name: "§12 a payload without a token is ignored", run: stays(`{"private":true}`, `{}`)},
		{name: "§12 an API key of the new style is ignored", run: stays(`{"private":true}`, `{"access_token":"sb_publishable_abc"}`)},
		{name: "§12 an expired token ends the channel", run: func(s *scene) {
			ends(`{}`, s.words["expired"], "Token has expired <n> seconds ago")(s)
		}},
		{name: "§12 words that are no token end the channel", run: ends(`{}`, "words", "The token provided is not a valid JWT")},
		{name: "§12 a token without role ends the channel", run: ends(`{}`, sign(t, jwt.MapClaims{"exp": exp}), fields)},
		{name: "§12 a token without exp ends the channel", run: ends(`{}`, sign(t, jwt.MapClaims{"role": "anon"}), fields)},
		{name: "§12 a forged token ends the channel", run: func(s *scene) { ends(`{}`, s.words["forged"], "<any>")(s) }},
		{name: "§12 a token that may not read a private channel ends it", run: func(s *scene) {
			ends(`{"private":true}`, s.words["anon"], "You no longer have permission to read from this Channel topic: $T")(s)
		}},
		{name: "§12 on a public channel the token is verified, and that is all", run: stays(`{}`, `{"access_token":"$anon"}`)},
		{name: "§12 an anonymous member joins a private channel after a better token", script: `
			a as anon
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]
			a> ["2","2","realtime:$T","phx_join",{"access_token":"$authenticated","config":{"private":true}}]
			a< ["2","2","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
	})
}

// §12: rights that come and go with a token. Roles of these cases are lists of extension.action.
func TestRefreshRights(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *server.Config) {
		c.Policy = func(claims *auth.Claims, _ string, ext auth.Extension, act auth.Action) bool {
			return claims.Role == "authenticated" || strings.Contains(claims.Role, string(ext)+"."+string(act))
		}
	})
	with := func(roles map[string]string, script string) func(*scene) {
		return func(s *scene) {
			for name, role := range roles {
				s.words[name] = sign(s.t, of(role))
			}
			s.play(script)
		}
	}
	readers := map[string]string{"reader": "broadcast.read presence.read", "writer": "broadcast.read broadcast.write presence.read presence.write", "shy": "broadcast.read"}
	table(t, n, []behaviour{
		{name: "§12 the right to write is asked again: granted", run: with(readers, `
			b join {"private":true}
			a as reader
			a join {"private":true,"broadcast":{"ack":true}}
			a> ["1","2","realtime:$T","broadcast",{"event":"no"}]
			a nothing
			b nothing
			a> ["1","3","realtime:$T","access_token",{"access_token":"$writer"}]
			a> ["1","4","realtime:$T","broadcast",{"event":"yes"}]
			a< ["1","4","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			b< [null,null,"realtime:$T","broadcast",{"event":"yes","meta":{"...":0}}]`)},
		{name: "§12 the right to write is asked again: revoked", run: with(readers, `
			b join {"private":true}
			a as writer
			a join {"private":true,"broadcast":{"ack":true}}
			a> ["1","2","realtime:$T","broadcast",{"event":"yes"}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			b< [null,null,"realtime:$T","broadcast",{"event":"yes","meta":{"...":0}}]
			a> ["1","3","realtime:$T","access_token",{"access_token":"$reader"}]
			a> ["1","4","realtime:$T","broadcast",{"event":"no"}]
			a nothing
			b nothing`)},
		{name: "§12 the right to track is asked again: granted", run: with(readers, `
			a as reader
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true,"key":"a"}}}]
			`+joined+`
			a< ["1",null,"realtime:$T","presence_state",{}]
			a> ["1","2","realtime:$T","presence",{"type":"presence","event":"track","payload":{}}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"error","response":{}}]
			a> ["1","3","realtime:$T","access_token",{"access_token":"$writer"}]
			a> ["1","4","realtime:$T","presence",{"type":"presence","event":"track","payload":{}}]
			a~ ["1","4","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$T","presence_diff",{"joins":{"a":"<object>"},"leaves":{}}]`)},
		{name: "§12 a right to read that was held and got lost ends the channel", run: with(map[string]string{"writer": "broadcast.write"}, `
			a join {"private":true}
			a> ["1","2","realtime:$T","access_token",{"access_token":"$writer"}]
			a< ["1",null,"realtime:$T","system",{"extension":"system","status":"error","message":"You no longer have permission to read from this Channel topic: $T","channel":"$T"}]
			a< ["1","1","realtime:$T","phx_close",{}]`)},
	})
}
