package conformance

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/auth"
)

// §15: which tokens are good.
func TestTokens(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, k.jwks(t), 0o600); err != nil {
		t.Fatal(err)
	}
	good := func(token string) func(*scene) {
		return func(s *scene) {
			s.words["token"] = token
			s.play(`
				a as token
				a> ["1","1","realtime:$T","phx_join",{"access_token":"$token","config":{"private":true}}]
				` + joined)
		}
	}
	bad := func(token, code string) func(*scene) {
		return func(s *scene) {
			s.words["token"], s.words["reason"] = token, code+": <any>"
			if code == "" { // the protocol does not say which
				s.words["reason"] = "<any>"
			}
			s.play(`
				a> ["1","1","realtime:$T","phx_join",{"access_token":"$token"}]
				a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"$reason"}}]`)
		}
	}
	mine, role := []byte(secret), of("authenticated", "sub", "somebody")
	table(t, start(t, func(c *server.Config) { c.JWKS = file }), []behaviour{
		{name: "§15 HS256 with the shared secret", run: good(signWith(t, jwt.SigningMethodHS256, mine, "", role))},
		{name: "§15 HS384 with the shared secret", run: good(signWith(t, jwt.SigningMethodHS384, mine, "", role))},
		{name: "§15 HS512 with the shared secret", run: good(signWith(t, jwt.SigningMethodHS512, mine, "", role))},
		{name: "§15 HS256 with an oct key by its kid", run: good(signWith(t, jwt.SigningMethodHS256, k.oct, "oct-1", role))},
		{name: "§15 RS256 by kid", run: good(signWith(t, jwt.SigningMethodRS256, k.rsa, "rsa-1", role))},
		{name: "§15 RS512 by kid", run: good(signWith(t, jwt.SigningMethodRS512, k.rsa, "rsa-1", role))},
		{name: "§15 ES256 by kid", run: good(signWith(t, jwt.SigningMethodES256, k.ec, "ec-1", role))},
		{name: "§15 EdDSA by kid", run: good(signWith(t, jwt.SigningMethodEdDSA, k.ed, "ed-1", role))},
		{name: "§15 a kid that nobody knows: no signer", run: bad(signWith(t, jwt.SigningMethodRS256, k.rsa, "rsa-2", role), "JwtSignerError")},
		{name: "§15 a kid of another kind of key: no signer", run: bad(signWith(t, jwt.SigningMethodES256, k.ec, "rsa-1", role), "JwtSignerError")},
		{name: "§15 a public key is never taken for a shared secret", run: bad(signWith(t, jwt.SigningMethodHS256, k.rsa.N.Bytes(), "rsa-1", role), "")},
		{name: "§15 a bad signature of a key set", run: bad(broken(signWith(t, jwt.SigningMethodES256, k.ec, "ec-1", role)), "JwtSignatureError")},
		{name: "§15 exp may have decimals", run: good(sign(t, of("authenticated", "exp", float64(time.Now().Add(time.Hour).Unix())+0.4)))},
		{name: "§15 iat that is no number is refused", run: bad(sign(t, of("authenticated", "iat", "yesterday")), "")},
		{name: "§15 iat that is a number is taken", run: good(sign(t, of("authenticated", "iat", time.Now().Unix())))},
		{name: "§15 role that is no text is refused", run: bad(sign(t, of("authenticated", "role", 7)), "")},
		{name: "§15 other claims are ignored", run: good(sign(t, of("authenticated", "aud", []string{"a", "b"}, "app_metadata", map[string]any{"x": 1})))},
	})
}

// broken changes a token's signature, but not its form.
func broken(token string) string {
	first := strings.LastIndexByte(token, '.') + 1
	other := "A"
	if token[first] == 'A' {
		other = "B"
	}
	return token[:first] + other + token[first+1:]
}

// §15: keys are changed without a restart.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	table(t, start(t, func(c *server.Config) { c.JWKS = file }), []behaviour{
		{name: "§15 a key that is added to the set is taken without a restart", vsn: "2", run: func(s *scene) {
			if err := os.WriteFile(file, k.jwks(s.t), 0o600); err != nil {
				s.t.Fatal(err)
			}
			token := signWith(s.t, jwt.SigningMethodES256, k.ec, "ec-1", of("authenticated"))
			waitFor(s.t, "the new key to be known", func() bool {
				ws, _, err := websocket.DefaultDialer.Dial("ws://"+s.node.Addr()+"/socket/websocket?apikey="+url.QueryEscape(token), nil)
				if err == nil {
					ws.Close()
				}
				return err == nil
			})
		}},
	})
}

