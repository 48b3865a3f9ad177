package room

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/socket"
	"github.com/wedsync/wedsync/server/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Sink that keeps what it is sent.
type recorder struct {
	frames  []socket.Frame
	lanes   []protocol.Lane
	sources []socket.Source // of those that were offered
}

func (r *recorder) Send(lane protocol.Lane, f socket.Frame) bool {
	r.frames = append(r.frames, f)
	r.lanes = append(r.lanes, lane)
	return true
}

func (r *recorder) Offer(f socket.Frame, from socket.Source) bool {
	r.sources = append(r.sources, from)
	return r.Send(protocol.Bulk, f)
}

func newHub(t testing.TB, flaw Flaw) *Hub {
	t.Helper()
	m, err := telemetry.New(prometheus.NewRegistry(), "n", "r")
	if err != nil {
		t.Fatal(err)
	}
	return NewHub(m, flaw)
}

func join(h *Hub, name string, v protocol.Version, key string) (*Member, *recorder) {
	r := &recorder{}
	m := &Member{Sink: r, Version: v, Key: key}
	h.Join(name, m, func() {})
	return m, r
}

const hlc = 0x0190_0000_0000_0001

func textEvent(payload string) *backbone.Event {
	return &backbone.Event{ID: "m1", HLC: hlc, Room: "public:wed:42", Name: "timeline", From: "dj-1",
		Form: backbone.Text, Payload: []byte(payload)}
}

// The interoperation table of the protocol, with our metadata riding along. In the kind 4 frames
// the three length bytes after 04 are topic, event and metadata.
func TestForms(t *testing.T) {
	const meta = `{"id":"m1","hlc":"112589990684262401","from":"dj-1"}`
	const topic = "realtime:wed:42"
	event := func(form backbone.Form, payload string) *backbone.Event {
		ev := textEvent(payload)
		ev.Form = form
		return ev
	}
	kind4 := func(encoding byte, payload string) string {
		return string([]byte{4, byte(len(topic)), byte(len("timeline")), byte(len(meta)), encoding}) + topic + "timeline" + meta + payload
	}
	user := `{"event":"timeline","payload":{"a":1},"type":"broadcast","meta":` + meta + `}`
	for name, c := range map[string]struct {
		ev     *backbone.Event
		v1, v2 string // "" for nothing
	}{
		"binary frame, JSON": {event(backbone.JSON, `{"a":1}`),
			`{"topic":"realtime:wed:42","event":"broadcast","payload":` + user + `,"ref":null}`,
			kind4(1, `{"a":1}`)},
		"binary frame, bytes": {event(backbone.Binary, "\xff\xd8"), "", kind4(0, "\xff\xd8")},
		"text": {event(backbone.Text, `{ "type":"broadcast", "x":[1, 2] }`),
			`{"topic":"realtime:wed:42","event":"broadcast","payload":{"type":"broadcast","x":[1, 2],"meta":` + meta + `},"ref":null}`,
			`[null,null,"realtime:wed:42","broadcast",{"type":"broadcast","x":[1, 2],"meta":` + meta + `}]`},
		"text, empty": {event(backbone.Text, `{}`),
			`{"topic":"realtime:wed:42","event":"broadcast","payload":{"meta":` + meta + `},"ref":null}`,
			`[null,null,"realtime:wed:42","broadcast",{"meta":` + meta + `}]`},
		"text, no object": {event(backbone.Text, `[1]`),
			`{"topic":"realtime:wed:42","event":"broadcast","payload":[1],"ref":null}`,
			`[null,null,"realtime:wed:42","broadcast",[1]]`},
	} {
		for v, want := range map[protocol.Version]string{protocol.V1: c.v1, protocol.V2: c.v2} {
			f, ok := Live(topic, "", v, c.ev)
			if !ok {
				if want != "" {
					t.Errorf("%s to version %v: nothing, want %q", name, v, want)
				}
				continue
			}
			if got := string(f.Payload()); got != want {
				t.Errorf("%s to version %v:\n got %q\nwant %q", name, v, got, want)
			}
			if f.IsText() != (want[0] != 4) {
				t.Errorf("%s to version %v: text %v", name, v, f.IsText())
			}
		}
	}
}

