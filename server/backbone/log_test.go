package backbone

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/protocol"
)

func TestLogTakesAnIDOnce(t *testing.T) {
	b := start(t, testConfig(t, "n1"))
	ev := &Event{ID: "x", Room: "w"}
	if a := store(t, b, ev)[0]; a.Err != nil || a.Before || a.Region != "r-n1" {
		t.Errorf("first: %+v", a)
	}
	for range 2 {
		if a := store(t, b, ev)[0]; a.Err != nil || !a.Before {
			t.Errorf("again: %+v, want held before", a)
		}
	}
	if ids := logIDs(t, b, protocol.Normal); fmt.Sprint(ids) != "[x]" {
		t.Errorf("log: %v", ids)
	}
	if ids := logIDs(t, b, protocol.Urgent); len(ids) != 0 {
		t.Errorf("the other lane: %v", ids)
	}
}

func TestFindAsksTheLogItself(t *testing.T) {
	b := start(t, testConfig(t, "n1"))
	stored := &Event{ID: "a.1/b", Room: "w:1", Lane: protocol.Urgent, Payload: []byte("{}")}
	store(t, b, stored)
	if ev, err := b.Find(t.Context(), protocol.Urgent, "w:1", "a.1/b"); err != nil || ev == nil || ev.HLC != stored.HLC || string(ev.Payload) != "{}" {
		t.Errorf("found %+v, %v", ev, err)
	}
	for _, other := range []Event{{Room: "w:2", ID: "a.1/b", Lane: protocol.Urgent}, {Room: "w:1", ID: "a.1/b"}, {Room: "w:1", ID: "a.1", Lane: protocol.Urgent}} {
		if ev, err := b.Find(t.Context(), other.Lane, other.Room, other.ID); err != nil || ev != nil {
			t.Errorf("%+v: found %+v, %v", other, ev, err)
		}
	}
}

// linked says which link of a node is down.
func linked(b *Backbone) error {
	for _, links := range b.roster.Load().links {
		for _, l := range links {
			if !l.up.Load() {
				return fmt.Errorf("%v to %s is down", l.lane, l.peer.Node)
			}
		}
	}
	return nil
}

func TestGossipGoesToOneOrToAll(t *testing.T) {
	var peers []Peer
	for _, name := range []string{"n1", "n2", "n3"} {
		peers = append(peers, Peer{Node: name, Region: "r-" + name, URL: "nats://" + loopback.Must(t)})
	}
	var mu sync.Mutex
	heard := map[string]string{}
	var nodes []*Backbone
	for _, p := range peers {
		cfg := testConfig(t, p.Node)
		cfg.Listen, cfg.Peers = strings.TrimPrefix(p.URL, "nats://"), peers
		b := start(t, cfg)
		for _, topic := range []string{"load", "presence"} {
			b.OnGossip(topic, func(data []byte) {
				mu.Lock()
				defer mu.Unlock()
				heard[p.Node+" "+topic] += string(data)
			})
		}
		nodes = append(nodes, b)
	}
	eventually(t, "links", func() error { return linked(nodes[0]) })
	nodes[0].Gossip("presence", "n2", []byte("a"))
	nodes[0].Gossip("load", "", []byte("x"))
	nodes[0].Gossip("presence", "", []byte("b"))
	nodes[0].Gossip("nobody listens. *", "", []byte("y"))
	nodes[0].Gossip("presence", "n3", []byte("c"))
	eventually(t, "gossip", func() error {
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(heard); got != "map[n2 load:x n2 presence:ab n3 load:x n3 presence:bc]" {
			return errors.New(got)
		}
		return nil
	})
}

func TestLogIsReadInBatchesToItsEnd(t *testing.T) {
	cfg := testConfig(t, "n1")
	cfg.QueueLen = 5000
	b := start(t, cfg)
	var events []*Event
	for i := range 2*batchLen + 10 {
		events = append(events, &Event{ID: fmt.Sprint(i), Room: fmt.Sprintf("w%d", i%2), Lane: protocol.Urgent})
	}
	big := &Event{ID: "big", Room: "w1", Lane: protocol.Urgent, Payload: make([]byte, 2*batchBytes)}
	store(t, b, append(events, big)...)
	if got := len(logIDs(t, b, protocol.Urgent)); got != len(events)+1 {
		t.Errorf("read %d of %d", got, len(events)+1)
	}
	room, err := b.Since(t.Context(), "w1", 0, 0)
	if err != nil || len(room) != len(events)/2+1 {
		t.Errorf("room: %d, %v", len(room), err)
	}
	room, err = b.Since(t.Context(), "w0", events[10].HLC, 3)
	if err != nil || len(room) != 3 || room[0].ID != "10" || room[2].ID != "14" {
		t.Errorf("room from a clock value on: %v, %v", room, err)
	}
	wrong := errors.New("enough")
	if err := b.Log(t.Context(), protocol.Urgent, func(Stored) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("the caller's error: %v", err)
	}
}

