package protocol

import (
	"errors"
	"strings"
	"testing"
)

func TestDecodePushRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "0 bytes"},
		{"short header", "\x03\x00\x00\x00\x00\x00", "too few"},
		{"kind 0", "\x00\x00\x00\x00\x00\x00\x01", "kind 0"},
		{"kind 4", "\x04\x00\x00\x00\x00\x00\x01", "kind 4"},
		{"fields beyond the end", "\x03\x01\x01\xff\x00\x00\x01ab", "reach beyond"},
		{"no JSON payload", "\x03\x00\x00\x01\x01\x00\x01te", "payload"},
		{"bad JSON payload", "\x03\x00\x00\x01\x01\x00\x01te{]", "payload"},
		{"two payloads", "\x03\x00\x00\x01\x01\x00\x01te1 2", "nothing more"},
		{"bad metadata", "\x03\x00\x00\x01\x01\x02\x01te[]1", "metadata"},
		{"topic not UTF-8", "\x03\x00\x00\x01\x01\x00\x01\xffe1", "UTF-8"},
		{"a character across two fields", "\x03\x00\x00\x01\x01\x00\x00\xd1\x82", "UTF-8"},
		{"payload not UTF-8", "\x03\x00\x00\x01\x01\x00\x01te\"\xff\"", "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodePush([]byte(tt.in))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want ErrMalformed with %q", err, tt.want)
			}
		})
	}
}

func TestDecodeBroadcastRefuses(t *testing.T) {
	for _, in := range []string{"", "\x04", "\x04\x00\x00\x00", "\x03\x00\x00\x00\x00", "\x04\x05\x00\x00\x01ab", "\x04\x00\x00\xff\x01"} {
		if _, err := DecodeBroadcast([]byte(in)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: error %v, want ErrMalformed", in, err)
		}
	}
}

// Every other encoding byte than 0 is JSON.
func TestEncodingByte(t *testing.T) {
	f, err := DecodePush([]byte("\x03\x00\x00\x01\x01\x00\x07te{}"))
	if err != nil || f.Broadcast.Encoding != JSON {
		t.Fatalf("%+v, %v", f.Broadcast, err)
	}
	f, err = DecodePush([]byte("\x03\x00\x00\x01\x01\x00\x00te\xff\xfe"))
	if err != nil || f.Broadcast.Encoding != Binary {
		t.Fatalf("%+v, %v", f.Broadcast, err)
	}
}

func TestFieldsTooLong(t *testing.T) {
	long := strings.Repeat("x", MaxField+1)
	prefix := []byte("kept")
	frames := map[string]Frame{
		"join_ref": {JoinRef: StringRef(long), Broadcast: &Broadcast{}},
		"ref":      {Ref: StringRef(long), Broadcast: &Broadcast{}},
		"topic":    {Topic: long, Broadcast: &Broadcast{}},
		"event":    {Broadcast: &Broadcast{Event: long}},
		"metadata": {Broadcast: &Broadcast{Meta: []byte(long)}},
	}
	for field, f := range frames {
		b, err := AppendPush(prefix, &f)
		if err == nil || !strings.Contains(err.Error(), field+" has 256 bytes") || string(b) != "kept" {
			t.Errorf("push with a long %s: %q, %v", field, b, err)
		}
		if strings.HasSuffix(field, "ref") {
			continue
		}
		b, err = AppendBroadcast(prefix, f.Topic, f.Broadcast)
		if err == nil || !strings.Contains(err.Error(), field+" has 256 bytes") || string(b) != "kept" {
			t.Errorf("broadcast with a long %s: %q, %v", field, b, err)
		}
	}
	if _, err := AppendPush(nil, &Frame{}); err == nil {
		t.Error("a push without a broadcast was written")
	}
}
