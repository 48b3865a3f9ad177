package protocol

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is written is read back as it was, in every version and kind.

var (
	texts = rapid.StringOfN(rapid.Rune(), 0, 40, MaxField)
	refs  = rapid.OneOf(
		rapid.Just(Ref("")),
		rapid.Map(texts, StringRef),
		rapid.SampledFrom([]Ref{"0", "17", "-1.5e3", "true", `{"a":[1]}`}),
	)
	ids = rapid.StringMatching(`[A-Za-z0-9._:/-]{1,64}`)
)

// values draws JSON of any shape, written by encoding/json and so known to be right.
func values(t *rapid.T) json.RawMessage {
	var build func(depth int) any
	build = func(depth int) any {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Float64Range(-1e300, 1e300).Draw(t, "number")
		case 3:
			return rapid.Int64().Draw(t, "integer")
		case 4:
			return texts.Draw(t, "string")
		case 5:
			all := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
			for i := range all {
				all[i] = build(depth - 1)
			}
			return all
		}
		all := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			all[texts.Draw(t, "key")] = build(depth - 1)
		}
		return all
	}
	b, err := json.Marshal(build(rapid.IntRange(0, 70).Draw(t, "depth")))
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "indented") {
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", " "); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	return b
}

var payloads = rapid.Custom(values)

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom([]Version{V1, V2}).Draw(t, "version")
		want := Frame{refs.Draw(t, "join_ref"), refs.Draw(t, "ref"), texts.Draw(t, "topic"), texts.Draw(t, "event"), payloads.Draw(t, "payload"), nil}
		push := AppendTextPush(nil, v, &want)
		got, err := DecodeText(v, push)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("%s: %v\n%s", push, err, d)
		}
		if v == V1 {
			want.JoinRef = ""
		}
		got, err = DecodeText(v, AppendText(nil, v, &want))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("%v\n%s", err, d)
		}
	})
}

func TestBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Broadcast{Event: texts.Draw(t, "event"), Encoding: JSON, Payload: payloads.Draw(t, "payload")}
		if rapid.Bool().Draw(t, "binary") {
			b.Encoding, b.Payload = Binary, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		}
		if rapid.Bool().Draw(t, "has meta") {
			b.Meta = metas.Draw(t, "meta").Append(nil)
		}
		want := Frame{Topic: texts.Draw(t, "topic"), Event: EventBroadcast, Broadcast: &b}

		kind4, err := AppendBroadcast(nil, want.Topic, &b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBroadcast(kind4)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("kind 4: %v\n%s", err, d)
		}
		want.JoinRef, want.Ref = textRef([]byte(texts.Draw(t, "join_ref"))), textRef([]byte(texts.Draw(t, "ref")))
		kind3, err := AppendPush(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		got, err = DecodePush(kind3)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("kind 3: %v\n%s", err, d)
		}
	})
}

var metas = rapid.Custom(func(t *rapid.T) Meta {
	m := Meta{
		Lane:     rapid.SampledFrom([]Lane{Normal, Urgent, Bulk}).Draw(t, "lane"),
		HLC:      rapid.Uint64().Draw(t, "hlc"),
		Channel:  rapid.StringN(0, 10, 15).Draw(t, "channel"), // short enough for From to stay whole
		From:     rapid.StringN(0, 6, 8).Draw(t, "from"),
		Replayed: rapid.Bool().Draw(t, "replayed"),
	}
	if rapid.Bool().Draw(t, "has id") {
		m.ID = ids.Draw(t, "id")
	}
	return m
})

func TestMetaRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := metas.Draw(t, "meta")
		if got, err := ParseMeta(want.Append(nil)); err != nil || got != want {
			t.Fatalf("%s: %+v, %v", want.Append(nil), got, err)
		}
	})
}

func TestMetaFitsAFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Meta{
			ID: strings.Repeat("i", MaxID), Lane: Urgent, HLC: 1<<64 - 1, Replayed: true,
			Channel: rapid.StringN(0, 120, 400).Draw(t, "channel"), From: rapid.StringN(0, 120, 400).Draw(t, "from"),
		}
		b := m.Append(nil)
		if len(b) > MaxField {
			t.Fatalf("%d bytes: %s", len(b), b)
		}
		got, err := ParseMeta(b)
		if err != nil || got.Channel != m.Channel && got.Channel != "" || !strings.HasPrefix(m.From, got.From) {
			t.Fatalf("%s: %+v, %v", b, got, err)
		}
		if short := len(appendString(nil, m.Channel)) <= MaxChannel; short != (got.Channel == m.Channel) {
			t.Fatalf("a channel of %d bytes became %q", len(m.Channel), got.Channel)
		}
	})
}

func TestUserBroadcastRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := UserBroadcast{Event: texts.Draw(t, "event"), Payload: payloads.Draw(t, "payload"), HasMeta: rapid.Bool().Draw(t, "has meta")}
		if want.HasMeta {
			want.Meta = metas.Draw(t, "meta")
		}
		b := AppendUserBroadcast(nil, &want)
		got, err := ParseUserBroadcast(b)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("%s: %v\n%s", b, err, d)
		}
		// Setting metadata changes nothing else.
		want.Meta, want.HasMeta = metas.Draw(t, "other meta"), true
		b = AppendWithMeta(nil, b, want.Meta)
		got, err = ParseUserBroadcast(b)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("%s: %v\n%s", b, err, d)
		}
	})
}

func TestJoinRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
		want := Join{AccessToken: texts.Draw(t, "token"), Version: texts.Draw(t, "version")}
		c := &want.Config
		c.Private, c.Broadcast.Ack, c.Broadcast.Self = flag("private"), flag("ack"), flag("self")
		c.Presence.Enabled, c.Presence.Key = flag("presence"), texts.Draw(t, "key")
		c.Wedsync.Receipts = flag("receipts")
		if flag("resume") {
			c.Wedsync.Resume = &Resume{HLC: rapid.Uint64().Draw(t, "hlc"), LastID: texts.Draw(t, "last id"), Returning: rapid.Bool().Draw(t, "returning")}
		}
		if flag("replay") {
			since := rapid.Int64().Draw(t, "since")
			c.Broadcast.Replay = &Replay{Since: &since}
		}
		b := want.Append(nil)
		got, errs := ParseJoin(b)
		if d := cmp.Diff(want, got); d != "" || len(errs) > 0 {
			t.Fatalf("%s: %v\n%s", b, errs, d)
		}
	})
}

// The scanner agrees with encoding/json about what JSON is.
func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	pieces := rapid.SampledFrom(strings.Split(`{ } [ ] , : " "a" "\u00e9" \ 1 -0 0 01 1.5 2e9 2e true false null tru "\x" `+"\x01", " "))
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between")))
		if err := validValue(b); (err == nil) != json.Valid(b) {
			t.Fatalf("%q: %v, encoding/json says %v", b, err, json.Valid(b))
		}
	})
}
