package backbone

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/protocol"
)

func anyEvent(t *rapid.T) *Event {
	text := func(name string, limit int) string {
		return string(rapid.SliceOfN(rapid.Byte(), 0, limit).Draw(t, name))
	}
	return &Event{
		ID: text("id", MaxID), HLC: HLC(rapid.Uint64().Draw(t, "hlc")), Origin: text("origin", MaxName),
		Lane: protocol.Lane(rapid.IntRange(0, protocol.Lanes-1).Draw(t, "lane")), Room: text("room", MaxRoom), Name: text("name", MaxName),
		Path: text("path", MaxPath), From: text("from", MaxName), Form: Form(rapid.IntRange(0, 2).Draw(t, "form")),
		Payload: rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "payload"),
	}
}

func TestEventSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ev := anyEvent(t)
		b := AppendEvent(nil, ev)
		if len(b) > encodedSize(ev) {
			t.Fatalf("%d bytes, announced %d", len(b), encodedSize(ev))
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, ev) {
			t.Fatalf("got %+v, want %+v", got, ev)
		}
	})
}

// TestEventFormatsAreFixed holds the bytes of both formats: logs written by older nodes must stay
// readable.
func TestEventFormatsAreFixed(t *testing.T) {
	const common = "0101" + "0102030405060708" + "08" + "7075626c69633a77" + "02" + "6931" + "04" + "65752d31" + "06" + "757267656e74" + "02" + "646a"
	for path, golden := range map[string]string{"": "01" + common + "7b7d", "dj": "02" + common + "02" + "646a" + "7b7d"} {
		ev := &Event{ID: "i1", HLC: 0x0102030405060708, Origin: "eu-1", Lane: protocol.Urgent, Room: "public:w", Path: path, Name: "urgent", From: "dj", Form: JSON, Payload: []byte(`{}`)}
		if got := hex.EncodeToString(AppendEvent(nil, ev)); got != golden {
			t.Errorf("path %q: got  %s\nwant %s", path, got, golden)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := AppendEvent(nil, &Event{ID: "i", Room: "r", Origin: "n"})
	at := func(i int, v byte) []byte {
		b := bytes.Clone(good)
		b[i] = v
		return b
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "half a header": good[:6], "a newer format": at(0, 3), "an unknown lane": at(1, 3), "an unknown form": at(2, 3),
		"a text that ends too late": at(headerSize, 200), "a text cut off": good[:headerSize+1], "an endless length": append(bytes.Clone(good[:headerSize]), bytes.Repeat([]byte{0xff}, 20)...),
		"an id that is too long": AppendEvent(nil, &Event{ID: strings.Repeat("i", MaxID+1), Room: "r"}),
	} {
		if ev, err := Decode(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, ev, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(AppendEvent(nil, &Event{ID: "i1", HLC: 7, Origin: "eu-1", Lane: protocol.Urgent, Room: "public:w", Name: "urgent", From: "dj", Payload: []byte(`{}`)}))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(AppendEvent(nil, ev))
		if err != nil || !bytes.Equal(again.Payload, ev.Payload) || again.Room != ev.Room || again.ID != ev.ID || again.HLC != ev.HLC || again.From != ev.From {
			t.Fatalf("%+v became %+v, %v", ev, again, err)
		}
	})
}

func TestValidateSaysAllThatIsWrong(t *testing.T) {
	bad := &Event{ID: "a b" + strings.Repeat("x", MaxID), Name: strings.Repeat("n", 300), From: strings.Repeat("f", 300), Lane: 9, Form: 9, Payload: make([]byte, MaxPayload+1)}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"id has", "id contains", "room", "event name", "publisher", "payload", "Lane(9)", "form 9"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not mentioned in: %v", want, err)
		}
	}
	if err := (&Event{ID: "w001/planner-1/u17", Room: "public:w"}).Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkEncode(b *testing.B) {
	ev := &Event{ID: "w001/planner-1/u17", Origin: "eu-west-1", Lane: protocol.Urgent, Room: "public:wedding-1", Name: "urgent", From: "planner-1", Payload: make([]byte, 300)}
	buf := make([]byte, 0, encodedSize(ev))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEvent(buf[:0], ev)
	}
}

func BenchmarkDecode(b *testing.B) {
	buf := AppendEvent(nil, &Event{ID: "w001/planner-1/u17", Origin: "eu-west-1", Lane: protocol.Urgent, Room: "public:wedding-1", Name: "urgent", From: "planner-1", Payload: make([]byte, 300)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
