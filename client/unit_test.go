package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

func TestChoose(t *testing.T) {
	endpoints := []Endpoint{{Region: "eu"}, {Region: "eu"}, {Region: "us"}, {Region: "ap"}}
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	failed := func(d time.Duration) standing { return standing{failed: ago(d)} }
	shut := func(d time.Duration) standing { return standing{shut: now.Add(d)} }
	good := standing{}
	tests := []struct {
		name      string
		standings [4]standing
		taken     string
		want      int
		fresh     bool
	}{
		{"the most preferred", [4]standing{}, "", 0, true},
		{"its neighbour", [4]standing{failed(time.Second)}, "", 1, true},
		{"another region", [4]standing{failed(1), failed(1)}, "", 2, true},
		{"not the other home's region", [4]standing{}, "eu", 2, true},
		{"forgiven", [4]standing{failed(suspicion), failed(1)}, "", 0, true},
		{"the one that failed longest ago", [4]standing{failed(1), failed(2), failed(4), failed(3)}, "", 2, false},
		{"of those that may be", [4]standing{failed(1), failed(2), failed(4), failed(3)}, "us", 3, false},
		{"in the order of preference", [4]standing{good, good, failed(1), good}, "eu", 3, true},
		{"nowhere", [4]standing{}, "eu us ap", nowhere, false},
		{"not the one that asked for a pause", [4]standing{shut(1)}, "", 1, true},
		{"whose pause is over", [4]standing{shut(0), shut(1)}, "", 0, true},
		{"rather the one that failed than one that asked for a pause", [4]standing{shut(1), shut(1), failed(1), shut(1)}, "", 2, false},
		{"the one whose pause is over first", [4]standing{shut(3), shut(2), shut(4), shut(5)}, "", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			taken := map[string]bool{}
			for _, region := range strings.Fields(tt.taken) {
				taken[region] = true
			}
			got, fresh := choose(endpoints, tt.standings[:], nowhere, taken, now)
			if got != tt.want || fresh != tt.fresh {
				t.Errorf("endpoint %d, fresh %v, want %d, %v", got, fresh, tt.want, tt.fresh)
			}
		})
	}
}

func TestRefuge(t *testing.T) {
	endpoints := []Endpoint{{Region: "eu"}, {Region: "us"}, {Region: "eu"}, {Region: "ap"}}
	now := time.Now()
	failed := standing{failed: now}
	tests := map[string]struct {
		standings [4]standing
		from      int
		taken     string
		want      int
	}{
		"the neighbour": {[4]standing{failed}, 0, "us", 2},
		"though it is less preferred than another region": {[4]standing{2: failed}, 2, "", 0},
		"the next region":      {[4]standing{failed, {}, failed}, 0, "", 1},
		"not the other home's": {[4]standing{failed, {}, failed}, 0, "us", 3},
		"a region of one node": {[4]standing{1: failed}, 1, "", 0},
		"all have failed":      {[4]standing{failed, {failed: now.Add(-time.Second)}, failed, failed}, 0, "", 1},
		"nobody else":          {[4]standing{1: failed}, 1, "eu ap", nowhere},
	}
	for name, tt := range tests {
		taken := map[string]bool{}
		for _, region := range strings.Fields(tt.taken) {
			taken[region] = true
		}
		if got := refuge(endpoints, tt.standings[:], tt.from, taken, now); got != tt.want {
			t.Errorf("%s: endpoint %d, want %d", name, got, tt.want)
		}
	}
}

func TestBetter(t *testing.T) {
	endpoints := []Endpoint{{Region: "eu"}, {Region: "us"}, {Region: "eu"}, {Region: "ap"}}
	tests := []struct {
		current int
		taken   string
		want    int
	}{{0, "", nowhere}, {2, "", nowhere}, {1, "", 0}, {3, "", 0}, {3, "eu", 1}, {1, "eu", nowhere}}
	for _, tt := range tests {
		if got := better(endpoints, tt.current, map[string]bool{tt.taken: true}); got != tt.want {
			t.Errorf("better than %d with %q taken: %d, want %d", tt.current, tt.taken, got, tt.want)
		}
	}
	for i, want := range []int{0, 1, 0, 2} {
		if got := rank(endpoints, i); got != want {
			t.Errorf("rank of %d is %d, want %d", i, got, want)
		}
	}
}

