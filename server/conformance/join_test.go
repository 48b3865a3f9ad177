package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const joined = `a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
`

// §5.1: what a join may carry.
func TestJoinPayload(t *testing.T) {
	t.Parallel()
	const selfTalk = `
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`
	table(t, plain(t), []behaviour{
		{name: "§5.1 an empty payload joins", script: `
			a> ["1","1","realtime:$T","phx_join",{}]
			` + joined + `a nothing`},
		{name: "§5.1 an empty config joins", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{}}]
			` + joined + `a nothing`},
		{name: "§5.1 every part of a config may be null", script: `
			a> ["1","1","realtime:$T","phx_join",{"access_token":null,"config":{"private":null,"broadcast":null,"presence":null,"postgres_changes":null}}]
			` + joined + `a nothing`},
		{name: "§5.1 by default nothing comes back, is acknowledged, or told of presence", script: `
			a> ["1","1","realtime:$T","phx_join",{}]
			` + joined + `
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a nothing`},
		{name: "§5.1 a boolean may be the text true, in any case", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"broadcast":{"self":"TrUe"}}}]
			` + joined + selfTalk},
		{name: "§5.1 a boolean may be the text false, in any case", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":"FALSE","broadcast":{"self":"true","ack":"False"}}}]
			` + joined + selfTalk + `
			a nothing`},
		{name: "§5.1 a private channel may be asked for with a text", script: `
			b join {}
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":"true","broadcast":{"self":true}}}]
			` + joined + selfTalk + `
			b nothing`},
		{name: "§5.1 fields of the wrong type do not keep anybody out, and the others count", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":17,"broadcast":{"self":true,"ack":[1]},"presence":"yes"},"access_token":5}]
			` + joined + selfTalk + `
			a nothing`},
		{name: "§5.1 a config that is no object does not keep anybody out", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":"private"}]
			` + joined},
		{name: "§5.1 unknown keys are ignored", script: `
			a> ["1","1","realtime:$T","phx_join",{"version":"realtime-js/2.119.1","more":1,"config":{"more":{},"broadcast":{"self":true,"more":[]}}}]
			` + joined + selfTalk},
		{name: "§5.1 the join of the stock client, to the letter", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"broadcast":{"self":true,"ack":true},"presence":{"key":"vendor-7","enabled":true},"postgres_changes":[{"event":"INSERT","schema":"public","table":"orders","filter":"id=gt.5"}],"private":true}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<number>","event":"INSERT","schema":"public","table":"orders","filter":"id=gt.5"}]}}]`},
		{name: "§5.1 null entries of postgres_changes are dropped", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[null,{"event":"*","schema":"public"},null]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<number>","event":"*","schema":"public"}]}}]`},
		{name: "§5.1 without an access_token the socket's own token decides", script: `
			a as service_role
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			` + joined},
		{name: "§5.1 user_token is the older name of access_token", script: `
			a as anon
			a> ["1","1","realtime:$T","phx_join",{"user_token":"$authenticated","config":{"private":true}}]
			` + joined},
		{name: "§5.2 postgres_changes is [] when none are asked for", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[]}}]
			` + joined},
		{name: "§5.2 entries are echoed in their order with all their keys and an integer id", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"b","filter":null},{"event":"DELETE","schema":"public","table":"a","filter":"id=eq.1","mine":[1]},{"event":"INSERT","schema":"public","table":"b","select":["id"]}]}}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":"<number>","event":"*","schema":"public","table":"b","filter":null},{"id":"<number>","event":"DELETE","schema":"public","table":"a","filter":"id=eq.1","mine":[1]},{"id":"<number>","event":"INSERT","schema":"public","table":"b","select":["id"]}]}}]`},
		{name: "§5.2 equal entries get the same id, different ones different ids, and a later join again", run: func(s *scene) {
			ids := func(name string) []string {
				s.client(name).say(s.everywhere(`["1","1","realtime:$T","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"a"},{"event":"*","schema":"public","table":"b"},{"event":"*","schema":"public","table":"a"}]}}]`))
				reply := s.client(name).hear().parts[4].(map[string]any)
				var ids []string
				for _, entry := range reply["response"].(map[string]any)["postgres_changes"].([]any) {
					ids = append(ids, show(entry.(map[string]any)["id"]))
				}
				return ids
			}
			a, b := ids("a"), ids("b")
			if len(a) != 3 || a[0] != a[2] || a[0] == a[1] || strings.Join(a, " ") != strings.Join(b, " ") {
				s.t.Errorf("ids %v, and then %v", a, b)
			}
		}},
	})
}

