package presence

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Goldens: nodes of different versions must understand each other during an upgrade.
var goldens = map[string]struct {
	m   message
	hex string
}{
	"heartbeat": {
		message{kind: heartbeat, node: "east", incarnation: 0x0102, seq: 300, count: 2},
		"01 01 0465617374 0000000000000102 ac02 02",
	},
	"request": {
		message{kind: request, node: "east", incarnation: 0x0102},
		"01 03 0465617374 0000000000000102",
	},
	"goodbye": {
		message{kind: goodbye, node: "east", incarnation: 0x0102},
		"01 05 0465617374 0000000000000102",
	},
	"delta, nothing left to say": {
		message{kind: delta, node: "east", incarnation: 0x0102, since: 7, seq: 9},
		"01 02 0465617374 0000000000000102 07 02 00",
	},
	"delta": {
		message{kind: delta, node: "east", incarnation: 0x0102, since: 7, seq: 11, leaves: []uint64{3, 5}, joins: []*meta{
			{dot{"east", 0x0102, 9}, 5, Entry{"r:1", "p", "k", []byte(`{"a":1}`)}},
			{dot{"east", 0x0102, 10}, 0, Entry{"r:1", "", "", []byte(`{}`)}},
			{dot{"east", 0x0102, 11}, 0, Entry{"r:2", "", "l", []byte(`{}`)}},
		}},
		"01 02 0465617374 0000000000000102 07 04 02 03 02" +
			" 02 04 03 01 01 07 723a31 70 6b 7b2261223a317d" +
			" 01 00 00 00 00 02 7b7d" +
			" 01 00 03 00 01 02 723a32 6c 7b7d",
	},
	"full, the last part": {
		message{kind: full, node: "east", incarnation: 0x0102, seq: 12, index: 1, final: true, joins: []*meta{
			{dot{"east", 0x0102, 4}, 0, Entry{"r", "", "k", []byte(`{}`)}},
		}},
		"01 04 0465617374 0000000000000102 0c 01 01 04 00 01 00 01 02 72 6b 7b7d",
	},
	"full, empty": {
		message{kind: full, node: "east", incarnation: 0x0102, seq: 12, final: true},
		"01 04 0465617374 0000000000000102 0c 00 01",
	},
}

func TestGoldens(t *testing.T) {
	for name, c := range goldens {
		want, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.m.encode(); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, want)
		}
		m, err := decode(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&c.m, m, exact...); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// exact compares messages field by field; an empty list is as good as none.
var exact = []cmp.Option{
	cmp.AllowUnexported(message{}, meta{}, dot{}),
	cmp.FilterValues(func(a, b []uint64) bool { return len(a)+len(b) == 0 }, cmp.Ignore()),
	cmp.FilterValues(func(a, b []*meta) bool { return len(a)+len(b) == 0 }, cmp.Ignore()),
}

func TestDecodeRefuses(t *testing.T) {
	head := "0101" + "0161" + "0000000000000001"
	for name, c := range map[string]struct{ hex, want string }{
		"nothing":              {"", "too few"},
		"another format":       {"0201", "format 2"},
		"another kind":         {"0109" + head[4:], "kind 9"},
		"no node":              {"0101", "cut off"},
		"a long node":          {"0101ff03", "more than 255"},
		"half an incarnation":  {"010101610000", "cut off"},
		"half a heartbeat":     {head + "05", "cut off"},
		"a tail":               {head + "050000", "too many"},
		"a number beyond all":  {head + "ffffffffffffffffff01" + "00", "more than"},
		"leaves cut off":       {"0102" + head[4:] + "0501" + "0301", "more than 2"},
		"leaves that go back":  {"0102" + head[4:] + "0501" + "020300", "ascending"},
		"a leave of later":     {"0102" + head[4:] + "0501" + "0106", "more than 5"},
		"a join of later":      {"0102" + head[4:] + "0501" + "00" + "02000100010272" + "6b" + "7b7d", "more than 1"},
		"a join without room":  {"0102" + head[4:] + "0501" + "00" + "010000000102" + "6b" + "7b7d", "without a room"},
		"a payload of no JSON": {"0102" + head[4:] + "0501" + "00" + "010001000102" + "726b" + "7b7b", "not JSON"},
		"an empty payload":     {"0102" + head[4:] + "0501" + "00" + "010001000100" + "726b", "not JSON"},
		"a payload no object":  {"0102" + head[4:] + "0501" + "00" + "010001000102" + "726b" + "5b5d", "not a JSON object"},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := decode(b); !errors.Is(err, errMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, 60)
		m := message{kind: delta, node: rapid.StringN(1, 10, 60).Draw(t, "node"), incarnation: rapid.Uint64().Draw(t, "incarnation")}
		m.since = rapid.Uint64Range(0, maxSeq/2).Draw(t, "since")
		last := m.since
		for range rapid.IntRange(0, 5).Draw(t, "joins") {
			last += rapid.Uint64Range(1, 1<<20).Draw(t, "step")
			m.joins = append(m.joins, &meta{dot{m.node, m.incarnation, last}, rapid.Uint64Range(0, last-1).Draw(t, "prev"), Entry{
				Room: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "room"), Path: text.Draw(t, "path"), Key: text.Draw(t, "key"),
				Payload: []byte(`{"a":1}`),
			}})
		}
		m.seq = last
		for seq := uint64(1); seq <= m.since && len(m.leaves) < 5; seq += rapid.Uint64Range(1, 1<<30).Draw(t, "leave") {
			m.leaves = append(m.leaves, seq)
		}
		b := m.encode()
		if cap(b) > len(b)+200+20*len(m.joins)+7*len(m.leaves) {
			t.Errorf("%d bytes in a buffer of %d", len(b), cap(b))
		}
		got, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&m, got, exact...); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What another node sends does not crash this one, and what is understood can be shown and sent on.
func FuzzDecode(f *testing.F) {
	for _, c := range goldens {
		f.Add(c.m.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := decode(m.encode())
		if err != nil {
			t.Fatalf("%v in %x", err, m.encode())
		}
		if diff := cmp.Diff(m, again, exact...); diff != "" {
			t.Fatal(diff)
		}
		cfg := Config{Node: "here", Peers: []string{m.node}}.withDefaults()
		r := newReplica(&cfg, 1)
		r.receive(m, t0)
		for _, rm := range r.rooms {
			var state, d any
			parse(t, r.state(rm.name, ""), &state)
			parse(t, rm.untold.cut(rm.name).Payload(""), &d)
		}
	})
}