// §15: which token counts.
func TestTokenPrecedence(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§15 user_token comes before access_token", script: `
			a> ["1","1","realtime:$T","phx_join",{"user_token":"$authenticated","access_token":"$anon","config":{"private":true}}]
			` + joined + `
			b> ["1","1","realtime:$T","phx_join",{"user_token":"$anon","access_token":"$authenticated","config":{"private":true}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`},
		{name: "§15 access_token comes before the socket's token", script: `
			a as anon
			a> ["1","1","realtime:$T","phx_join",{"access_token":"$authenticated","config":{"private":true}}]
			` + joined + `
			b as authenticated
			b> ["1","1","realtime:$T","phx_join",{"access_token":"$anon","config":{"private":true}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`},
		{name: "§15 an API key of the new style stands for the socket's token", script: `
			a> ["1","1","realtime:$T","phx_join",{"access_token":"sb_secret_abc","config":{"private":true}}]
			` + joined + `
			b as anon
			b> ["1","1","realtime:$T","phx_join",{"access_token":"sb_secret_abc","config":{"private":true}}]
			b< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`},
		{name: "§15 any valid token is enough for a public channel", script: `
			a as anon
			a join {"broadcast":{"self":true}}
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			b as a-role-that-nobody-knows
			b join {}`},
	})
}

// §15: a server that has no public channels.
func TestPrivateOnly(t *testing.T) {
	t.Parallel()
	table(t, start(t, func(c *server.Config) { c.PrivateOnly = true }), []behaviour{
		{name: "§5.3 a public join of a private-only server is refused with PrivateOnly", script: `
			a> ["1","1","realtime:$T","phx_join",{}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"PrivateOnly: This project only allows private channels"}}]
			a join {"private":true}`},
		{name: "§5.3 private-only is judged before the token", script: `
			a> ["1","1","realtime:$T","phx_join",{"access_token":"words"}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"PrivateOnly: This project only allows private channels"}}]`},
	})
}

// §15: what a policy is asked, and when.
func TestPolicy(t *testing.T) {
	t.Parallel()
	type question struct {
		topic string
		ext   auth.Extension
		act   auth.Action
	}
	var mu sync.Mutex
	asked := map[question]int{}
	count := func(topic string, ext auth.Extension, act auth.Action) int {
		mu.Lock()
		defer mu.Unlock()
		return asked[question{topic, ext, act}]
	}
	n := start(t, func(c *server.Config) {
		c.Policy = func(claims *auth.Claims, topic string, ext auth.Extension, act auth.Action) bool {
			mu.Lock()
			defer mu.Unlock()
			asked[question{topic, ext, act}]++
			if want, ok := strings.CutPrefix(topic, "header:"); ok {
				want, _, _ = strings.Cut(want, ":")
				return claims.Header.Get("X-Vendor") == want && claims.Header.Get("Authorization") == ""
			}
			return claims.Role == "service_role" || act == auth.Read && !strings.HasSuffix(topic, ":closed")
		}
	})
	table(t, n, []behaviour{
		{name: "§15 a denied write is dropped in silence, even with ack", script: `
			b join {"private":true}
			a join {"private":true,"broadcast":{"ack":true,"self":true}}
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a nothing
			b nothing`},
		{name: "§8 a denied binary write is dropped in silence, even with ack", vsn: "2", script: `
			b join {"private":true}
			a join {"private":true,"broadcast":{"ack":true,"self":true}}
			a>3 ["1","2","realtime:$T","x",null,{}]
			a nothing
			b nothing`},
		{name: "§8 the right to write is asked for at the first send, and remembered", run: func(s *scene) {
			s.play(`a join {"private":true}`)
			if n := count(s.words["T"], auth.Broadcast, auth.Write); n != 0 {
				s.t.Errorf("asked %d times before the first send", n)
			}
			s.play(`
				a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
				a> ["1","3","realtime:$T","broadcast",{"event":"x"}]
				a nothing`)
			if n := count(s.words["T"], auth.Broadcast, auth.Write); n != 1 {
				s.t.Errorf("asked %d times, want once", n)
			}
		}},
		{name: "§15 the policy is not asked about public channels", run: func(s *scene) {
			s.words["T"] += ":closed"
			s.play(`
				a join {"broadcast":{"self":true}}
				a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
				a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`)
			if n := count(s.words["T"], auth.Broadcast, auth.Read) + count(s.words["T"], auth.Broadcast, auth.Write); n != 0 {
				s.t.Errorf("asked %d times", n)
			}
		}},
		{name: "§15 service_role may do everything that the policy gives it", script: `
			b join {"private":true}
			a as service_role
			a join {"private":true}
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			b< [null,null,"realtime:$T","broadcast",{"event":"x"}]`},
		{name: "§15 x- headers of the upgrade are visible to policies, others are not", run: func(s *scene) {
			s.words["T"] = "header:florist:" + s.words["T"]
			s.dialWith("a", s.vsn, "ws://"+s.node.Addr()+s.everywhere("/socket/websocket?vsn="+s.vsn+".0.0&apikey=$authenticated"),
				http.Header{"X-Vendor": {"florist"}, "Authorization": {"Bearer words"}})
			s.play(`
				a join {"private":true}
				b> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
				b< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`)
		}},
	})
}

// §15: the policy of a file, and the one without.
func TestPolicyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	const policy = `
rules:
  - allow: [read]
    roles: [guest]
    topics: ["room:**"]
    on: [broadcast]
  - allow: [read, write]
    roles: [authenticated]
    topics: ["**"]
`
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	table(t, start(t, func(c *server.Config) { c.PolicyFile = file }), []behaviour{
		{name: "§15 a policy file decides by role, topic, extension and action", script: `
			b join {"private":true,"broadcast":{"ack":true}}
			a as guest
			a join {"private":true}
			a> ["1","2","realtime:$T","broadcast",{"event":"no"}]
			b> ["1","2","realtime:$T","broadcast",{"event":"yes"}]
			b< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			a< [null,null,"realtime:$T","broadcast",{"event":"yes","meta":{"...":0}}]
			b nothing
			c as anon
			c> ["1","1","realtime:$T","phx_join",{"config":{"private":true}}]
			c< ["1","1","realtime:$T","phx_reply",{"status":"error","response":{"reason":"Unauthorized: <any>"}}]`},
	})
}
