package presence

import (
	"strings"
	"testing"
	"time"
)

var t0 = time.Unix(1_800_000_000, 0)

func lone() *replica {
	cfg := Config{Node: "east", Peers: []string{"west"}}.withDefaults()
	return newReplica(&cfg, 1)
}

// told returns what the members at path are told after everything that is under way, "" for nothing.
func (r *replica) told(path string) string {
	var all []string
	for at := t0; !at.IsZero(); {
		var diffs []*Diff
		diffs, at = r.diffs(at)
		for _, d := range diffs {
			all = append(all, string(d.Payload(path)))
		}
	}
	return strings.Join(all, " ")
}

// The references of the first changes of node "east" in its incarnation 1.
const (
	ref1 = "xlLB0WY1AAAAAAAB"
	ref2 = "xlLB0WY1AAAAAAAC"
	ref3 = "xlLB0WY1AAAAAAAD"
)

func TestPayloads(t *testing.T) {
	track := func(r *replica, id uint64, path, key, payload string) {
		r.track(id, Entry{Room: wedding, Path: path, Key: key, Payload: []byte(payload)}, t0)
	}
	const here, away = `{"van":"here"}`, `{"van":"away"}`
	for name, c := range map[string]struct {
		before, then func(*replica)
		diff, state  string
	}{
		"track": {
			then:  func(r *replica) { track(r, 1, "", "florist-7", away) },
			diff:  `{"joins":{"florist-7":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}},"leaves":{}}`,
			state: `{"florist-7":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}}`,
		},
		"an empty payload": {
			then:  func(r *replica) { track(r, 1, "", "k", `{}`) },
			diff:  `{"joins":{"k":{"metas":[{"phx_ref":"` + ref1 + `"}]}},"leaves":{}}`,
			state: `{"k":{"metas":[{"phx_ref":"` + ref1 + `"}]}}`,
		},
		"a key to quote": {
			then:  func(r *replica) { track(r, 1, "", "a\"\\\n\x7fü\xff", `{}`) },
			diff:  `{"joins":{"a\"\\\n` + "\x7f" + `ü\ufffd":{"metas":[{"phx_ref":"` + ref1 + `"}]}},"leaves":{}}`,
			state: `{"a\"\\\n` + "\x7f" + `ü\ufffd":{"metas":[{"phx_ref":"` + ref1 + `"}]}}`,
		},
		"update": {
			before: func(r *replica) { track(r, 1, "", "k", away) },
			then:   func(r *replica) { track(r, 1, "", "k", here) },
			diff: `{"joins":{"k":{"metas":[{"van":"here","phx_ref":"` + ref3 + `","phx_ref_prev":"` + ref1 + `"}]}},` +
				`"leaves":{"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}}}`,
			state: `{"k":{"metas":[{"van":"here","phx_ref":"` + ref3 + `","phx_ref_prev":"` + ref1 + `"}]}}`,
		},
		"the same again": {
			before: func(r *replica) { track(r, 1, "", "k", away) },
			then:   func(r *replica) { track(r, 1, "", "k", away) },
			diff:   "",
			state:  `{"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}}`,
		},
		"another key of the same channel": {
			before: func(r *replica) { track(r, 1, "", "k", away) },
			then:   func(r *replica) { track(r, 1, "", "l", away) },
			diff: `{"joins":{"l":{"metas":[{"van":"away","phx_ref":"` + ref3 + `"}]}},` +
				`"leaves":{"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}}}`,
			state: `{"l":{"metas":[{"van":"away","phx_ref":"` + ref3 + `"}]}}`,
		},
		"untrack": {
			before: func(r *replica) { track(r, 1, "", "k", away) },
			then:   func(r *replica) { r.untrack(1, t0) },
			diff:   `{"joins":{},"leaves":{"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}}}`,
			state:  `{}`,
		},
		"two channels with one key, of which one leaves": {
			before: func(r *replica) { track(r, 1, "", "k", away); track(r, 2, "", "k", away); r.untrack(1, t0) },
			diff:   "",
			state:  `{"k":{"metas":[{"van":"away","phx_ref":"` + ref2 + `"}]}}`,
		},
		"two channels with one key, and another": {
			then: func(r *replica) { track(r, 1, "", "k", away); track(r, 2, "", "a", `{}`); track(r, 3, "", "k", here) },
			diff: `{"joins":{"a":{"metas":[{"phx_ref":"` + ref2 + `"}]},"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"},` +
				`{"van":"here","phx_ref":"` + ref3 + `"}]}},"leaves":{}}`,
			state: `{"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"},{"van":"here","phx_ref":"` + ref3 + `"}]},` +
				`"a":{"metas":[{"phx_ref":"` + ref2 + `"}]}}`,
		},
		"came and left in one window: told as left, for a state may have shown it": {
			then:  func(r *replica) { track(r, 1, "", "k", away); r.untrack(1, t0) },
			diff:  `{"joins":{},"leaves":{"k":{"metas":[{"van":"away","phx_ref":"` + ref1 + `"}]}}}`,
			state: `{}`,
		},
	} {
		r := lone()
		if c.before != nil {
			c.before(r)
			r.told("")
		}
		if c.then != nil {
			c.then(r)
		}
		if got := r.told(""); got != c.diff {
			t.Errorf("%s: diff\n got %s\nwant %s", name, got, c.diff)
		}
		if got := string(r.state(wedding, "")); got != c.state {
			t.Errorf("%s: state\n got %s\nwant %s", name, got, c.state)
		}
	}
}

