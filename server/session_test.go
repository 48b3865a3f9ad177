package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/socket"
)

// Each script is one socket against a fresh view of the protocol: the exact frames, in order.
func TestScripts(t *testing.T) {
	n := start(t)
	const ok = `{"status":"ok","response":{}}`
	for name, script := range map[string]string{
		"heartbeat": `
			C> [null,"8","phoenix","heartbeat",{}]
			S> [null,"8","phoenix","phx_reply",{"status":"ok","response":{}}]`,
		"numeric refs are echoed": `
			C> [0,0,"realtime:numeric","phx_join",{}]
			S> [0,0,"realtime:numeric","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			C> [null,7,"phoenix","heartbeat",{}]
			S> [null,7,"phoenix","phx_reply",{"status":"ok","response":{}}]`,
		"join and leave": `
			C> ["3","3","realtime:wed:42","phx_join",{"config":{"private":true,"broadcast":{"ack":true,"self":true},"presence":{"enabled":true,"key":"florist-7"},"postgres_changes":[]}}]
			S> ["3","3","realtime:wed:42","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			S> ["3",null,"realtime:wed:42","presence_state",{}]
			C> ["3","15","realtime:wed:42","phx_leave",{}]
			S> ["3","15","realtime:wed:42","phx_reply",` + ok + `]
			S> ["3","3","realtime:wed:42","phx_close",{}]
			C> ["3","16","realtime:wed:42","broadcast",{}]
			S> [null,"16","realtime:wed:42","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		"leave without a channel": `
			C> ["9","15","realtime:nowhere","phx_leave",{}]
			S> ["9","15","realtime:nowhere","phx_reply",` + ok + `]`,
		"leave of an earlier life is ignored": `
			C> ["2","2","realtime:r","phx_join",{}]
			S> ["2","2","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			C> ["1","3","realtime:r","phx_leave",{}]
			C> [null,"4","phoenix","heartbeat",{}]
			S> [null,"4","phoenix","phx_reply",` + ok + `]
			C> [null,"5","realtime:r","phx_leave",{}]
			S> ["2","5","realtime:r","phx_reply",` + ok + `]
			S> ["2","2","realtime:r","phx_close",{}]`,
		"second join": `
			C> ["1","1","realtime:r","phx_join",{}]
			S> ["1","1","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			C> ["2","2","realtime:r","phx_join",{}]
			S> ["2","2","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			S> ["1","1","realtime:r","phx_close",{}]`,
		"wrong topics": `
			C> ["1","1","room","phx_join",{}]
			S> [null,"1","room","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
			C> ["2","2","realtime:","phx_join",{}]
			S> ["2","2","realtime:","phx_reply",{"status":"error","response":{"reason":"TopicNameRequired: You must provide a topic name"}}]
			C> ["3","3","realtime:r","broadcast",{"event":"x"}]
			S> [null,"3","realtime:r","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		"wrong fields do not keep anybody out": `
			C> ["1","1","realtime:r","phx_join",{"config":{"private":17,"broadcast":{"self":"TRUE"},"presence":"yes"},"access_token":5}]
			S> ["1","1","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		"malformed frames are dropped": `
			C> not json
			C> {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}
			C> [1,2]
			C> [null,"8","phoenix","heartbeat",{}]
			S> [null,"8","phoenix","phx_reply",` + ok + `]`,
		"unknown events are ignored, missing join refs accepted": `
			C> ["1","1","realtime:r","phx_join",{"config":{"broadcast":{"ack":true}}}]
			S> ["1","1","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			C> ["1","2","realtime:r","dance",{}]
			C> [null,"3","realtime:r","broadcast",{"event":"x","payload":{},"meta":{"id":"m3"}}]
			S> ["1","3","realtime:r","phx_reply",{"status":"ok","response":{"id":"m3","held":["eu-west"]}}]
			C> ["0","4","realtime:r","broadcast",{"event":"x","payload":{},"meta":{"id":"m4"}}]
			S> ["1","4","realtime:r","phx_reply",{"status":"ok","response":{"id":"m4","held":["eu-west"]}}]`,
		"presence of nothing": `
			C> ["1","1","realtime:r","phx_join",{"config":{"presence":{"enabled":true}}}]
			S> ["1","1","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			S> ["1",null,"realtime:r","presence_state",{}]
			C> ["1","2","realtime:r","presence",{"type":"presence","event":"track","payload":[]}]
			S> ["1","2","realtime:r","phx_reply",{"status":"error","response":{"reason":"Presence track payload must be a map"}}]
			C> ["1","3","realtime:r","presence",{"type":"presence","event":"untrack"}]
			S> ["1","3","realtime:r","phx_reply",{"status":"ok","response":{}}]
			C> ["1","4","realtime:r","presence",{"type":"presence","event":"wave"}]
			S> ["1","4","realtime:r","phx_reply",{"status":"error","response":{}}]
			C> ["1","5","realtime:r","presence",{}]
			S> ["1","5","realtime:r","phx_reply",{"status":"ok","response":{}}]`,
		"replay of a public room": `
			C> ["1","1","realtime:r","phx_join",{"config":{"broadcast":{"replay":{"since":1}}}}]
			S> ["1","1","realtime:r","phx_reply",{"status":"error","response":{"reason":"UnableToReplayMessages: Replay is not allowed for public channels"}}]`,
		"replay without since": `
			C> ["1","1","realtime:r","phx_join",{"config":{"private":true,"broadcast":{"replay":{"limit":5}}}}]
			S> ["1","1","realtime:r","phx_reply",{"status":"error","response":{"reason":"UnableToReplayMessages: Replay params are not valid"}}]`,
		"topic of 600 bytes": `
			C> ["1","1","realtime:` + strings.Repeat("x", 600) + `","phx_join",{}]
			S> ["1","1","realtime:` + strings.Repeat("x", 600) + `","phx_reply",{"status":"error","response":{"reason":"UnknownErrorOnChannel: The topic is too long"}}]`,
	} {
		t.Run(name, func(t *testing.T) { n.dial(t, "2.0.0").play(script) })
	}
	if got := testutil.ToFloat64(n.metrics.FramesMalformed); got != 3 {
		t.Errorf("%v malformed frames counted, want 3", got)
	}
}

func TestVersion1(t *testing.T) {
	n := start(t)
	n.dial(t, "").play(`
		C> {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}
		S> {"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"1"}
		C> {"topic":"realtime:wed:42","event":"phx_join","payload":{"config":{"private":true}},"ref":"2","join_ref":"2"}
		S> {"topic":"realtime:wed:42","event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[]}},"ref":"2"}
		C> {"topic":"realtime:wed:42","event":"phx_leave","payload":{},"ref":"3","join_ref":"2"}
		S> {"topic":"realtime:wed:42","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"3"}
		S> {"topic":"realtime:wed:42","event":"phx_close","payload":{},"ref":"2"}
		C> {"topic":"realtime:wed:42","event":"phx_join","payload":{"config":{}},"ref":"4"}
		S> {"topic":"realtime:wed:42","event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[]}},"ref":"4"}
		C> {"topic":"realtime:wed:42","event":"phx_leave","payload":{},"ref":"5"}
		S> {"topic":"realtime:wed:42","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"5"}
		S> {"topic":"realtime:wed:42","event":"phx_close","payload":{},"ref":"4"}`)
}

func TestPostgresChangesAreEchoedAndDeclined(t *testing.T) {
	c := start(t).dial(t, "2.0.0")
	c.say(`["1","1","realtime:orders","phx_join",{"config":{"postgres_changes":[` +
		`{"event":"INSERT","schema":"public","table":"orders","filter":"id=gt.5"},null,{"event":"*","schema":"public"}]}}]`)
	reply := c.hear()
	for _, want := range []string{`"event":"INSERT","schema":"public","table":"orders","filter":"id=gt.5"`, `"event":"*","schema":"public"`, `"id":`} {
		if !strings.Contains(reply, want) {
			t.Errorf("%s is missing in %s", want, reply)
		}
	}
	c.expect(`["1",null,"realtime:orders","system",{"extension":"postgres_changes","status":"error",` +
		`"message":"No database is configured on this server: subscriptions to Postgres changes receive nothing","channel":"orders"}]`)
}

func TestTooManyChannels(t *testing.T) {
	c := start(t, func(c *Config) { c.Limits.ChannelsPerSocket = 100 }).dial(t, "2.0.0")
	for i := range 100 {
		c.join("2.0.0", fmt.Sprintf("realtime:r%d", i), `{}`)
	}
	c.play(`
		C> ["101","101","realtime:r100","phx_join",{}]
		S> ["101","101","realtime:r100","phx_reply",{"status":"error","response":{"reason":"ChannelRateLimitReached: Too many channels"}}]
		C> ["102","102","realtime:r7","phx_join",{}]
		S> ["102","102","realtime:r7","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
		S> ["1","1","realtime:r7","phx_close",{}]`)
}

// The delay of a refused join holds nothing else up, and nothing is sent for its topic before.
func TestRefusedJoinDelaysOnlyItself(t *testing.T) {
	const delay = 50 * time.Millisecond
	n := start(t, func(c *Config) { c.JoinErrorBackoff = delay })
	c := n.dialWith(t, url.Values{"vsn": {"2.0.0"}, "apikey": {token(t, "anon")}})
	begin := time.Now()
	c.play(`
		C> ["1","1","realtime:wed:42","phx_join",{"config":{"private":true}}]
		C> [null,"2","phoenix","heartbeat",{}]
		S> [null,"2","phoenix","phx_reply",{"status":"ok","response":{}}]`)
	c.play(`S> ["1","1","realtime:wed:42","phx_reply",{"status":"error","response":{"reason":"Unauthorized: You do not have permissions to read from this Channel topic: wed:42"}}]`)
	if took := time.Since(begin); took < delay {
		t.Errorf("refused after %s, want %s", took, delay)
	}
}

func TestFloodOfRefusedJoinsIsCutOff(t *testing.T) {
	n := start(t, func(c *Config) { c.JoinErrorBackoff = time.Hour })
	c := n.dial(t, "2.0.0")
	for range maxRefusals + 1 {
		c.say(`["1","1","realtime:","phx_join",{}]`)
	}
	if code := c.closeCode(); code != socket.CloseViolation {
		t.Errorf("closed with %d", code)
	}
}

func TestMessageOf6MB(t *testing.T) {
	n := start(t, func(c *Config) { c.Limits.FrameBytes = 5_000_000 })
	c := n.dial(t, "2.0.0")
	_ = c.WriteMessage(websocket.TextMessage, make([]byte, 6_000_000)) // may be cut off, which is the point
	if code := c.closeCode(); code != socket.CloseTooBig {
		t.Errorf("closed with %d, want 1009", code)
	}
	waitFor(t, "the log line", func() bool { return strings.Contains(n.log.String(), "limit_bytes=5000000") })
}

func TestGarbageDoesNotEndASession(t *testing.T) {
	c := start(t).dial(t, "2.0.0")
	for _, frame := range []string{"", "\x03", "\x03\xff\xff\xff\xff\xff\x01", "\x00\x01\x01\x01\x01", "\x04\x01\x01\x00\x01ab", strings.Repeat("\xff", 300)} {
		c.binary(frame)
	}
	c.say(``, `null`, `[]`, `"`, `[[[[[[`, "[null,\"1\",\"\xff\",\"x\",{}]", `{"topic":1,"event":2,"payload":3,"ref":4}`)
	c.silence()
}

func TestJoinTokens(t *testing.T) {
	n := start(t)
	exp := time.Now().Add(time.Hour).Unix()
	expired := sign(t, jwt.MapClaims{"role": "authenticated", "exp": exp - 7200})
	good, anon := token(t, "authenticated"), token(t, "anon")
	const granted = `{"status":"ok","response":{"postgres_changes":[]}}`
	refused := func(reason string) string {
		return `{"status":"error","response":{"reason":"` + reason + `"}}`
	}
	unauthorized := refused("Unauthorized: You do not have permissions to read from this Channel topic: r")
	for name, c := range map[string]struct{ apikey, payload, reply string }{
		"socket's token":            {good, `{"config":{"private":true}}`, granted},
		"anon, public":              {anon, `{"config":{}}`, granted},
		"anon, private":             {anon, `{"config":{"private":true}}`, unauthorized},
		"own token wins":            {anon, `{"config":{"private":true},"access_token":"` + good + `"}`, granted},
		"own token, worse":          {good, `{"config":{"private":true},"access_token":"` + anon + `"}`, unauthorized},
		"user_token wins":           {good, `{"config":{"private":true},"access_token":"` + good + `","user_token":"` + anon + `"}`, unauthorized},
		"opaque key: socket's":      {good, `{"config":{"private":true},"access_token":"sb_publishable_x"}`, granted},
		"expired":                   {good, `{"config":{},"access_token":"` + expired + `"}`, refused("InvalidJWTToken: Token has expired N seconds ago")},
		"no JWT":                    {good, `{"config":{},"access_token":"words"}`, refused("MalformedJWT: The token provided is not a valid JWT")},
		"fields":                    {good, `{"config":{},"access_token":"` + sign(t, jwt.MapClaims{"exp": exp}) + `"}`, refused("InvalidJWTToken: Fields `role` and `exp` are required in JWT")},
		"signature":                 {good, `{"config":{},"access_token":"` + good[:len(good)-4] + `AAAA"}`, refused("JwtSignatureError: Failed to validate JWT signature")},
		"service role, private":     {token(t, "service_role"), `{"config":{"private":true}}`, granted},
		"null token means socket's": {good, `{"config":{"private":true},"access_token":null}`, granted},
	} {
		t.Run(name, func(t *testing.T) {
			s := n.dialWith(t, url.Values{"vsn": {"2.0.0"}, "apikey": {c.apikey}})
			s.say(`["1","1","realtime:r","phx_join",` + c.payload + `]`)
			s.expect(`["1","1","realtime:r","phx_reply",` + c.reply + `]`)
		})
	}
}

func TestAccessTokenPush(t *testing.T) {
	n := start(t)
	exp := time.Now().Add(time.Hour).Unix()
	const stays = ""
	for name, c := range map[string]struct{ config, token, message string }{
		"better":          {`{"private":true}`, `"` + token(t, "service_role") + `"`, stays},
		"null":            {`{"private":true}`, `null`, stays},
		"opaque key":      {`{"private":true}`, `"sb_secret_x"`, stays},
		"no JWT":          {`{}`, `"words"`, "The token provided is not a valid JWT"},
		"expired":         {`{}`, `"` + sign(t, jwt.MapClaims{"role": "anon", "exp": exp - 7200}) + `"`, "Token has expired N seconds ago"},
		"fields":          {`{}`, `"` + sign(t, jwt.MapClaims{"role": "anon"}) + `"`, "Fields `role` and `exp` are required in JWT"},
		"worse, private":  {`{"private":true}`, `"` + token(t, "anon") + `"`, "You no longer have permission to read from this Channel topic: r"},
		"worse, public":   {`{}`, `"` + token(t, "anon") + `"`, stays},
		"not even a text": {`{}`, `{"a":1}`, stays},
	} {
		t.Run(name, func(t *testing.T) {
			s := n.joined(t, "realtime:r", c.config)
			s.say(`["1","16","realtime:r","access_token",{"access_token":` + c.token + `}]`)
			if c.message != stays {
				s.expect(`["1",null,"realtime:r","system",{"extension":"system","status":"error","message":"`+c.message+`","channel":"r"}]`,
					`["1","1","realtime:r","phx_close",{}]`)
			}
			s.silence()
		})
	}
}

func TestExpiryEndsTheChannel(t *testing.T) {
	n := start(t)
	short := sign(t, jwt.MapClaims{"role": "authenticated", "exp": time.Now().Add(2500 * time.Millisecond).Unix()})
	s := n.dial(t, "2.0.0")
	s.say(`["1","1","realtime:kept","phx_join",{}]`, `["2","2","realtime:short","phx_join",{"access_token":"`+short+`"}]`)
	s.expect(`["1","1","realtime:kept","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		`["2","2","realtime:short","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		`["2",null,"realtime:short","system",{"extension":"system","status":"error","message":"Token has expired N seconds ago","channel":"short"}]`,
		`["2","2","realtime:short","phx_close",{}]`)
	s.silence()
}