func TestDiagnose(t *testing.T) {
	const interval, limit = 600 * time.Millisecond, time.Second
	const ms = time.Millisecond
	tests := []struct {
		quiet, unanswered time.Duration
		act               action
		next              time.Duration
	}{
		{0, -1, wait, interval},
		{599 * ms, -1, wait, ms},
		{interval, -1, ask, limit - interval},
		{999 * ms, 399 * ms, wait, ms},
		{limit, 400 * ms, giveUp, 0},
		{time.Hour, time.Hour, giveUp, 0},
		// The client was asleep: the peer gets its time to answer all the same.
		{time.Hour, -1, ask, limit - interval},
		{time.Hour, 100 * ms, wait, 300 * ms},
	}
	for _, tt := range tests {
		if act, next := diagnose(tt.quiet, tt.unanswered, interval, limit); act != tt.act || next != tt.next {
			t.Errorf("quiet for %v, asked %v ago: %d, %v", tt.quiet, tt.unanswered, act, next)
		}
	}
}

func TestMemory(t *testing.T) {
	var m memory
	now := time.Now()
	if before, known := m.brought("m1", 1, now); known || before.own {
		t.Error("known before it came")
	}
	if before, known := m.brought("m1", 2, now); !known || before.by(2) || !before.by(1) {
		t.Error("forgotten at once")
	}
	if before, _ := m.brought("m1", 1, now); !before.by(1) || !before.by(2) {
		t.Error("forgot who brought it")
	}
	m.keepOwn("mine", now)
	if before, known := m.brought("mine", 1, now); !known || !before.own || before.by(1) {
		t.Error("forgot whose it is")
	}
	// Remembered for memoryAge at least, and forgotten some time after.
	m.brought("new", 1, now.Add(memoryAge))
	if _, known := m.find(fingerprintOf("m1")); !known {
		t.Error("forgotten too early")
	}
	m.brought("newer", 1, now.Add(2*memoryAge))
	if _, known := m.find(fingerprintOf("m1")); known {
		t.Error("never forgotten")
	}
	// At least memoryIDs are kept, and at most twice as many.
	for i := range 3 * memoryIDs {
		m.brought(fmt.Sprint("x", i), 1, now.Add(2*memoryAge))
		if i >= memoryIDs && i%50_000 == 0 {
			if _, known := m.find(fingerprintOf(fmt.Sprint("x", i-memoryIDs))); !known {
				t.Errorf("forgotten after %d newer ones", memoryIDs)
			}
		}
	}
	if n := len(m.young) + len(m.old); n > 2*memoryIDs {
		t.Errorf("%d ids are kept", n)
	}
}

func TestValidateSaysAllAtOnce(t *testing.T) {
	bad := Config{
		Endpoints: []Endpoint{{"", "http://x"}, {"", "ws://"}}, Homes: 3, Key: strings.Repeat("k", 65),
		Version: 9, DialTimeout: -1, ReturnAfter: -1, HeartbeatInterval: 2 * time.Second,
	}
	_, err := New(bad)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Endpoints[0] has no Region", `URL "http://x"`, `URL "ws://"`, "Homes is 3", "Topic is empty",
		"Key has 65 bytes", "Version(9)", "DialTimeout", "ReturnAfter", "HeartbeatInterval 2s must be shorter"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q in:\n%v", want, err)
		}
	}
	for want, cfg := range map[string]Config{
		"Endpoints is empty": {Topic: "t"},
		"has one region":     {Topic: "t", Homes: 2, Endpoints: []Endpoint{{"a", "ws://x"}, {"a", "ws://y"}}},
		"Topic has 250":      {Topic: strings.Repeat("t", 250), Endpoints: []Endpoint{{"a", "ws://x"}}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if err := (Config{Topic: "t", Endpoints: []Endpoint{{"a", "wss://x/realtime/v1"}}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for p, want := range map[Phase]string{Dialing: "dialing", Opened: "opened", Joined: "joined", CaughtUp: "caught-up", Left: "left", Closed: "closed", 9: "Phase(9)"} {
		if p.String() != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	cfg := Config{Topic: testTopic, Endpoints: []Endpoint{{"a", "ws://x"}}}
	c, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	s := c.newSession(c.homes[0], 0, nil)
	payload := []byte(`{"slot":"first-dance","eta":95}`)
	frame := func(i int) []byte {
		meta := protocol.Meta{ID: fmt.Sprintf("w001/planner-1/u%d", i), Lane: protocol.Urgent, HLC: uint64(i), From: "planner-1"}
		f, err := protocol.AppendBroadcast(nil, c.topic, &protocol.Broadcast{Event: "timeline", Encoding: protocol.JSON, Meta: meta.Append(nil), Payload: payload})
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	all := make([][]byte, 4096)
	for i := range all {
		all[i] = frame(i)
	}
	now := time.Now()
	const binary = 2
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if i%len(all) == 0 {
				c.memory = memory{}
			}
			s.handle(binary, all[i%len(all)], now)
			i++
		}
	})
	b.Run("duplicate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.handle(binary, all[0], now)
		}
	})
}