func TestFullLogLosesItsOldest(t *testing.T) {
	cfg := testConfig(t, "n1")
	cfg.MaxBytes = minBytes
	b := start(t, cfg)
	var events []*Event
	for i := range 300 {
		events = append(events, &Event{ID: fmt.Sprint(i), Room: "w", Payload: make([]byte, minBytes/256)})
	}
	full := 0
	for _, a := range store(t, b, events...) {
		if errors.Is(a.Err, errLogFull) {
			full++
		} else if a.Err != nil {
			t.Error(a.Err)
		}
	}
	if full == 0 {
		t.Fatal("the log did not fill up: the test does not test")
	}
	if err := b.own[protocol.Normal].trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := store(t, b, &Event{ID: "new", Room: "w"})[0]; a.Err != nil {
		t.Errorf("after the trim: %v", a.Err)
	}
	if ids := logIDs(t, b, protocol.Normal); ids[0] == "0" || ids[len(ids)-1] != "new" {
		t.Errorf("log begins with %s, ends with %s", ids[0], ids[len(ids)-1])
	}
}

func TestBatchSpoiledByOneEventIsStoredAnyway(t *testing.T) {
	b := start(t, testConfig(t, "n1"))
	o := b.own[protocol.Urgent]
	var events []*Event
	for i := range 20 {
		events = append(events, &Event{ID: fmt.Sprint(i), Room: "w", Lane: protocol.Urgent, HLC: b.Clock().Now()})
	}
	store(t, b, events[7])
	o.known = newKnown() // as if it had come a moment ago
	if _, err := o.storeBatch(t.Context(), events); !errors.Is(err, errNotAtomic) {
		t.Fatalf("the log took a batch with an id that it has: %v", err)
	}
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "n"})
	if err := o.adopt(t.Context(), events, count); err != nil {
		t.Fatal(err)
	}
	if got := len(logIDs(t, b, protocol.Urgent)); got != 20 {
		t.Errorf("log holds %d of 20", got)
	}
	if err := o.adopt(t.Context(), append(events, &Event{ID: "a", Room: "w", Lane: protocol.Urgent}, &Event{ID: "b", Room: "w", Lane: protocol.Urgent}), count); err != nil {
		t.Fatal(err)
	}
	if got := len(logIDs(t, b, protocol.Urgent)); got != 22 {
		t.Errorf("log holds %d of 22", got)
	}
}

func TestAnswersOfALog(t *testing.T) {
	for name, tc := range map[string]struct {
		data string
		want verdict
		err  string
	}{
		"stored":          {`{"stream":"EVT_U","seq":5}`, ackStored, ""},
		"there already":   {`{"error":{"code":503,"err_code":10077,"description":"maximum messages per subject exceeded"},"stream":"EVT_U","seq":0}`, ackHadIt, ""},
		"full":            {`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"EVT_U","seq":0}`, ackRefused, "full"},
		"another error":   {`{"error":{"code":500,"description":"disk on fire"}}`, ackRefused, "disk on fire"},
		"not open yet":    {``, ackNotOpen, ""},
		"nonsense":        {`<html>`, ackRefused, "reading"},
		"nothing therein": {`{}`, ackRefused, "sequence"},
	} {
		got, err := readAck([]byte(tc.data))
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestRepairLeavesTheDyingAlone(t *testing.T) {
	b := start(t, testConfig(t, "n1"))
	r := &repair{cfg: &b.cfg, own: b.own[protocol.Normal]}
	now := time.Now()
	events := []*Event{
		{ID: "young", Room: "w", HLC: At(now)},
		{ID: "old", Room: "w", HLC: At(now.Add(-b.cfg.MaxAge + 3*time.Hour))},
		{ID: "dying", Room: "w", HLC: At(now.Add(-b.cfg.MaxAge + time.Minute))},
	}
	missing, err := r.missing(t.Context(), events)
	if err != nil || len(missing) != 2 || missing[1].ID != "old" {
		t.Errorf("got %v, %v", missing, err)
	}
}

func TestGraceIsForWhatMayStillCome(t *testing.T) {
	cfg := Config{Grace: 300 * time.Millisecond}
	r := &repair{cfg: &cfg, reached: func(node string) bool { return node == "near" }}
	now := time.Now()
	for name, tc := range map[string]struct {
		ev   Event
		want time.Duration
	}{
		"fresh, its origin is reached":     {Event{Origin: "near", HLC: At(now)}, cfg.Grace},
		"fresh, its origin is not reached": {Event{Origin: "far", HLC: At(now)}, 0},
		"long past":                        {Event{Origin: "near", HLC: At(now.Add(-time.Minute))}, 0},
	} {
		if got := r.grace([]*Event{&tc.ev}, now); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
