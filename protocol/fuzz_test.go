package protocol

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// Decoders take bytes from strangers: whatever comes, they answer with an error or with something
// that can be written and read again. Run one with: go test -fuzz=FuzzDecodeText ./protocol

func seedGolden(f *testing.F, pattern string) {
	files, err := filepath.Glob(filepath.Join("testdata/golden", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if strings.HasSuffix(name, ".hex") {
			if b, err = hex.DecodeString(strings.Join(strings.Fields(string(b)), "")); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b)
	}
}

func FuzzDecodeText(f *testing.F) {
	seedGolden(f, "*.json")
	f.Add([]byte(strings.Repeat("[", 200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []Version{V1, V2} {
			got, err := DecodeText(v, b)
			if err != nil {
				continue
			}
			if !json.Valid(b) || !json.Valid(got.Payload) || !utf8.Valid(b) {
				t.Fatalf("accepted %q", b)
			}
			again, err := DecodeText(v, AppendTextPush(nil, v, &got))
			if d := cmp.Diff(got, again); d != "" || err != nil {
				t.Fatalf("%q: %v\n%s", b, err, d)
			}
			_, _ = ParseUserBroadcast(got.Payload)
			_, _ = ParseReply(got.Payload)
		}
	})
}

func FuzzDecodePush(f *testing.F) {
	seedGolden(f, "*.hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodePush(b)
		if err != nil {
			return
		}
		if got.Broadcast.Encoding == JSON && !json.Valid(got.Broadcast.Payload) {
			t.Fatalf("accepted payload %q", got.Broadcast.Payload)
		}
		encoded, err := AppendPush(nil, &got)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		again, err := DecodePush(encoded)
		if d := cmp.Diff(got, again); d != "" || err != nil {
			t.Fatalf("%x: %v\n%s", b, err, d)
		}
	})
}

func FuzzDecodeBroadcast(f *testing.F) {
	seedGolden(f, "*.hex")
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeBroadcast(b)
		if err != nil {
			return
		}
		encoded, err := AppendBroadcast(nil, got.Topic, got.Broadcast)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		again, err := DecodeBroadcast(encoded)
		if d := cmp.Diff(got, again); d != "" || err != nil {
			t.Fatalf("%x: %v\n%s", b, err, d)
		}
		_, _ = ParseMeta(got.Broadcast.Meta)
	})
}

func FuzzParseJoin(f *testing.F) {
	f.Add([]byte(`{"config":{"private":"TRUE","broadcast":{"ack":true,"replay":{"since":1}},"presence":{"key":7},"postgres_changes":[{"event":"*"}],"wedsync":{"resume":{"hlc":"7"}}},"user_token":"u"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := ParseJoin(b)
		if !json.Valid(JoinResponse(got.Config.PostgresChanges)) {
			t.Fatalf("response to %q is %s", b, JoinResponse(got.Config.PostgresChanges))
		}
		encoded := got.Append(nil)
		again, errs := ParseJoin(encoded)
		if d := cmp.Diff(got, again); d != "" || len(errs) > 0 {
			t.Fatalf("%q became %s: %v\n%s", b, encoded, errs, d)
		}
	})
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte(`{"id":"m1","lane":"urgent","hlc":"7","from":"florist-7","replayed":true,"persist":{"ttl":60}}`))
	f.Add([]byte(`{"id":"m1","channel":"wedding:42:vendor:florist","from":"planner"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseMeta(b)
		if err != nil {
			return
		}
		encoded := got.Append(nil)
		if len(encoded) > MaxField {
			t.Fatalf("%d bytes: %s", len(encoded), encoded)
		}
		again, err := ParseMeta(encoded)
		got.From, again.From = "", "" // long names are cut
		if again.Channel == "" {
			got.Channel = "" // or left out
		}
		if err != nil || got != again {
			t.Fatalf("%q became %s: %+v, %v", b, encoded, again, err)
		}
	})
}

func FuzzParseUserBroadcast(f *testing.F) {
	f.Add([]byte(`{"type":"broadcast","event":"e","payload":{"a":[1]},"meta":{"id":"m1","x":2}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseUserBroadcast(b)
		if err != nil {
			return
		}
		if json.Valid(b) {
			out := AppendWithMeta(nil, b, Meta{ID: "m2"})
			if !json.Valid(out) {
				t.Fatalf("%q with meta became %s", b, out)
			}
			again, err := ParseUserBroadcast(out)
			if err != nil || again.Meta.ID != "m2" || again.Event != got.Event {
				t.Fatalf("%q with meta became %s: %v", b, out, err)
			}
		}
	})
}

func FuzzParseReceipts(f *testing.F) {
	f.Add([]byte(`{"ids":["m1"],"id":"m1","by":"florist-7","region":"eu-west"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ids, err := ParseConfirm(b); err == nil && len(ids) > MaxConfirm {
			t.Fatalf("%d ids", len(ids))
		}
		if r, err := ParseReceipt(b); err == nil && !ValidID(r.ID) {
			t.Fatalf("accepted %q", r.ID)
		}
		_, _ = ParseAccessToken(b)
		_, _ = ParseSystem(b)
	})
}
