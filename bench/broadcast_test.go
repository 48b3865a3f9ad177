package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

func TestPlanRooms(t *testing.T) {
	plans := planRooms(4, 10, 2, 2*time.Second)
	normal, urgent := 0, 0
	for i, p := range plans {
		if first := p[protocol.Normal][0]; first != time.Duration(i)*25*time.Millisecond {
			t.Errorf("room %d begins at %v: rooms are to be spread over a period", i, first)
		}
		normal += len(p[protocol.Normal])
		urgent += len(p[protocol.Urgent])
		sends := p.sends()
		if !slices.IsSortedFunc(sends, func(a, b send) int { return int(a.due - b.due) }) || len(sends) != p.count(0) {
			t.Errorf("room %d sends %v", i, sends)
		}
	}
	if normal != 4*20 || urgent != 4 {
		t.Errorf("%d normal and %d urgent messages, want 80 and 4", normal, urgent)
	}
	if got := plans[0].count(time.Second); got != 10 {
		t.Errorf("%d messages in the second second, want 10", got)
	}
	if len(planRooms(1, 50, 0, time.Second)[0][protocol.Urgent]) != 0 {
		t.Error("urgent messages that nobody asked for")
	}
}

func TestMark(t *testing.T) {
	for _, s := range []send{{lane: protocol.Normal, seq: 0}, {lane: protocol.Urgent, seq: 1234567}} {
		frame, err := protocol.DecodeText(protocol.V2, supabase{}.appendPublish(nil, roomName(7), s.message()))
		if err != nil {
			t.Fatal(err)
		}
		u, err := protocol.ParseUserBroadcast(frame.Payload)
		if err != nil || protocol.LaneOf(u.Event, u.Meta) != s.lane {
			t.Errorf("%+v became %+v, %v", s, u, err)
		}
		found := 0
		for lane, seq := range marks(frame.Payload) {
			if found++; lane != int(s.lane) || seq != s.seq {
				t.Errorf("%+v was read as lane %d, %d", s, lane, seq)
			}
		}
		if found != 1 {
			t.Errorf("%+v has %d marks", s, found)
		}
	}
	for _, bad := range []string{"", "x", `"mark":[`, `"mark":[2,1]`, `"mark":[0,]`, `"mark":[0,1`, `"mark":[0,x]`, `"mark":[0,9999999999]`} {
		for lane, seq := range marks([]byte(bad)) {
			t.Errorf("%q was read as %d, %d", bad, lane, seq)
		}
	}
	var all []int
	for lane, seq := range marks([]byte(`{"mark":[0,7]}` + "\n" + `{"mark":[x]}` + "\n" + `{"mark":[1,8]}`)) {
		all = append(all, lane, seq)
	}
	if !slices.Equal(all, []int{0, 7, 1, 8}) {
		t.Errorf("a frame of several messages was read as %v", all)
	}
}

// The checks of a round fire: what is lost, doubled or late makes it INVALID.
func TestJudge(t *testing.T) {
	load := broadcastLoad{rooms: 1, members: 2, background: 10, length: time.Second}
	for name, c := range map[string]struct {
		spoil func(members []*member, p *publisher)
		want  string
	}{
		"all is well": {func([]*member, *publisher) {}, ""},
		"lost":        {func(m []*member, _ *publisher) { m[1].after[0][3] = 0 }, "1 of 20 deliveries are missing"},
		"twice":       {func(m []*member, _ *publisher) { m[0].note(0, 3, time.Second) }, "1 deliveries came twice"},
		"never sent":  {func(m []*member, _ *publisher) { m[0].note(0, 10, time.Second) }, "1 deliveries came twice, or were never sent"},
		"late sender": {func(_ []*member, p *publisher) { p.lags = append(p.lags, 30*time.Millisecond) }, "the generator itself was 3"},
		"a bit late":  {func(_ []*member, p *publisher) { p.lags = append(p.lags, 9*time.Millisecond) }, ""},
	} {
		plans := planRooms(1, 10, 0, time.Second)
		members := []*member{newMember(nil, &plans[0], time.Time{}), newMember(nil, &plans[0], time.Time{})}
		for _, m := range members {
			for seq, due := range plans[0][protocol.Normal] {
				m.note(0, seq, due+2*time.Millisecond)
			}
		}
		p := &publisher{}
		c.spoil(members, p)
		var r Round
		load.judge(&r, members, []*publisher{p}, plans, 40*time.Millisecond)
		got := strings.Join(r.Invalid, "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: INVALID %q, want %q", name, got, c.want)
		}
		if f, _ := r.figure("CPU per million deliveries"); f.Value != 2000 {
			t.Errorf("%s: CPU per million deliveries %v, want 2000", name, f.Value)
		}
		if f, _ := r.figure("all p50"); f.Value < 1.99 || f.Value > 2.01 {
			t.Errorf("%s: p50 %v, want 2", name, f.Value)
		}
	}
}

func TestParseTarget(t *testing.T) {
	got, err := ParseTarget("other=ws://127.0.0.1:4000/socket?apikey=k,pid=1")
	if err != nil || got.Name != "other" || got.PID != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = ParseTarget("other=ws://127.0.0.1:4000/,pid=1,dialect=socketio"); err != nil || got.Dialect != (socketIO{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for spec, want := range map[string]string{
		"ws://127.0.0.1:1/":                       "a name",
		"a=ws://127.0.0.1:1/socket":               "process",
		"a=http://127.0.0.1:1/,pid=1":             "ws://",
		"a=ws://192.0.2.1:1/,pid=1":               "127.0.0.0/8",
		"a=ws://127.0.0.1:1/,pid=x":               "positive",
		"a=ws://127.0.0.1:1/,pid=999999999":       "no such process",
		"a=ws://127.0.0.1:1/,pid=1,dialect=stomp": "choose from centrifugo, socketio, supabase",
		"a=ws://realtime.example.com:443/,pid=1":  "127.0.0.0/8",
	} {
		if _, err := ParseTarget(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}