// A node that goes and comes back within one window: the join alone, or clients would lose it.
func TestLeftAndCameBackIsTold(t *testing.T) {
	r := lone()
	w := newOwn("west", 1)
	w.track(1, entry("k", `{}`))
	for _, m := range w.cut() {
		r.receive(&m, t0)
	}
	r.told("")
	r.silence(t0.Add(time.Minute))
	beat := w.heartbeat()
	r.receive(&beat, t0.Add(time.Minute))
	diffs, _ := r.diffs(t0.Add(time.Minute))
	if len(diffs) != 1 || len(diffs[0].joins) != 1 || len(diffs[0].leaves) != 0 {
		t.Errorf("told %+v", diffs)
	}
}

func TestPaths(t *testing.T) {
	r := lone()
	for i, path := range []string{"", "vendor", "vendor:florist", "vendor:florist:roses", "vendors", "timeline"} {
		r.track(uint64(i), Entry{Room: wedding, Path: path, Key: "at " + path, Payload: []byte(`{}`)}, t0)
	}
	diffs, _ := r.diffs(t0)
	for path, want := range map[string][]string{
		"":                     {"at ", "at vendor", "at vendor:florist", "at vendor:florist:roses", "at vendors", "at timeline"},
		"vendor":               {"at vendor", "at vendor:florist", "at vendor:florist:roses"},
		"vendor:florist":       {"at vendor:florist", "at vendor:florist:roses"},
		"vendor:florist:roses": {"at vendor:florist:roses"},
		"vendors":              {"at vendors"},
		"v":                    nil,
		"guests":               nil,
	} {
		var state list
		parse(t, r.state(wedding, path), &state)
		if len(state) != len(want) {
			t.Errorf("at %q the state has %v, want %v", path, state, want)
		}
		payload := diffs[0].Payload(path)
		if payload == nil {
			if len(want) > 0 {
				t.Errorf("at %q no diff, want %v", path, want)
			}
			continue
		}
		var d told
		parse(t, payload, &d)
		if len(d.Joins) != len(want) || len(d.Leaves) != 0 {
			t.Errorf("at %q the diff has %s, want joins of %v", path, payload, want)
		}
		for _, key := range want {
			if len(d.Joins[key].Metas) != 1 || len(state[key].Metas) != 1 {
				t.Errorf("at %q %s is missing", path, key)
			}
		}
	}
}

// What a client puts under the names of the references does not win over them.
func TestReferencesWin(t *testing.T) {
	r := lone()
	r.track(1, entry("k", `{"phx_ref":"mine"}`), t0)
	var state list
	parse(t, r.state(wedding, ""), &state)
	if got := state["k"].Metas[0]["phx_ref"]; got != ref1 {
		t.Errorf("phx_ref %q, want %q", got, ref1)
	}
}

func TestReferencesDiffer(t *testing.T) {
	seen := map[string]dot{}
	for _, d := range []dot{{"a", 1, 1}, {"a", 1, 2}, {"a", 2, 1}, {"b", 1, 1}, {"ab", 1, 1}, {"a", 1, maxSeq}, {"a", 1 << 60, 1}} {
		ref := string(d.appendRef(nil))
		if other, ok := seen[ref]; ok || len(ref) != 16 {
			t.Errorf("%v has reference %s, as %v", d, ref, other)
		}
		seen[ref] = d
	}
}

func TestWindow(t *testing.T) {
	const base = 20 * time.Millisecond
	for n, want := range map[int]time.Duration{0: base, 80: 2 * base, 400: 6 * base, 1000: maxWindow, 100_000: maxWindow} {
		if got := window(base, n); got != want {
			t.Errorf("%d metas: %v, want %v", n, got, want)
		}
	}
	if got := window(time.Second, 0); got != time.Second {
		t.Errorf("a longer base becomes %v", got)
	}
}

func TestEntryValidate(t *testing.T) {
	long := strings.Repeat("x", 2000)
	good := Entry{Room: "r", Path: "p", Key: "k", Payload: []byte(` {"a":[1, "\u00fc"]} `)}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := Entry{Path: long, Key: long, Payload: []byte(`[1]`)}
	err := bad.Validate()
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{"room has 0", "path in the room has 2000", "key has 2000", "not a JSON object"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	large := Entry{Room: "r", Payload: make([]byte, MaxPayload+1)}
	if err := large.Validate(); err == nil || !strings.Contains(err.Error(), "payload has") {
		t.Errorf("a large payload: %v", err)
	}
}

// A browser closes the socket on what is not UTF-8.
func TestPayloadIsUTF8(t *testing.T) {
	got, err := compact([]byte("{\"a\":\"\xff\"}"))
	if err != nil || string(got) != "{\"a\":\"\ufffd\"}" {
		t.Errorf("%q, %v", got, err)
	}
}
