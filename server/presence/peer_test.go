package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A peer's copy by a script of messages: what it shows, and when it knows that it lacks something.
func TestMerge(t *testing.T) {
	type step struct {
		m    message
		want string // +came -left, in order of seq; "?" if the full state is needed
	}
	metas := func(seqs ...uint64) (list []*meta) {
		for _, seq := range seqs {
			list = append(list, &meta{dot: dot{"west", 0, seq}, Entry: entry("k", `{}`)})
		}
		return list
	}
	beat := func(life, seq, count uint64) message {
		return message{kind: heartbeat, incarnation: life, seq: seq, count: count}
	}
	changes := func(life, since, seq uint64, joins []*meta, leaves ...uint64) message {
		return message{kind: delta, incarnation: life, since: since, seq: seq, joins: joins, leaves: leaves}
	}
	part := func(life, seq, index uint64, final bool, joins ...uint64) message {
		return message{kind: full, incarnation: life, seq: seq, index: index, final: final, joins: metas(joins...)}
	}
	silence := message{}          // no message: the node is silent for too long
	over := message{node: "over"} // no message: its goodbye is long ago
	for name, script := range map[string][]step{
		"from the beginning": {
			{beat(5, 0, 0), ""}, {changes(5, 0, 2, metas(1, 2)), "+1 +2"}, {beat(5, 2, 2), ""}, {changes(5, 2, 4, metas(4), 1), "-1 +4"},
		},
		"known already when it is met": {
			{beat(5, 9, 2), "?"}, {part(5, 9, 0, true, 3, 9), "+3 +9"}, {beat(5, 9, 2), ""},
		},
		"a gap": {
			{changes(5, 0, 1, metas(1)), "+1"}, {changes(5, 2, 3, metas(3)), "?"}, {part(5, 3, 0, true, 2, 3), "-1 +2 +3"},
		},
		"the last change is lost": {
			{changes(5, 0, 1, metas(1)), "+1"}, {beat(5, 2, 2), "?"},
		},
		"the count differs": {
			{changes(5, 0, 2, metas(1)), "+1"}, {beat(5, 2, 2), "?"},
		},
		"changes that are known in part": {
			{part(5, 4, 0, true, 3, 4), "+3 +4"}, {changes(5, 1, 6, metas(4, 6), 1, 3), "-3 +6"},
		},
		"the same changes twice": {
			{changes(5, 0, 2, metas(1, 2)), "+1 +2"}, {changes(5, 0, 2, metas(1, 2)), ""},
		},
		"silent and back, nothing new": {
			{changes(5, 0, 2, metas(1, 2)), "+1 +2"}, {silence, "-1 -2"}, {beat(5, 2, 2), "+1 +2"},
		},
		"silent and back with the next change": {
			{changes(5, 0, 2, metas(1, 2)), "+1 +2"}, {silence, "-1 -2"}, {changes(5, 2, 4, metas(4), 1), "+2 +4"},
		},
		"silent and back after missed changes": {
			{changes(5, 0, 2, metas(1, 2)), "+1 +2"}, {silence, "-1 -2"}, {beat(5, 3, 1), "?"}, {part(5, 3, 0, true, 2), "+2"},
		},
		"a new life": {
			{changes(5, 0, 1, metas(1)), "+1"}, {beat(6, 0, 0), "-1"}, {changes(6, 0, 1, metas(1)), "+1"},
		},
		"a new life that has begun already": {
			{changes(5, 0, 1, metas(1)), "+1"}, {changes(6, 4, 5, metas(5)), "-1 ?"}, {part(6, 5, 0, true, 5), "+5"},
		},
		"late words of the former life": {
			{changes(6, 0, 1, metas(1)), "+1"}, {changes(5, 0, 7, metas(7)), ""}, {message{kind: goodbye, incarnation: 5}, ""}, {beat(6, 1, 1), ""},
		},
		"a new life whose clock went back is taken after the silence": {
			{changes(6, 0, 1, metas(1)), "+1"}, {beat(5, 0, 0), ""}, {silence, "-1"}, {changes(5, 0, 1, metas(1)), "+1"},
		},
		"parts": {
			{part(5, 9, 0, false, 1), ""}, {part(5, 9, 1, false, 2), ""}, {part(5, 9, 2, true, 3), "+1 +2 +3"},
		},
		"a lost part": {
			{part(5, 9, 0, false, 1), ""}, {part(5, 9, 2, true, 3), ""}, {part(5, 9, 1, true, 2), ""}, {beat(5, 9, 3), "?"},
		},
		"parts of two answers": {
			{part(5, 9, 0, false, 1), ""}, {part(5, 10, 1, true, 3), ""}, {beat(5, 10, 2), "?"},
		},
		"an answer begun anew": {
			{part(5, 9, 0, false, 1), ""}, {part(5, 10, 0, false, 2), ""}, {part(5, 10, 1, true, 3), "+2 +3"},
		},
		"goodbye": {
			{changes(5, 0, 1, metas(1)), "+1"}, {message{kind: goodbye, incarnation: 5}, ""}, {beat(6, 0, 0), ""}, {over, "-1"},
		},
		"goodbye of two lives": {
			{changes(5, 0, 1, metas(1)), "+1"}, {message{kind: goodbye, incarnation: 5}, ""},
			{changes(6, 0, 2, metas(2)), "+2"}, {message{kind: goodbye, incarnation: 6}, ""}, {over, "-1 -2"},
		},
		"goodbye, and it goes on": {
			{changes(5, 0, 1, metas(1)), "+1"}, {message{kind: goodbye, incarnation: 5}, ""}, {beat(5, 1, 1), "-1 ?"}, {part(5, 1, 0, true, 1), "+1"}, {over, ""},
		},
		"goodbye of one that is not shown": {
			{changes(5, 0, 1, metas(1)), "+1"}, {silence, "-1"}, {message{kind: goodbye, incarnation: 5}, ""}, {over, ""},
		},
		"a question is no statement": {
			{changes(5, 0, 1, metas(1)), "+1"}, {silence, "-1"}, {message{kind: request, incarnation: 5}, ""}, {beat(5, 1, 1), "+1"},
		},
	} {
		p := &peer{name: "west", metas: map[uint64]*meta{}}
		for i, s := range script {
			var got []change
			lacking := false
			switch {
			case s.m.node == over.node:
				got = p.bury()
			case s.m.kind == silence.kind:
				got = p.hide()
			default:
				got, lacking = p.merge(&s.m)
			}
			slices.SortStableFunc(got, func(a, b change) int { return a.compare(b.dot) })
			var words []string
			for _, c := range got {
				sign := map[bool]string{false: "+", true: "-"}[c.left]
				words = append(words, fmt.Sprint(sign, c.seq))
			}
			if lacking {
				words = append(words, "?")
			}
			if text := strings.Join(words, " "); text != s.want {
				t.Errorf("%s, message %d: %q, want %q", name, i+1, text, s.want)
			}
		}
	}
}

