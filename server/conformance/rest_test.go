package conformance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/auth"
)

const batchPath = "/api/broadcast"

// §9.1: several broadcasts in one request. The version is that of the subscriber.
func TestRESTBatch(t *testing.T) {
	t.Parallel()
	const one = `{"messages":[{"topic":"$T","event":"x","payload":{"a":1}}]}`
	const heard = `a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"a":1}}]`
	// wrong publishes and hears 422, and that nobody heard anything.
	wrong := func(body, errors string) func(*scene) {
		return func(s *scene) {
			s.play(`a join {}`)
			s.is(s.post(batchPath, jsonType, body), http.StatusUnprocessableEntity, errors)
			s.play(`a nothing`)
		}
	}
	const someErrors = `{"errors":"<object>"}`
	cases := []behaviour{
		{name: "§9.1 it is answered 202 with an empty body, and reaches the topic", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(batchPath, jsonType, one)
			s.play(heard)
		}},
		{name: "§9.1 behind a gateway it is /realtime/v1/api/broadcast", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted("/realtime/v1"+batchPath, jsonType, one)
			s.play(heard)
		}},
		{name: "§9.1 the query string of the client's socket is ignored", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(batchPath+"?apikey=words&vsn=2.0.0&log_level=info", jsonType, one)
			s.play(heard)
		}},
		{name: "§9.1 every subscriber hears it, whatever self is", run: func(s *scene) {
			s.play(`
				a join {"broadcast":{"self":false}}
				b join {"broadcast":{"self":true}}`)
			s.accepted(batchPath, jsonType, one)
			s.play(heard + "\n" + strings.Replace(heard, "a<", "b<", 1))
		}},
		{name: "§9.1 the messages of a batch arrive in their order", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(batchPath, jsonType, `{"messages":[{"topic":"$T","event":"one","payload":{}},{"topic":"$T:other","event":"other","payload":{}},{"topic":"$T","event":"two","payload":{}}]}`)
			s.play(`
				a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"one","payload":{}}]
				a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"two","payload":{}}]
				a nothing`)
		}},
		{name: "§9.1 the token may come in the header apikey", run: func(s *scene) {
			s.play(`a join {}`)
			s.is(s.request(http.MethodPost, batchPath, one, "apikey", "$anon", "Content-Type", jsonType), http.StatusAccepted, "")
			s.play(heard)
		}},
		{name: "§9.1 Authorization wins over apikey", run: func(s *scene) {
			s.is(s.request(http.MethodPost, batchPath, one, "apikey", "words", "Authorization", "Bearer $anon", "Content-Type", jsonType), http.StatusAccepted, "")
		}},
		{name: "§9.1 without a token it is 401 Unauthorized", run: func(s *scene) {
			s.is(s.request(http.MethodPost, batchPath, one, "Content-Type", jsonType), http.StatusUnauthorized, `{"message":"Unauthorized"}`)
		}},
		{name: "§9.1 with an expired token it is 401 Unauthorized", run: func(s *scene) {
			s.is(s.request(http.MethodPost, batchPath, one, "Authorization", "Bearer $expired"), http.StatusUnauthorized, `{"message":"Unauthorized"}`)
		}},
		{name: "§9.1 with a token of another secret it is 401 Unauthorized", run: func(s *scene) {
			s.is(s.request(http.MethodPost, batchPath, one, "Authorization", "Bearer $forged"), http.StatusUnauthorized, `{"message":"Unauthorized"}`)
		}},
		{name: "§9.1 a body without messages is 422", run: wrong(`{}`, someErrors)},
		{name: "§9.1 a body that is not JSON is 422", run: wrong(`{"messages":`, someErrors)},
		{name: "§9.1 messages that are no list is 422", run: wrong(`{"messages":{"topic":"$T"}}`, someErrors)},
		{name: "§9.1 a message without topic is 422", run: wrong(`{"messages":[{"event":"x","payload":{}}]}`, `{"errors":{"messages":[{"topic":["can't be blank"]}]}}`)},
		{name: "§9.1 a message without event is 422", run: wrong(`{"messages":[{"topic":"$T","payload":{}}]}`, `{"errors":{"messages":[{"event":["can't be blank"]}]}}`)},
		{name: "§9.1 a message without payload is 422", run: wrong(`{"messages":[{"topic":"$T","event":"x"}]}`, `{"errors":{"messages":[{"payload":["can't be blank"]}]}}`)},
		{name: "§9.1 a payload that is no object is 422", run: wrong(`{"messages":[{"topic":"$T","event":"x","payload":"text"}]}`, `{"errors":{"messages":[{"payload":["is invalid"]}]}}`)},
		{name: "§9.1 one wrong message of a batch refuses all", run: wrong(`{"messages":[{"topic":"$T","event":"x","payload":{}},{"topic":"$T"}]}`, `{"errors":{"messages":[{},{"event":"<any list>","payload":"<any list>"}]}}`)},
		{name: "§9.1 a payload over the limit is 422 and says so", run: func(s *scene) {
			a := s.post(batchPath, jsonType, `{"messages":[{"topic":"$T","event":"x","payload":{"large":"`+strings.Repeat("x", 3_000_500)+`"}}]}`)
			s.is(a, http.StatusUnprocessableEntity, someErrors)
			if !strings.Contains(a.body, "Payload size exceeds tenant limit") {
				s.t.Errorf("the body is %s", a.body)
			}
		}},
		{name: "§9.1 private messages that the policy denies are skipped, and it is 202", run: func(s *scene) {
			s.play(`a join {"private":true}`)
			s.is(s.request(http.MethodPost, batchPath, `{"messages":[{"topic":"$T","event":"x","payload":{},"private":true}]}`, "Authorization", "Bearer $anon"), http.StatusAccepted, "")
			s.play(`a nothing`)
		}},
		{name: "§9.1 answers carry the headers of the rate", run: func(s *scene) {
			a := s.post(batchPath, jsonType, one)
			for _, header := range []string{"x-rate-rolling", "x-rate-limit", "x-rate-limit-remaining"} {
				if a.header.Get(header) == "" {
					s.t.Errorf("no header %s in %v", header, a.header)
				}
			}
		}},
		{name: "§9.1 any origin may publish", run: func(s *scene) {
			a := s.post(batchPath, jsonType, one, "Origin", "https://elsewhere.example")
			if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" && got != "https://elsewhere.example" {
				s.t.Errorf("Access-Control-Allow-Origin is %q", got)
			}
		}},
		{name: "§9.1 the preflight of a browser is answered", run: func(s *scene) {
			a := s.request(http.MethodOptions, batchPath, "", "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "authorization,apikey,content-type")
			allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
			for _, header := range []string{"authorization", "apikey", "content-type"} {
				if a.status/100 != 2 || !strings.Contains(allowed, header) && allowed != "*" {
					s.t.Errorf("%d, headers allowed: %q", a.status, allowed)
				}
			}
		}},
	}
	table(t, plain(t), cases)
}

