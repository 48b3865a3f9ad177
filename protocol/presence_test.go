package protocol

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestParsePresence(t *testing.T) {
	for _, c := range []struct{ in, event, payload string }{
		{`{"type":"presence","event":"track","payload":{"van":"WX72"}}`, "track", `{"van":"WX72"}`},
		{`{"type":"presence","event":"TRACK","payload":{}}`, "track", `{}`},
		{`{"event":"Track"}`, "track", `{}`},
		{`{"event":"untrack"}`, "untrack", ""},
		{`{"event":"wave","payload":3}`, "wave", "3"},
		{`{}`, "", ""},
	} {
		p, err := ParsePresence([]byte(c.in))
		if err != nil || p.Event != c.event || string(p.Payload) != c.payload {
			t.Errorf("%s: %q %s, %v", c.in, p.Event, p.Payload, err)
		}
	}
	for _, in := range []string{`{"event":"track","payload":[]}`, `{"event":"track","payload":null}`, `{"event":"track","payload":"x"}`} {
		if _, err := ParsePresence([]byte(in)); !errors.Is(err, ErrPresencePayload) {
			t.Errorf("%s: %v", in, err)
		}
	}
	for _, in := range []string{``, `[]`, `{"event":1}`, `"track"`} {
		if p, err := ParsePresence([]byte(in)); err == nil {
			t.Errorf("%s: %+v", in, p)
		}
	}
}

func FuzzParsePresence(f *testing.F) {
	f.Add([]byte(`{"type":"presence","event":"track","payload":{"van":"WX72"}}`))
	f.Add([]byte(`{"event":"TRACK","payload":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePresence(b)
		if err != nil || p.Event != PresenceTrack {
			return
		}
		var o map[string]json.RawMessage
		if err := json.Unmarshal(p.Payload, &o); err != nil || o == nil {
			t.Fatalf("%q: payload %q, %v", b, p.Payload, err)
		}
	})
}
