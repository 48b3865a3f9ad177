package protocol

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{"": V1, "1.0.0": V1, "1.0.7": V1, "2.0.0": V2, "2.0.12": V2} {
		if v, err := ParseVersion(in); err != nil || v != want {
			t.Errorf("%q: %v, %v", in, v, err)
		}
	}
	for _, in := range []string{"1", "1.0", "1.1.0", "2.1.0", "3.0.0", "2.0.x", "2.0.", "1.0.-1", " 1.0.0", "1.0.0-rc"} {
		if v, err := ParseVersion(in); err == nil {
			t.Errorf("%q: %v", in, v)
		}
	}
}

func TestSubTopic(t *testing.T) {
	if sub, err := SubTopic("realtime:wed:42"); sub != "wed:42" || err != nil {
		t.Errorf("%q, %v", sub, err)
	}
	if _, err := SubTopic("realtime:"); !errors.Is(err, ErrTopicRequired) {
		t.Errorf("%v", err)
	}
	if _, err := SubTopic("wed:42"); !errors.Is(err, ErrUnmatchedTopic) {
		t.Errorf("%v", err)
	}
	if WireTopic("wed:42") != "realtime:wed:42" {
		t.Error(WireTopic("wed:42"))
	}
}

func TestParseMeta(t *testing.T) {
	tests := []struct {
		in   string
		want Meta
		err  string
	}{
		{``, Meta{}, ""},
		{`{}`, Meta{}, ""},
		{`{"persist":{"ttl":60},"id":null}`, Meta{}, ""},
		{`{"id":"w/1:a.b_c-d","lane":"urgent","hlc":"18446744073709551615","from":"florist-7","replayed":true}`,
			Meta{"w/1:a.b_c-d", Urgent, 1<<64 - 1, "", "florist-7", true}, ""},
		{`{"lane":"normal","replayed":false}`, Meta{}, ""},
		{`[]`, Meta{}, "want an object"},
		{`{"id":7}`, Meta{}, "meta.id"},
		{`{"id":""}`, Meta{}, "not an id"},
		{`{"id":"a b"}`, Meta{}, "not an id"},
		{`{"id":"` + strings.Repeat("x", 65) + `"}`, Meta{}, "not an id"},
		{`{"lane":"soon"}`, Meta{}, `"soon" is unknown`},
		{`{"hlc":5}`, Meta{}, "meta.hlc"},
		{`{"hlc":"-5"}`, Meta{}, "meta.hlc"},
		{`{"replayed":1}`, Meta{}, "meta.replayed"},
		{`{"from":[]}`, Meta{}, "meta.from"},
		{`{"id":"a"`, Meta{}, "ends too early"},
	}
	for _, tt := range tests {
		got, err := ParseMeta([]byte(tt.in))
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v, want %q", tt.in, err, tt.err)
		} else if got != tt.want {
			t.Errorf("%s: %+v", tt.in, got)
		}
	}
}

// With any name at all, metadata fits a binary frame.
func TestMetaFits(t *testing.T) {
	for _, from := range []string{strings.Repeat("x", 300), strings.Repeat("é", 200), strings.Repeat("\x01", 99), strings.Repeat(`"`, 99), "\xff\xff"} {
		m := Meta{strings.Repeat("i", MaxID), Urgent, 1<<64 - 1, "", from, true}
		b := m.Append(nil)
		if len(b) > MaxField || !json.Valid(b) {
			t.Errorf("%d bytes: %s", len(b), b)
		}
		if _, err := ParseMeta(b); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
}

func TestLane(t *testing.T) {
	if LaneOf("urgent", Meta{}) != Urgent || LaneOf("timeline", Meta{Lane: Urgent}) != Urgent || LaneOf("timeline", Meta{}) != Normal {
		t.Error("wrong lane")
	}
	if Urgent.String() != "urgent" || Normal.String() != "normal" || Lane(9).String() != "Lane(9)" {
		t.Error("wrong name")
	}
}

func TestParseUserBroadcast(t *testing.T) {
	tests := []struct {
		in   string
		want UserBroadcast
		err  string
	}{
		{`{}`, UserBroadcast{}, ""},
		{`{"type":"broadcast","event":"timeline","payload":{"a":1}}`, UserBroadcast{Event: "timeline", Payload: []byte(`{"a":1}`)}, ""},
		{`{"event":7,"payload":null,"meta":null,"x":[]}`, UserBroadcast{Payload: []byte("null")}, ""},
		{`{"event":"e","meta":{"id":"m1","x":1}}`, UserBroadcast{Event: "e", Meta: Meta{ID: "m1"}, HasMeta: true}, ""},
		{`{"meta":{"id":"!"},"event":"e"}`, UserBroadcast{Event: "e", HasMeta: true}, "meta.id"},
		{`"text"`, UserBroadcast{}, "want an object"},
		{`{"event":`, UserBroadcast{}, "ends too early"},
	}
	for _, tt := range tests {
		got, err := ParseUserBroadcast([]byte(tt.in))
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v, want %q", tt.in, err, tt.err)
		} else if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, d)
		}
	}
}

