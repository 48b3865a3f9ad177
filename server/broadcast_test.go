package server

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/auth"
)

// The interoperation table of the protocol: every way to publish, to receivers of both versions.
// The message id m1 is the publisher's choice where it can choose one.
func TestInteroperation(t *testing.T) {
	var n *node
	const topic = "realtime:wed:42"
	const meta = `{"id":"m1","hlc":"H"}`
	v1 := func(payload string) string {
		return `{"topic":"realtime:wed:42","event":"broadcast","payload":` + payload + `,"ref":null}`
	}
	v2 := func(payload string) string { return `[null,null,"realtime:wed:42","broadcast",` + payload + `]` }
	const user = `{"event":"timeline","payload":{"slot":"cake"},"type":"broadcast"`
	rest := func(t *testing.T, path, kind, body string) {
		t.Helper()
		status, text := n.post(t, path, kind, body)
		if status != http.StatusAccepted || text != "" {
			t.Fatalf("%d %s", status, text)
		}
	}
	for name, c := range map[string]struct {
		publish func(t *testing.T, v1, v2 *client)
		v1, v2  string // "" for nothing; a v2 beginning with 4 is described below
	}{
		"kind 3, JSON": {
			func(t *testing.T, _, p *client) {
				p.binary(push("9", topic, "timeline", `{"id":"m1"}`, 1, `{"slot":"cake"}`))
			},
			v1(user + `,"meta":` + meta + `}`), "4 JSON timeline " + meta + ` {"slot":"cake"}`},
		"kind 3, JSON, no metadata": {
			func(t *testing.T, _, p *client) { p.binary(push("9", topic, "timeline", "", 1, `{"slot":"cake"}`)) },
			v1(user + `}`), `4 JSON timeline  {"slot":"cake"}`},
		"kind 3, bytes": {
			func(t *testing.T, _, p *client) {
				p.binary(push("9", topic, "photo", `{"id":"m1"}`, 0, "\xff\xd8\xff\xe0"))
			},
			"", "4 bytes photo " + meta + " \xff\xd8\xff\xe0"},
		"text from version 2": {
			func(t *testing.T, _, p *client) {
				p.say(`["1","9","realtime:wed:42","broadcast",{"x":[1, 2],"event":"timeline","type":"broadcast"}]`)
			},
			v1(`{"x":[1, 2],"event":"timeline","type":"broadcast"}`), v2(`{"x":[1, 2],"event":"timeline","type":"broadcast"}`)},
		"text from version 2, with id": {
			func(t *testing.T, _, p *client) {
				p.say(`["1","9","realtime:wed:42","broadcast",{"event":"x","meta":{"id":"m1","mine":1}}]`)
			},
			v1(`{"event":"x","meta":{"id":"m1","hlc":"H","mine":1}}`), v2(`{"event":"x","meta":{"id":"m1","hlc":"H","mine":1}}`)},
		"text from version 1, empty": {
			func(t *testing.T, p, _ *client) {
				p.say(`{"topic":"realtime:wed:42","event":"broadcast","payload":{},"ref":"2"}`)
			},
			v1(`{}`), v2(`{}`)},
		"REST batch": {
			func(t *testing.T, _, _ *client) {
				rest(t, "/api/broadcast", "application/json", `{"messages":[{"topic":"wed:42","event":"timeline","payload":{"slot":"cake"}}]}`)
			},
			v1(user + `}`), v2(user + `}`)},
		"REST batch, with id": {
			func(t *testing.T, _, _ *client) {
				rest(t, "/realtime/v1/api/broadcast?apikey=x&vsn=2.0.0", "application/json", `{"messages":[{"topic":"wed:42","event":"timeline","payload":{"slot":"cake"},"id":"m1"}]}`)
			},
			v1(user + `,"meta":` + meta + `}`), v2(user + `,"meta":` + meta + `}`)},
		"REST single, JSON": {
			func(t *testing.T, _, _ *client) {
				rest(t, "/api/broadcast/wed%3A42/events/timeline", "application/json", `{"slot":"cake"}`)
			},
			v1(user + `}`), `4 JSON timeline  {"slot":"cake"}`},
		"REST single, bytes": {
			func(t *testing.T, _, _ *client) {
				rest(t, "/realtime/v1/api/broadcast/wed%3A42/events/photo", "application/octet-stream", "\xff\xd8")
			},
			"", "4 bytes photo  \xff\xd8"},
		"REST single, urgent": {
			func(t *testing.T, _, _ *client) {
				rest(t, "/api/broadcast/wed%3A42/events/urgent", "", `"storm"`)
			},
			v1(`{"event":"urgent","payload":"storm","type":"broadcast","meta":{"id":"UUID","lane":"urgent","hlc":"H"}}`),
			`4 JSON urgent {"id":"UUID","lane":"urgent","hlc":"H"} "storm"`},
	} {
		t.Run(name, func(t *testing.T) {
			n = start(t)
			old, current := n.dial(t, ""), n.dial(t, "2.0.0")
			old.join("1.0.0", topic, `{"broadcast":{"self":true}}`)
			current.join("2.0.0", topic, `{"broadcast":{"self":true}}`)
			c.publish(t, old, current)
			if got := describe(current.hear()); got != c.v2 {
				t.Errorf("version 2\n got %q\nwant %q", got, c.v2)
			}
			if c.v1 != "" {
				old.expect(c.v1)
			}
			old.say(`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"end"}`)
			old.expect(`{"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"end"}`)
			current.silence()
		})
	}
}