// Peers are told the net of a window, in order.
func TestCut(t *testing.T) {
	o := newOwn("east", 1)
	track := func(id uint64, payload string) { o.track(id, entry("k", payload)) }
	cut := func() string {
		var words []string
		for _, m := range o.cut() {
			words = append(words, fmt.Sprintf("(%d,%d]", m.since, m.seq))
			for _, seq := range m.leaves {
				words = append(words, fmt.Sprint("-", seq))
			}
			for _, j := range m.joins {
				words = append(words, fmt.Sprint("+", j.seq))
			}
		}
		return strings.Join(words, " ")
	}
	for i, s := range []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { track(1, `{}`); track(2, `{}`) }, "(0,2] +1 +2"},
		{func() { track(3, `{}`); o.untrack(3) }, "(2,4]"},
		{func() { track(2, `{"a":1}`); track(2, `{"a":2}`); o.untrack(1) }, "(4,9] -1 -2 +8"},
		{func() { track(2, `{"a":2}`) }, ""},
		{func() { o.limit = 1; track(4, `{}`); track(5, `{}`); o.untrack(2) }, "(9,10] -8 +10 (10,12] +11"},
	} {
		s.do()
		if got := cut(); got != s.want {
			t.Errorf("step %d: %s, want %s", i, got, s.want)
		}
	}
}

// A peer that is asked and does not answer is asked again, though not with every message.
func TestRequestsAreSpaced(t *testing.T) {
	r := lone()
	asked := 0
	for at := time.Duration(0); at < time.Second; at += 10 * time.Millisecond {
		r.receive(&message{kind: delta, node: "west", incarnation: 1, since: 5, seq: 6}, t0.Add(at))
		messages, _ := r.outgoing(t0.Add(at), false)
		asked += len(messages)
	}
	if asked != 4 {
		t.Errorf("asked %d times in a second, want 4", asked)
	}
}

// After a long time the memory of a peer that is gone is given back.
func TestForget(t *testing.T) {
	r := lone()
	w := newOwn("west", 1)
	w.track(1, entry("k", `{}`))
	for _, m := range w.cut() {
		r.receive(&m, t0)
	}
	r.silence(t0.Add(time.Minute))
	if len(r.peers["west"].metas) != 1 {
		t.Error("what it had is not kept aside")
	}
	r.silence(t0.Add(forgetAfter + time.Minute))
	if len(r.peers["west"].metas) != 0 {
		t.Error("what it had is kept for ever")
	}
	beat := w.heartbeat()
	r.receive(&beat, t0.Add(time.Hour))
	if messages, _ := r.outgoing(t0.Add(time.Hour), false); len(messages) != 1 || messages[0].kind != request {
		t.Errorf("it is not asked for its state: %v", messages)
	}
}