func TestAppendWithMeta(t *testing.T) {
	m := Meta{ID: "m1", Lane: Urgent}
	tests := []struct{ in, want string }{
		{`{}`, `{"meta":{"id":"m1","lane":"urgent"}}`},
		{` { "event" : "e" , "payload":{"b":[1, 2]} } `, `{"event" : "e","payload":{"b":[1, 2]},"meta":{"id":"m1","lane":"urgent"}}`},
		{`{"meta":{"id":"forged","hlc":"9","tag":{"k":1}},"event":"e"}`, `{"event":"e","meta":{"id":"m1","lane":"urgent","tag":{"k":1}}}`},
		{`{"meta":7}`, `{"meta":{"id":"m1","lane":"urgent"}}`},
		{`"text"`, `"text"`},
		{`{"a":`, `{"a":`},
	}
	for _, tt := range tests {
		if got := string(AppendWithMeta([]byte("> "), []byte(tt.in), m)); got != "> "+tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
	if got := string(AppendWithMeta(nil, []byte(`{"meta":{"tag":1}}`), Meta{})); got != `{"meta":{"tag":1}}` {
		t.Error(got)
	}
}

func TestReplies(t *testing.T) {
	if got := string(ReplyPayload(StatusError, "payload_size_exceeded")); got != `{"status":"error","response":"payload_size_exceeded"}` {
		t.Error(got)
	}
	if got := string(ReplyPayload(StatusOK, map[string]any{"id": "m1"})); got != `{"status":"ok","response":{"id":"m1"}}` {
		t.Error(got)
	}
	if got := string(ReplyPayload(StatusOK, func() {})); got != `{"status":"ok","response":{}}` {
		t.Error(got)
	}
	for in, want := range map[string]string{
		`{"status":"error","response":"payload_size_exceeded"}`:    "payload_size_exceeded",
		`{"status":"error","response":{"reason":"Unauthorized"}}`:  "Unauthorized",
		`{"status":"error","response":{"error":"not_configured"}}`: "not_configured",
		`{"status":"error","response":{}}`:                         "",
		`{"status":"error"}`:                                       "",
		`{"status":"error","response":[1]}`:                        "",
	} {
		r, err := ParseReply([]byte(in))
		if err != nil || r.Reason() != want {
			t.Errorf("%s: %q, %v", in, r.Reason(), err)
		}
	}
	if _, err := ParseReply([]byte(`[]`)); err == nil {
		t.Error("an array was read as a reply")
	}
	if got := string(SystemPayload("system", StatusOK, "Server requested disconnect", "")); strings.Contains(got, "channel") {
		t.Error(got)
	}
	if !Definite("Unauthorized: no") || Definite(ReasonNotHeld) || Definite(ReasonRestarting+": …") || Definite("") {
		t.Error("wrong refusals are definite")
	}
}

func TestJoinResponse(t *testing.T) {
	entry := json.RawMessage(`{"event":"INSERT","schema":"public","filter":"id=gt.5"}`)
	got := JoinResponse([]json.RawMessage{entry, json.RawMessage(`{"event":"*"}`), entry})
	var r struct {
		Changes []struct {
			ID     int
			Filter string
		} `json:"postgres_changes"`
	}
	if err := json.Unmarshal(got, &r); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	c := r.Changes
	if len(c) != 3 || c[0] != c[2] || c[0].ID == c[1].ID || c[0].ID == 0 || c[0].Filter != "id=gt.5" {
		t.Errorf("%s", got)
	}
}

func TestReceipts(t *testing.T) {
	want := Receipt{"m1", `flor"ist`, "eu-west"}
	if got, err := ParseReceipt(AppendReceipt(nil, &want)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, in := range []string{`[]`, `{}`, `{"id":"a b"}`, `{"id":1}`} {
		if _, err := ParseReceipt([]byte(in)); err == nil {
			t.Errorf("%s was read as a receipt", in)
		}
	}
	ids, err := ParseConfirm(AppendConfirm(nil, "m1", "m2"))
	if d := cmp.Diff([]string{"m1", "m2"}, ids); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	many := AppendConfirm(nil, make([]string, MaxConfirm+1)...)
	for _, in := range []string{`7`, `{"ids":["a b"]}`, `{"ids":[1]}`, string(many)} {
		if _, err := ParseConfirm([]byte(in)); err == nil {
			t.Errorf("%.40s was read as a confirmation", in)
		}
	}
}