// describe turns a kind 4 frame on topic wed:42 into "4 encoding event metadata payload". Blanking
// has changed the length of the metadata, so its end is found by the brace.
func describe(frame string) string {
	const topic = "realtime:wed:42"
	if frame == "" || frame[0] != 4 {
		return frame
	}
	encoding := map[byte]string{0: "bytes", 1: "JSON"}[frame[4]]
	events := frame[2]
	hasMeta := frame[3] > 0
	rest, ok := strings.CutPrefix(frame[5:], topic)
	if !ok {
		return "kind 4 on another topic"
	}
	event, rest := rest[:events], rest[events:]
	meta := ""
	if hasMeta {
		end := strings.IndexByte(rest, '}') + 1
		meta, rest = rest[:end], rest[end:]
	}
	return "4 " + encoding + " " + event + " " + meta + " " + rest
}

func (n *node) post(t testing.TB, path, contentType, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+n.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token(t, "authenticated"))
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(text.String())
}

func TestAckAndSelf(t *testing.T) {
	n := start(t)
	other := n.joined(t, "realtime:r", `{}`)
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true,"self":true},"presence":{"key":"dj-1"}}`)
	c.say(`["1","2","realtime:r","broadcast",{"event":"x","meta":{"id":"m1"}}]`)
	const live = `[null,null,"realtime:r","broadcast",{"event":"x","meta":{"id":"m1","hlc":"H","from":"dj-1"}}]`
	c.expect(live, `["1","2","realtime:r","phx_reply",{"status":"ok","response":{"id":"m1","held":["eu-west"]}}]`)
	other.expect(live)

	// The same id again is held and answered, but not delivered again.
	c.say(`["1","3","realtime:r","broadcast",{"event":"x","meta":{"id":"m1"}}]`)
	c.expect(`["1","3","realtime:r","phx_reply",{"status":"ok","response":{"id":"m1","held":["eu-west"]}}]`)
	c.silence()
	other.silence()

	// Without self, the publisher alone is left out: another channel of the same socket is not.
	quiet := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	quiet.binary(push("7", "realtime:r", "x", `{"id":"m2","lane":"urgent"}`, 1, `1`))
	quiet.expect(`["1","7","realtime:r","phx_reply",{"status":"ok","response":{"id":"m2","held":["eu-west"]}}]`)
	quiet.silence()
	if got := other.hear(); !strings.Contains(got, `"lane":"urgent"`) {
		t.Errorf("got %q", got)
	}
}

func TestUrgentWithoutAckIsHeldInSilence(t *testing.T) {
	n := start(t)
	other := n.joined(t, "realtime:r", `{}`)
	c := n.joined(t, "realtime:r", `{}`)
	c.say(`["1","2","realtime:r","broadcast",{"event":"urgent","payload":"storm"}]`)
	other.expect(`[null,null,"realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"UUID","lane":"urgent","hlc":"H"}}]`)
	c.silence()
	waitFor(t, "the hold", func() bool {
		return testutil.ToFloat64(n.metrics.MessagesPublished.WithLabelValues("urgent", "ok")) == 1
	})
}