// §9.2: one broadcast whose body is the payload.
func TestRESTSingle(t *testing.T) {
	t.Parallel()
	const path = "/api/broadcast/$T/events/x"
	// hears is what a subscriber of each version hears of JSON.
	hears := func(s *scene, event, payload string) {
		s.t.Helper()
		s.words["event"], s.words["payload"] = event, payload
		s.play(map[string]string{
			"2": `a<4 ["realtime:$T","$event",null,$payload]`,
			"1": `a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"$event","payload":$payload}]`,
		}[s.vsn])
	}
	table(t, plain(t), []behaviour{
		{name: "§9.2 application/json: the body is the payload", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(path, jsonType, `{"a":1}`)
			hears(s, "x", `{"a":1}`)
		}},
		{name: "§9.2 application/json may say its charset", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(path, "application/json; charset=utf-8", `{"a":1}`)
			hears(s, "x", `{"a":1}`)
		}},
		{name: "§9.2 without a content type it is JSON", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(path, "", `{"a":1}`)
			hears(s, "x", `{"a":1}`)
		}},
		{name: "§9.2 application/octet-stream: raw bytes", vsn: "2", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted(path, bytesType, "\x00\xff")
			s.play(`a<4b ["realtime:$T","x",null,"00ff"]`)
		}},
		{name: "§9.2 another content type is 415", run: func(s *scene) {
			s.is(s.post(path, "text/plain", "words"), http.StatusUnsupportedMediaType,
				`{"error":"Unsupported Media Type. Use application/json or application/octet-stream"}`)
		}},
		{name: "§9.2 behind a gateway it has the prefix /realtime/v1", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted("/realtime/v1"+path+"?apikey=words&vsn=2.0.0", jsonType, `{"a":1}`)
			hears(s, "x", `{"a":1}`)
		}},
		{name: "§9.2 the parts of the path are percent-encoded", run: func(s *scene) {
			s.words["T"] += ":a/b c"
			s.play(`a join {}`)
			escaped := strings.NewReplacer(":", "%3A", "/", "%2F", " ", "%20").Replace(s.words["T"])
			s.accepted("/api/broadcast/"+escaped+"/events/first%2Fdance%3F", jsonType, `{"a":1}`)
			hears(s, "first/dance?", `{"a":1}`)
		}},
		{name: "§9.2 private=true publishes to the private room", run: func(s *scene) {
			s.play(`
				a join {"private":true}
				b join {}`)
			s.accepted(path+"?private=true", jsonType, `{"a":1}`)
			hears(s, "x", `{"a":1}`)
			s.play(`b nothing`)
		}},
		{name: "§9.2 a private write that the policy denies is 403 Unauthorized", run: func(s *scene) {
			s.play(`a join {"private":true}`)
			a := s.request(http.MethodPost, path+"?private=true", `{}`, "Authorization", "Bearer $anon")
			if a.status != http.StatusForbidden || !strings.Contains(a.body, "Unauthorized") {
				s.t.Errorf("%d %s", a.status, a.body)
			}
			s.play(`a nothing`)
		}},
		{name: "§9.2 without a token it is 401", run: func(s *scene) {
			s.is(s.request(http.MethodPost, path, `{}`), http.StatusUnauthorized, `{"message":"Unauthorized"}`)
		}},
		{name: "§9.2 a body that is not JSON is 422", run: func(s *scene) {
			s.is(s.post(path, jsonType, `{"a":`), http.StatusUnprocessableEntity, `{"errors":"<object>"}`)
		}},
		{name: "§9.2 a body over the limit is 422", run: func(s *scene) {
			s.is(s.post(path, jsonType, `"`+strings.Repeat("x", 3_000_500)+`"`), http.StatusUnprocessableEntity, `{"errors":"<object>"}`)
		}},
		{name: "§9.2 bytes over the limit are 422", run: func(s *scene) {
			s.is(s.post(path, bytesType, strings.Repeat("x", 3_000_501)), http.StatusUnprocessableEntity, `{"errors":"<object>"}`)
		}},
		{name: "§9.2 answers carry the headers of the rate", run: func(s *scene) {
			a := s.post(path, jsonType, `{}`)
			for _, header := range []string{"x-rate-rolling", "x-rate-limit", "x-rate-limit-remaining"} {
				if a.header.Get(header) == "" {
					s.t.Errorf("no header %s in %v", header, a.header)
				}
			}
		}},
	})
}

// §9.1: what a policy sees of a request.
func TestRESTPolicy(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *server.Config) {
		c.Policy = func(claims *auth.Claims, topic string, ext auth.Extension, act auth.Action) bool {
			return act == auth.Read || ext == auth.Broadcast && strings.HasSuffix(topic, ":open")
		}
	})
	table(t, n, []behaviour{
		{name: "§9.1 the policy is asked for each message of a batch", run: func(s *scene) {
			s.words["T"] += ":open"
			s.play(`a join {"private":true}`)
			s.accepted(batchPath, jsonType, `{"messages":[{"topic":"$T:closed","event":"x","payload":{},"private":true},{"topic":"$T","event":"x","payload":{},"private":true}]}`)
			s.play(`
				a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{}}]
				a nothing`)
		}},
	})
}
