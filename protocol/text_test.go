package protocol

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDecodeTextRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+5)
	tests := []struct {
		name string
		v    Version
		in   string
		want string // in the error
	}{
		{"empty", V2, "", "ends too early"},
		{"not an array", V2, `{}`, "want an array"},
		{"four elements", V2, `[null,null,"t","e"]`, "4 elements, want 5"},
		{"no elements", V2, `[]`, "want a JSON value"},
		{"open array", V2, `[null,null,"t","e",{}`, "ends too early"},
		{"topic is a number", V2, `[null,null,7,"e",{}]`, "element 3"},
		{"event is null", V2, `[null,null,"t",null,{}]`, "element 4"},
		{"bad payload", V2, `[null,null,"t","e",{"a":tru}]`, "want true"},
		{"bad payload number", V2, `[null,null,"t","e",01]`, "unexpected '1'"},
		{"control character", V2, "[null,null,\"t\",\"e\",\"\x01\"]", "escaped control"},
		{"bad escape", V2, `[null,null,"t","e","\x"]`, "an escape"},
		{"bad unicode escape", V2, `[null,null,"t","e","\u12g4"]`, "hexadecimal"},
		{"mixed brackets", V2, `[null,null,"t","e",[{]}]`, "a key"},
		{"wrong closing", V2, `[null,null,"t","e",{"a":[1}]`, "comma or the end"},
		{"trailing comma", V2, `[null,null,"t","e",{},]`, "a JSON value"},
		{"rubbish behind", V2, `[null,null,"t","e",{}] x`, "nothing more"},
		{"not UTF-8", V2, "[null,null,\"t\",\"e\",\"\xff\"]", "UTF-8"},
		{"too deep", V2, `[null,null,"t","e",` + deep, "deeper"},
		{"no payload", V1, `{"topic":"t","event":"e","ref":null}`, `"payload" is missing`},
		{"no ref", V1, `{"topic":"t","event":"e","payload":{}}`, `"ref" is missing`},
		{"no topic", V1, `{"event":"e","payload":{},"ref":null}`, `"topic" is missing`},
		{"no event", V1, `{"topic":"t","payload":{},"ref":null}`, `"event" is missing`},
		{"topic is an object", V1, `{"topic":{},"event":"e","payload":{},"ref":null}`, `key "topic"`},
		{"an array", V1, `[1]`, "want an object"},
		{"trailing comma in object", V1, `{"topic":"t",}`, "a key"},
		{"rubbish behind object", V1, `{"topic":"t","event":"e","payload":{},"ref":null}}`, "nothing more"},
		{"unknown version", 7, `{}`, "Version(7)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeText(tt.v, []byte(tt.in))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want ErrMalformed with %q", err, tt.want)
			}
		})
	}
}

func TestDecodeTextAccepts(t *testing.T) {
	tests := []struct {
		name string
		v    Version
		in   string
		want Frame
	}{
		{"spaces and extra elements", V2, " [ null , 1 , \"t\" , \"e\" ,\n{ } , 6, [7] ]\t", Frame{"", "1", "t", "e", []byte("{ }"), nil}},
		{"payload may be any value", V2, `[null,null,"t","e",-0.5e+3]`, Frame{"", "", "t", "e", []byte("-0.5e+3"), nil}},
		{"escapes in topic and event", V2, `[null,null,"a\/b\u00e9","\"",{}]`, Frame{"", "", "a/bé", `"`, []byte("{}"), nil}},
		{"ref of any type", V2, `[{"a":1},true,"t","e",{}]`, Frame{`{"a":1}`, "true", "t", "e", []byte("{}"), nil}},
		{"any order, unknown keys, the last of two", V1, `{"x":[{}],"ref":2,"payload":1,"event":"a","event":"b","top\u0069c":"t","join_ref":"9"}`,
			Frame{`"9"`, "2", "t", "b", []byte("1"), nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeText(tt.v, []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.want.String() || got.JoinRef != tt.want.JoinRef || string(got.Payload) != string(tt.want.Payload) {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A version 1 receiver matches on the keys, so there may be no others.
func TestV1HasFourKeys(t *testing.T) {
	b := AppendText(nil, V1, &Frame{JoinRef: `"1"`, Ref: `"1"`, Topic: "t", Event: EventClose})
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	if len(keys) != 4 || keys["topic"] == nil || keys["event"] == nil || keys["payload"] == nil || keys["ref"] == nil {
		t.Fatalf("keys of %s", b)
	}
}

// A large or deep payload costs a scan, not memory.
func TestDecodeTextOfLargeFrames(t *testing.T) {
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	for _, payload := range []string{deep, `"` + strings.Repeat("x", 6<<20) + `"`} {
		frame := []byte(`[null,null,"t","e",` + payload + `]`)
		f, err := DecodeText(V2, frame)
		if err != nil || len(f.Payload) != len(payload) {
			t.Fatalf("%d bytes of payload, %v", len(f.Payload), err)
		}
		allocs := testing.AllocsPerRun(3, func() { _, _ = DecodeText(V2, frame) })
		if allocs > 16 {
			t.Errorf("%v allocations", allocs)
		}
	}
}