func TestEventsWithoutIDCarryNoMeta(t *testing.T) {
	ev := textEvent(`{"x":1}`)
	ev.ID = ""
	f, _ := Live("realtime:r", "", protocol.V2, ev)
	if got, want := string(f.Payload()), `[null,null,"realtime:r","broadcast",{"x":1}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ev.Form, ev.Name = backbone.JSON, "e"
	f, _ = Live("realtime:r", "", protocol.V2, ev)
	if got, want := string(f.Payload()), "\x04\x0a\x01\x00\x01realtime:re{\"x\":1}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A name that does not fit a binary frame goes as text instead of getting lost.
func TestLongNamesGoAsText(t *testing.T) {
	ev := textEvent(`{"a":1}`)
	ev.Form = backbone.JSON
	topic := protocol.WireTopic(strings.Repeat("x", 300))
	f, ok := Live(topic, "", protocol.V2, ev)
	if !ok || !f.IsText() || !strings.Contains(string(f.Payload()), `"payload":{"a":1}`) {
		t.Errorf("ok %v: %.80q", ok, f.Payload())
	}
}

func TestReplayedForms(t *testing.T) {
	ev := textEvent(`{"a":1}`)
	ev.Form, ev.Lane = backbone.JSON, protocol.Urgent
	h := newHub(t, Flaw{})
	m, r := join(h, "public:wed:42", protocol.V2, "florist-7")
	h.Replay(m, `"5"`, ev)
	if ev.Replayed {
		t.Error("the shared event was changed")
	}
	want := `["5",null,"realtime:wed:42","broadcast",{"event":"timeline","payload":{"a":1},"type":"broadcast",` +
		`"meta":{"id":"m1","lane":"urgent","hlc":"112589990684262401","from":"dj-1","replayed":true}}]`
	if got := string(r.frames[0].Payload()); got != want || r.lanes[0] != protocol.Urgent {
		t.Errorf("lane %v\n got %s\nwant %s", r.lanes[0], got, want)
	}
	ev.Form = backbone.Binary
	h.Replay(m, `"5"`, ev)
	if len(r.frames) != 2 || r.frames[1].IsText() {
		t.Error("bytes are replayed as a kind 4 frame")
	}
	old, oldFrames := join(h, "public:wed:42", protocol.V1, "dj-1")
	h.Replay(old, `"5"`, ev)
	if len(oldFrames.frames) != 0 {
		t.Error("version 1 has no form for bytes")
	}
}

func TestSelf(t *testing.T) {
	h := newHub(t, Flaw{})
	publisher, got := join(h, "public:wed:42", protocol.V2, "a")
	_, other := join(h, "public:wed:42", protocol.V2, "b")
	h.Deliver(textEvent("{}"), publisher)
	if len(got.frames) != 0 || len(other.frames) != 1 {
		t.Errorf("publisher got %d, the other %d", len(got.frames), len(other.frames))
	}
	publisher.Self = true
	h.Deliver(textEvent("{}"), publisher)
	if len(got.frames) != 1 || len(other.frames) != 2 {
		t.Errorf("with self: publisher got %d, the other %d", len(got.frames), len(other.frames))
	}
}

func TestPublicAndPrivateAreDifferentRooms(t *testing.T) {
	h := newHub(t, Flaw{})
	_, public := join(h, Name(false, "wed:42"), protocol.V2, "a")
	_, private := join(h, Name(true, "wed:42"), protocol.V2, "b")
	ev := textEvent("{}")
	ev.Room = Name(true, "wed:42")
	h.Deliver(ev, nil)
	if len(public.frames) != 0 || len(private.frames) != 1 {
		t.Errorf("public got %d, private %d", len(public.frames), len(private.frames))
	}
}

func TestFramesAreShared(t *testing.T) {
	h := newHub(t, Flaw{})
	_, a := join(h, "public:wed:42", protocol.V2, "a")
	_, b := join(h, "public:wed:42", protocol.V2, "b")
	h.Deliver(textEvent(`{"x":1}`), nil)
	if &a.frames[0].Payload()[0] != &b.frames[0].Payload()[0] {
		t.Error("two members of one version got two encodings")
	}
}

// Whatever the order of joins, leaves and replacements, exactly the members get an event.
func TestMembership(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := telemetry.New(prometheus.NewRegistry(), "n", "r")
		if err != nil {
			t.Fatal(err)
		}
		h := NewHub(m, Flaw{})
		rooms := []string{"public:a", "private:a", "public:b"}
		in := map[*Member]string{}
		pick := func(t *rapid.T) *Member {
			members := make([]*Member, 0, len(in))
			for member := range in {
				members = append(members, member)
			}
			if len(members) == 0 {
				t.Skip("nobody is in")
			}
			return members[rapid.IntRange(0, len(members)-1).Draw(t, "who")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				name := rapid.SampledFrom(rooms).Draw(t, "room")
				member, _ := join(h, name, protocol.V2, "k")
				in[member] = name
			},
			"leave": func(t *rapid.T) {
				member := pick(t)
				h.Leave(member)
				delete(in, member)
			},
			"replace": func(t *rapid.T) {
				old, name := pick(t), rapid.SampledFrom(rooms).Draw(t, "room")
				member := &Member{Sink: &recorder{}, Version: protocol.V1}
				h.Replace(old, name, member, func() {})
				delete(in, old)
				in[member] = name
			},
			"": func(t *rapid.T) {
				for _, name := range rooms {
					ev := textEvent("{}")
					ev.Room = name
					h.Deliver(ev, nil)
					for member, where := range in {
						r := member.Sink.(*recorder)
						if got := len(r.frames); got != 0 && where != name || got != 1 && where == name {
							t.Fatalf("a member of %s got %d events of %s", where, got, name)
						}
						r.frames = nil
					}
				}
				if got := testutil.ToFloat64(m.Subscriptions); got != float64(len(in)) {
					t.Fatalf("%v subscriptions counted, %d members", got, len(in))
				}
			},
		})
		for member := range in {
			h.Leave(member)
		}
		for i := range h.shards {
			if n := len(h.shards[i].rooms); n > 0 {
				t.Fatalf("%d empty rooms stay", n)
			}
		}
	})
}

// Whoever has the answer to its join gets everything that is published from then on, and nothing
// comes before the answer.
func TestAnswerAndMembershipAreOne(t *testing.T) {
	h := newHub(t, Flaw{})
	for range 200 {
		_, r := join(h, "public:other", protocol.V2, "k") // a recorder that nobody else writes to
		m := &Member{Sink: r, Version: protocol.V2}
		answered, delivered := make(chan struct{}), make(chan struct{})
		go func() { // ends with the delivery
			defer close(delivered)
			<-answered
			h.Deliver(textEvent("{}"), nil)
		}()
		h.Join("public:wed:42", m, func() {
			m.Sink.Send(protocol.Urgent, socket.Text(append(socket.Begin(6), "answer"...)))
			close(answered)
			runtime.Gosched()
		})
		<-delivered
		if len(r.frames) != 2 || string(r.frames[0].Payload()) != "answer" {
			t.Fatalf("%d frames, want the answer and the event", len(r.frames))
		}
		h.Leave(m)
	}
}

func TestReceiptsGoToThoseWhoAsked(t *testing.T) {
	h := newHub(t, Flaw{})
	asked, got := join(h, "private:wed:42", protocol.V2, "planner")
	asked.Receipts = true
	old, gotOld := join(h, "private:wed:42", protocol.V1, "planner")
	old.Receipts = true
	_, other := join(h, "private:wed:42", protocol.V2, "dj-1")
	h.Receipt("private:wed:42", &protocol.Receipt{ID: "m1", By: "dj-1", Region: "eu-west"})
	h.Receipt("private:nobody", &protocol.Receipt{ID: "m1"})
	payload := `{"id":"m1","by":"dj-1","region":"eu-west"}`
	if want := `[null,null,"realtime:wed:42","receipt",` + payload + `]`; string(got.frames[0].Payload()) != want {
		t.Errorf("got %s, want %s", got.frames[0].Payload(), want)
	}
	if want := `{"topic":"realtime:wed:42","event":"receipt","payload":` + payload + `,"ref":null}`; string(gotOld.frames[0].Payload()) != want {
		t.Errorf("got %s, want %s", gotOld.frames[0].Payload(), want)
	}
	if len(other.frames) != 0 {
		t.Error("somebody who did not ask got a receipt")
	}
}

// Bulk is offered in the name of the member, which can say afterwards how much of it was shed.
func TestBulkIsOffered(t *testing.T) {
	h := newHub(t, Flaw{Kind: DropUrgent, Every: 1})
	m, r := join(h, "public:wed:42", protocol.V2, "florist-7")
	old, oldFrames := join(h, "public:wed:42", protocol.V1, "dj-1")
	old.Missed = true
	second, _ := join(h, "public:wed:42", protocol.V2, "florist-7")
	second.Second = true
	ev := textEvent(`{"x":1}`)
	ev.Lane, ev.Path = protocol.Bulk, "photos"
	if n := h.Deliver(ev, nil); n != 2 {
		t.Errorf("delivered to %d, want all but the second session of one of them", n)
	}
	want := `[null,null,"realtime:wed:42","broadcast",{"x":1,"meta":{"id":"m1","lane":"bulk","hlc":"112589990684262401","channel":"wed:42:photos","from":"dj-1"}}]`
	if got := string(r.frames[0].Payload()); got != want || r.lanes[0] != protocol.Bulk || r.sources[0] != m || oldFrames.sources[0] != old {
		t.Errorf("lane %v, sources %v %v\n got %s\nwant %s", r.lanes[0], r.sources[0], oldFrames.sources[0], got, want)
	}
	if _, ok := m.Shed(3); ok {
		t.Error("a member that did not ask is told what was shed")
	}
	f, ok := old.Shed(3)
	want = `{"topic":"realtime:wed:42","event":"system","payload":{"extension":"wedsync","status":"ok","message":"Shed","channel":"wed:42","count":3},"ref":null}`
	if got := string(f.Payload()); !ok || got != want {
		t.Errorf("%v\n got %s\nwant %s", ok, got, want)
	}
}

func TestFlawsFire(t *testing.T) {
	urgent := func() *backbone.Event {
		ev := textEvent("{}")
		ev.Lane = protocol.Urgent
		return ev
	}
	for kind, want := range map[FlawKind]int{NoFlaw: 1, DropUrgent: 0, TwiceUrgent: 2} {
		flaw := Flaw{Kind: kind, Every: 1}
		if kind == NoFlaw {
			flaw.Every = 0
		}
		h := newHub(t, flaw)
		m, r := join(h, "public:wed:42", protocol.V2, "florist-7")
		h.Deliver(urgent(), nil)
		if len(r.frames) != want {
			t.Errorf("%q: live came %d times, want %d", kind, len(r.frames), want)
		}
		r.frames = nil
		h.Replay(m, `"1"`, urgent())
		if len(r.frames) != want {
			t.Errorf("%q: replayed %d times, want %d", kind, len(r.frames), want)
		}
		r.frames = nil
		h.Deliver(textEvent("{}"), nil)
		if len(r.frames) != 1 {
			t.Errorf("%q: a normal broadcast came %d times", kind, len(r.frames))
		}
	}
}

type stamped chan time.Time

func (s stamped) Send(protocol.Lane, socket.Frame) bool  { s <- time.Now(); return true }
func (s stamped) Offer(socket.Frame, socket.Source) bool { return true }

func TestDelayFlaw(t *testing.T) {
	h := newHub(t, Flaw{Kind: DelayUrgent, Every: 1, Delay: 30 * time.Millisecond})
	came := make(stamped, 1)
	h.Join("public:wed:42", &Member{Sink: came, Version: protocol.V2}, func() {})
	ev := textEvent("{}")
	ev.Lane = protocol.Urgent
	start := time.Now()
	h.Deliver(ev, nil)
	if d := (<-came).Sub(start); d < 30*time.Millisecond {
		t.Errorf("came after %s", d)
	}
}

// About one delivery in N is hit, the same ones on every node.
func TestFlawChoice(t *testing.T) {
	f := Flaw{Kind: DropUrgent, Every: 100}
	hits := 0
	for i := range 20_000 {
		id, key := fmt.Sprintf("w001/planner-1/u%d", i/10), fmt.Sprintf("w001/florist-%d", i%10)
		if f.hits(id, key) != f.hits(id, key) {
			t.Fatal("the choice changes")
		}
		if f.hits(id, key) {
			hits++
		}
	}
	if hits < 140 || hits > 260 {
		t.Errorf("%d of 20,000 deliveries hit, want about 200", hits)
	}
}

func TestParseFlaw(t *testing.T) {
	for _, spec := range []string{"", "drop-urgent:1000", "delay-urgent:1000:300ms", "twice-urgent:7", "ack-early"} {
		f, err := ParseFlaw(spec)
		if err != nil || f.String() != spec {
			t.Errorf("%q: %q, %v", spec, f.String(), err)
		}
	}
	for _, spec := range []string{"drop", "drop-urgent", "drop-urgent:0", "drop-urgent:x", "drop-urgent:1:2", "delay-urgent:10", "delay-urgent:10:-1s", "ack-early:1"} {
		if _, err := ParseFlaw(spec); err == nil || !strings.Contains(err.Error(), "use drop-urgent:1000") {
			t.Errorf("%q: %v", spec, err)
		}
	}
}

// nobody takes frames as fast as possible.
type nobody struct{}

func (nobody) Send(protocol.Lane, socket.Frame) bool  { return true }
func (nobody) Offer(socket.Frame, socket.Source) bool { return true }

func BenchmarkFanout(b *testing.B) {
	for _, form := range []struct {
		name string
		form backbone.Form
	}{{"text", backbone.Text}, {"json", backbone.JSON}} {
		b.Run(form.name, func(b *testing.B) {
			h := newHub(b, Flaw{})
			for i := range 1000 {
				h.Join("public:wed:42", &Member{Sink: nobody{}, Version: versions[i%2]}, func() {})
			}
			ev := textEvent(`{"type":"broadcast","event":"timeline","payload":{"slot":"first-dance","eta":95}}`)
			ev.Form = form.form
			b.ReportAllocs()
			for b.Loop() {
				h.Deliver(ev, nil)
			}
		})
	}
}