func TestPayloadLimit(t *testing.T) {
	n := start(t, func(c *Config) { c.Limits.PayloadBytes = 3_000_500 })
	for _, private := range []string{"true", "false"} {
		c := n.joined(t, "realtime:r", `{"private":`+private+`,"broadcast":{"ack":true}}`)
		silent := n.joined(t, "realtime:r", `{"private":`+private+`}`)
		large := `{"event":"x","payload":"` + strings.Repeat("x", 3_000_500) + `"}`
		c.say(`["1","2","realtime:r","broadcast",` + large + `]`)
		c.expect(`["1","2","realtime:r","phx_reply",{"status":"error","response":"payload_size_exceeded"}]`)
		c.binary(push("3", "realtime:r", "x", "", 0, strings.Repeat("x", 3_000_501)))
		c.expect(`["1","3","realtime:r","phx_reply",{"status":"error","response":"payload_size_exceeded"}]`)
		silent.say(`["1","2","realtime:r","broadcast",` + large + `]`)
		silent.silence()
		c.silence()
	}
}

func TestLargestPayloadArrives(t *testing.T) {
	n := start(t)
	other := n.joined(t, "realtime:r", `{}`)
	c := n.joined(t, "realtime:r", `{}`)
	payload := strings.Repeat("x", 3_000_500)
	c.binary(push("2", "realtime:r", "x", "", 0, payload))
	if got := other.hear(); !strings.HasSuffix(got, payload) {
		t.Errorf("%d bytes came", len(got))
	}
}

// A bearer who may read but not write is ignored without a word, ack or not; the question is asked
// once per token.
func TestWriteDenied(t *testing.T) {
	asked := 0
	n := start(t, func(c *Config) {
		c.Policy = func(claims *auth.Claims, topic string, ext auth.Extension, act auth.Action) bool {
			if act == auth.Write {
				asked++
			}
			return act == auth.Read || claims.Role == "service_role"
		}
	})
	other := n.joined(t, "realtime:r", `{"private":true}`)
	c := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	c.say(`["1","2","realtime:r","broadcast",{"event":"x"}]`, `["1","3","realtime:r","broadcast",{"event":"x"}]`)
	c.silence()
	other.silence()
	if asked != 1 {
		t.Errorf("the policy was asked %d times, want once", asked)
	}
	c.say(`["1","4","realtime:r","access_token",{"access_token":"`+token(t, "service_role")+`"}]`,
		`["1","5","realtime:r","broadcast",{"event":"x","meta":{"id":"m1"}}]`)
	c.expect(`["1","5","realtime:r","phx_reply",{"status":"ok","response":{"id":"m1","held":["eu-west"]}}]`)
}

func TestBadMetadataOfABinaryPushIsRefused(t *testing.T) {
	n := start(t)
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	c.binary(push("2", "realtime:r", "x", `{"id":"not an id"}`, 1, `1`))
	if got := c.hear(); !strings.Contains(got, `{"status":"error","response":{"reason":"MalformedBroadcast: `) || !strings.Contains(got, "is not an id") {
		t.Errorf("got %s", got)
	}
	c.say(`["1","2","realtime:r","broadcast",{"event":"` + strings.Repeat("x", 300) + `"}]`)
	if got := c.hear(); !strings.Contains(got, `"reason":"MalformedBroadcast: event name has 300 bytes`) {
		t.Errorf("got %s", got)
	}
	c.binary(push("3", "realtime:r", "x", `{"persist":true}`, 1, `1`))
	c.expect(`["1","3","realtime:r","phx_reply",{"status":"ok","response":{"id":"UUID","held":["eu-west"]}}]`)
}

func TestPublicAndPrivateRoomsDoNotMeet(t *testing.T) {
	n := start(t)
	public := n.joined(t, "realtime:r", `{"broadcast":{"self":true}}`)
	private := n.joined(t, "realtime:r", `{"private":true}`)
	public.say(`["1","2","realtime:r","broadcast",{"event":"x"}]`)
	public.expect(`[null,null,"realtime:r","broadcast",{"event":"x"}]`)
	private.silence()
}

// One member's broadcasts arrive in the order in which it sent them, whatever their kind of hold.
func TestOrderOfOneSender(t *testing.T) {
	n := start(t)
	other := n.joined(t, "realtime:r", `{}`)
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	const messages = 200
	for i := range messages {
		c.say(fmt.Sprintf(`["1","%d","realtime:r","broadcast",{"event":"x","n":%d}]`, i, i))
	}
	for i := range messages {
		if got := other.hear(); !strings.Contains(got, fmt.Sprintf(`"n":%d,`, i)) {
			t.Fatalf("message %d is %s", i, got)
		}
	}
}