// §5.3: refused joins; the socket stays.
func TestRefusedJoins(t *testing.T) {
	t.Parallel()
	exp := time.Now().Add(time.Hour).Unix()
	// refused joins with a token in the join.
	refused := func(token, config, reason string) func(*scene) {
		return func(s *scene) {
			s.words["token"], s.words["config"], s.words["reason"] = token, config, reason
			s.play(`
				a> ["1","1","realtime:$T","phx_join",{"access_token":"$token","config":$config}]
				a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"$reason"}}]
				a nothing
				a> ["2","2","realtime:$T","broadcast",{}]
				a< [null,"2","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
				a join {}`)
		}
	}
	const fields = "InvalidJWTToken: Fields `role` and `exp` are required in JWT"
	key := newKeys(t)
	table(t, plain(t), []behaviour{
		{name: "§5.3 an expired token is refused, saying since when", run: func(s *scene) {
			refused(s.words["expired"], `{}`, "InvalidJWTToken: Token has expired <n> seconds ago")(s)
		}},
		{name: "§5.3 a token without role is refused", run: refused(sign(t, jwt.MapClaims{"exp": exp}), `{}`, fields)},
		{name: "§5.3 a token without exp is refused", run: refused(sign(t, jwt.MapClaims{"role": "anon"}), `{}`, fields)},
		{name: "§5.3 a token whose exp is no number is refused", run: refused(sign(t, of("anon", "exp", "tomorrow")), `{}`, "InvalidJWTToken: Token expiration time is invalid")},
		{name: "§5.3 words that are no token are refused", run: refused("words", `{}`, "MalformedJWT: The token provided is not a valid JWT")},
		{name: "§5.3 a token of another secret is refused", run: refused(signWith(t, methodHS256, []byte("another secret"), "", of("service_role")), `{}`, "JwtSignatureError: Failed to validate JWT signature")},
		{name: "§5.3 a token whose algorithm has no key is refused", run: refused(signWith(t, jwt.SigningMethodRS256, key.rsa, "", of("service_role")), `{}`, "JwtSignerError: Failed to generate JWT signer<any>")},
		{name: "§5.3 a private channel without read permission is refused with Unauthorized", run: func(s *scene) {
			refused(s.words["anon"], `{"private":true}`, "Unauthorized: You do not have permissions to read from this Channel topic: $T")(s)
		}},
		{name: "§5.3 the reason names the sub-topic without the prefix", script: `
			a as anon
			a> ["1","1","realtime:$T:with:colons","phx_join",{"config":{"private":true}}]
			a< ["1","1","realtime:$T:with:colons","phx_reply",{"status":"error","response":{"reason":"Unauthorized: You do not have permissions to read from this Channel topic: $T:with:colons"}}]`},
		{name: "§5.3 replay of a public channel is refused", run: func(s *scene) {
			refused(s.words["authenticated"], `{"broadcast":{"replay":{"since":1}}}`, "UnableToReplayMessages: Replay is not allowed for public channels")(s)
		}},
		{name: "§5.3 replay without since is refused", run: func(s *scene) {
			refused(s.words["authenticated"], `{"private":true,"broadcast":{"replay":{"limit":5}}}`, "UnableToReplayMessages: Replay params are not valid")(s)
		}},
		{name: "§5.3 the token is judged before the policies", run: func(s *scene) {
			refused("words", `{"private":true}`, "MalformedJWT: The token provided is not a valid JWT")(s)
		}},
		{name: "§5.3 the policies are asked before the replay is judged", run: func(s *scene) {
			refused(s.words["anon"], `{"private":true,"broadcast":{"replay":{"limit":5}}}`, "Unauthorized: <any>")(s)
		}},
		{name: "§5.3 a topic without a name is refused before its token is judged", script: `
			a> ["1","1","realtime:","phx_join",{"access_token":"words"}]
			a< ["1","1","realtime:","phx_reply",{"status":"error","response":{"reason":"TopicNameRequired: <any>"}}]`},
	})
}

// §5.4: what follows a join. Replay, subscriptions and presence in one join are with the database cases.
func TestAfterJoin(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§5.4 presence_state follows the reply when presence is enabled, even when empty", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
			` + joined + `
			a< ["1",null,"realtime:$T","presence_state",{}]
			a nothing`},
		{name: "§5.4 no presence_state when presence is not enabled", script: `
			a> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":false,"key":"k"}}}]
			` + joined + `
			a nothing`},
		{name: "§5.4 replayed broadcasts come before presence_state", script: `
			b join {"private":true,"broadcast":{"ack":true}}
			b> ["1","2","realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"n":1}}]
			b< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			a> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true},"broadcast":{"replay":{"since":0}}}}]
			` + joined + `
			a< ["1",null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"n":1},"meta":{"replayed":true,"id":"<any>","...":0}}]
			a< ["1",null,"realtime:$T","presence_state",{}]
			a nothing`},
	})
}
