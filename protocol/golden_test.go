package protocol

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The golden files are the examples of our protocol reference, numbered as there. Each is decoded
// into the frame below and encoded back into the same bytes.

const (
	wed42    = "realtime:wed:42"
	okEmpty  = `{"status":"ok","response":{}}`
	timeline = `{"slot":"first-dance","eta":95}`
)

func TestGoldenText(t *testing.T) {
	ref := func(n string) Ref { return StringRef(n) }
	tests := map[string]Frame{
		"02-join.v2.push":        {ref("3"), ref("3"), wed42, EventJoin, []byte(`{"config":{"private":true,"broadcast":{"ack":true,"self":true},"presence":{"enabled":true,"key":"florist-7"},"postgres_changes":[]},"access_token":"eyJ…"}`), nil},
		"02-joined.v2":           {ref("3"), ref("3"), wed42, EventReply, ReplyPayload(StatusOK, JoinResponse(nil)), nil},
		"02-presence-state.v2":   {ref("3"), "", wed42, EventPresenceState, []byte(`{}`), nil},
		"03-join.v1.push":        {ref("1"), ref("1"), wed42, EventJoin, []byte(`{"config":{"private":true}}`), nil},
		"03-joined.v1":           {"", ref("1"), wed42, EventReply, ReplyPayload(StatusOK, JoinResponse(nil)), nil},
		"04-refused.v2":          {ref("4"), ref("4"), "realtime:wed:99", EventReply, ReasonPayload(ReasonUnauthorized + ": You do not have permissions to read from this Channel topic: wed:99"), nil},
		"05-heartbeat.v2.push":   {"", ref("8"), TopicPhoenix, EventHeartbeat, []byte(`{}`), nil},
		"05-heartbeat-reply.v2":  {"", ref("8"), TopicPhoenix, EventReply, ReplyPayload(StatusOK, nil), nil},
		"06-ack.v2":              {ref("3"), ref("9"), wed42, EventReply, []byte(okEmpty), nil},
		"09-broadcast.v1":        {"", "", wed42, EventBroadcast, AppendUserBroadcast(nil, &UserBroadcast{Event: "timeline", Payload: []byte(timeline)}), nil},
		"10-track.v2.push":       {ref("3"), ref("10"), wed42, EventPresence, []byte(`{"type":"presence","event":"track","payload":{"trade":"florist","van":"WX72"}}`), nil},
		"10-diff.v2":             {"", "", wed42, EventPresenceDiff, []byte(`{"joins":{"florist-7":{"metas":[{"trade":"florist","van":"WX72","phx_ref":"GM3kQ0v7hL2aXw1c"}]}},"leaves":{}}`), nil},
		"10-tracked.v2":          {ref("3"), ref("10"), wed42, EventReply, []byte(okEmpty), nil},
		"11-update.v2":           {"", "", wed42, EventPresenceDiff, []byte(`{"joins":{"florist-7":{"metas":[{"trade":"florist","van":"arrived","phx_ref":"GM3kRk2b1tHHaaQe","phx_ref_prev":"GM3kQ0v7hL2aXw1c"}]}},"leaves":{"florist-7":{"metas":[{"trade":"florist","van":"WX72","phx_ref":"GM3kQ0v7hL2aXw1c"}]}}}`), nil},
		"12-postgres.v2":         {"", "", "realtime:orders", EventPostgresChanges, []byte(`{"ids":[73550125],"data":{"schema":"public","table":"tasks","type":"UPDATE","commit_timestamp":"2026-06-13T14:03:07.412Z","columns":[{"name":"id","type":"int8"},{"name":"state","type":"text"}],"record":{"id":12,"state":"done"},"old_record":{"id":12},"errors":null}}`), nil},
		"13-system.v2":           {ref("3"), "", wed42, EventSystem, SystemPayload("system", StatusError, "Too many messages per second", "wed:42"), nil},
		"13-close.v2":            {ref("3"), ref("3"), wed42, EventClose, []byte(`{}`), nil},
		"14-leave.v2.push":       {ref("3"), ref("15"), wed42, EventLeave, []byte(`{}`), nil},
		"14-left.v2":             {ref("3"), ref("15"), wed42, EventReply, []byte(okEmpty), nil},
		"14-close.v2":            {ref("3"), ref("3"), wed42, EventClose, []byte(`{}`), nil},
		"15-token.v2.push":       {ref("3"), ref("16"), wed42, EventAccessToken, []byte(`{"access_token":"eyJ…new"}`), nil},
		"16-replayed.v2":         {ref("5"), "", wed42, EventBroadcast, []byte(`{"event":"timeline","payload":{"slot":"cake"},"type":"broadcast","meta":{"id":"0f1d…","replayed":true}}`), nil},
		"19-numeric-ref.v2.push": {"0", "0", wed42, EventJoin, []byte(`{}`), nil},
		"19-numeric-ref.v1":      {"", "0", wed42, EventReply, []byte(okEmpty), nil},
	}
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) != len(tests) {
		t.Fatalf("%d golden files, %d tests (%v)", len(files), len(tests), err)
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata/golden", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			b = bytes.TrimSuffix(b, []byte("\n"))
			v := V2
			if strings.Contains(name, ".v1") {
				v = V1
			}
			got, err := DecodeText(v, b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("decoded (-want +got):\n%s", d)
			}
			encoded := AppendText(nil, v, &want)
			if strings.HasSuffix(name, ".push") {
				encoded = AppendTextPush(nil, v, &want)
			}
			if d := cmp.Diff(string(b), string(encoded)); d != "" {
				t.Errorf("encoded (-want +got):\n%s", d)
			}
		})
	}
}

func TestGoldenBinary(t *testing.T) {
	meta := []byte(`{"id":"7b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11"}`)
	tests := map[string]struct {
		want   Frame
		decode func([]byte) (Frame, error)
		encode func(*Frame) ([]byte, error)
	}{
		"06-kind3": {Frame{StringRef("3"), StringRef("9"), wed42, EventBroadcast, nil,
			&Broadcast{"timeline", JSON, nil, []byte(timeline)}}, DecodePush, encodePush},
		"07-kind4":        {Frame{"", "", wed42, EventBroadcast, nil, &Broadcast{"timeline", JSON, meta, []byte(timeline)}}, DecodeBroadcast, encodeBroadcast},
		"08-kind4-binary": {Frame{"", "", wed42, EventBroadcast, nil, &Broadcast{"photo", Binary, nil, []byte{0xff, 0xd8, 0xff, 0xe0}}}, DecodeBroadcast, encodeBroadcast},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/golden", name+".hex"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("decoded (-want +got):\n%s", d)
			}
			encoded, err := tt.encode(&tt.want)
			if err != nil || !bytes.Equal(encoded, b) {
				t.Errorf("encoded\n%x (%v), want\n%x", encoded, err, b)
			}
		})
	}
}

func encodePush(f *Frame) ([]byte, error)      { return AppendPush(nil, f) }
func encodeBroadcast(f *Frame) ([]byte, error) { return AppendBroadcast(nil, f.Topic, f.Broadcast) }
