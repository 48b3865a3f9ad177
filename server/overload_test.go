package server

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/socket"
)

var idPattern = regexp.MustCompile(`"id":"([^"]*)"`)

const bulkOK = `{"status":"ok","response":{"id":"m1","held":[]}}`

// Every way to publish on the bulk lane, to receivers of both versions. No region holds it.
func TestBulk(t *testing.T) {
	const topic, meta = "realtime:wed:42", `{"id":"m1","lane":"bulk","hlc":"H"}`
	for name, c := range map[string]struct {
		publish func(t *testing.T, n *node, v1, v2 *client)
		v1, v2  string // "" for nothing
	}{
		"text from version 2": {
			func(_ *testing.T, _ *node, _, p *client) {
				p.say(`["1","9","realtime:wed:42","broadcast",{"event":"photo","meta":{"id":"m1","lane":"bulk"}}]`)
				p.expect(`["1","9","realtime:wed:42","phx_reply",` + bulkOK + `]`)
			},
			`{"event":"photo","meta":` + meta + `}`, `{"event":"photo","meta":` + meta + `}`},
		"text from version 1": {
			func(_ *testing.T, _ *node, p, _ *client) {
				p.say(`{"topic":"realtime:wed:42","event":"broadcast","payload":{"event":"photo","meta":{"id":"m1","lane":"bulk"}},"ref":"9","join_ref":"1"}`)
				p.expect(`{"topic":"realtime:wed:42","event":"phx_reply","payload":` + bulkOK + `,"ref":"9"}`)
			},
			`{"event":"photo","meta":` + meta + `}`, `{"event":"photo","meta":` + meta + `}`},
		"kind 3, JSON": {
			func(_ *testing.T, _ *node, _, p *client) {
				p.binary(push("9", topic, "photo", `{"id":"m1","lane":"bulk"}`, 1, `{"a":1}`))
				p.expect(`["1","9","realtime:wed:42","phx_reply",` + bulkOK + `]`)
			},
			`{"event":"photo","payload":{"a":1},"type":"broadcast","meta":` + meta + `}`, `4 JSON photo ` + meta + ` {"a":1}`},
		"kind 3, bytes": {
			func(_ *testing.T, _ *node, _, p *client) {
				p.binary(push("9", topic, "photo", `{"id":"m1","lane":"bulk"}`, 0, "\xff\xd8"))
				p.expect(`["1","9","realtime:wed:42","phx_reply",` + bulkOK + `]`)
			},
			"", "4 bytes photo " + meta + " \xff\xd8"},
		"without an id": {
			func(_ *testing.T, _ *node, _, p *client) {
				p.say(`["1","9","realtime:wed:42","broadcast",{"event":"photo","meta":{"lane":"bulk"}}]`)
				p.expect(`["1","9","realtime:wed:42","phx_reply",{"status":"ok","response":{"id":"UUID","held":[]}}]`)
			},
			`{"event":"photo","meta":{"id":"UUID","lane":"bulk","hlc":"H"}}`, `{"event":"photo","meta":{"id":"UUID","lane":"bulk","hlc":"H"}}`},
		"REST": {
			func(t *testing.T, n *node, _, _ *client) {
				status, text := n.post(t, "/api/broadcast", "application/json",
					`{"messages":[{"topic":"wed:42","event":"photo","payload":{"a":1},"private":true,"meta":{"id":"m1","lane":"bulk"}}]}`)
				if status != http.StatusAccepted {
					t.Errorf("%d %s", status, text)
				}
			},
			`{"event":"photo","payload":{"a":1},"type":"broadcast","meta":` + meta + `}`, `{"event":"photo","payload":{"a":1},"type":"broadcast","meta":` + meta + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			v1, v2 := n.dial(t, ""), n.dial(t, "2.0.0")
			v1.join("1.0.0", topic, `{"private":true,"broadcast":{"ack":true}}`)
			v2.join("2.0.0", topic, `{"private":true,"broadcast":{"ack":true}}`)
			old, current := n.dial(t, ""), n.dial(t, "2.0.0")
			old.join("1.0.0", topic, `{"private":true}`)
			current.join("2.0.0", topic, `{"private":true}`)
			c.publish(t, n, v1, v2)
			want := c.v2
			if !strings.HasPrefix(want, "4 ") {
				want = `[null,null,"realtime:wed:42","broadcast",` + want + `]`
			}
			if got := describe(current.hear()); got != want {
				t.Errorf("version 2\n got %q\nwant %q", got, want)
			}
			if c.v1 != "" {
				old.expect(`{"topic":"realtime:wed:42","event":"broadcast","payload":` + c.v1 + `,"ref":null}`)
			}
			if got := testutil.ToFloat64(n.metrics.MessagesPublished.WithLabelValues("bulk", "ok")); got != 1 {
				t.Errorf("%v bulk messages counted", got)
			}
			// Nothing has kept it.
			late := n.dial(t, "2.0.0")
			late.say(`["1","1","realtime:wed:42","phx_join",{"config":{"private":true,"wedsync":{"resume":{"hlc":"0"}}}}]`)
			late.expect(`["1","1","realtime:wed:42","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
				`["1",null,"realtime:wed:42","system",{"extension":"wedsync","status":"ok","message":"Resumed","channel":"wed:42"}]`)
			late.silence()
		})
	}
}

// A bulk message is smaller than others may be, so that an urgent one does not wait long behind it.
func TestBulkTooLarge(t *testing.T) {
	n := start(t)
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	silent := n.joined(t, "realtime:r", `{}`)
	large := strings.Repeat("x", socket.MaxBulk+1)
	c.binary(push("2", "realtime:r", "photo", `{"id":"m1","lane":"bulk"}`, 0, large))
	c.expect(`["1","2","realtime:r","phx_reply",{"status":"error","response":{"reason":"` + reasonTooLargeBulk + `"}}]`)
	if !protocol.Definite(reasonTooLargeBulk) || !strings.Contains(reasonTooLargeBulk, fmt.Sprint(socket.MaxBulk)) {
		t.Errorf("the reason %q should end the sender's attempts and name the limit", reasonTooLargeBulk)
	}
	silent.binary(push("2", "realtime:r", "photo", `{"id":"m1","lane":"bulk"}`, 0, large))
	silent.silence()
	c.binary(push("3", "realtime:r", "photo", `{"id":"m1","lane":"bulk"}`, 0, large[1:]))
	c.expect(`["1","3","realtime:r","phx_reply",` + bulkOK + `]`)
	if got := silent.read(); len(got) < socket.MaxBulk {
		t.Errorf("%d bytes came", len(got))
	}
	if got := testutil.ToFloat64(n.metrics.MessagesDropped.WithLabelValues("size")); got != 2 {
		t.Errorf("%v too large messages counted", got)
	}
}

// Over the limit on events bulk is turned away and its channel goes on; all others pass as before.
func TestTooMuchBulk(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{EventsPerSecond: 2}))
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	bulk := func(ref string) {
		c.say(`["1","` + ref + `","realtime:r","broadcast",{"event":"photo","meta":{"id":"m1","lane":"bulk"}}]`)
	}
	for range 40 { // the average is known after the first bucket of 5 s
		bulk("2")
		c.expect(`["1","2","realtime:r","phx_reply",` + bulkOK + `]`)
	}
	waitFor(t, "the average to be known", func() bool { return !n.limits.RoomForBulk(1) })
	bulk("3")
	c.expect(`["1","3","realtime:r","phx_reply",{"status":"error","response":{"reason":"` + reasonTooMuchBulk + `"}}]`)
	if protocol.Definite(reasonTooMuchBulk) {
		t.Error("a client would think that it may not try again")
	}
	c.say(`["1","4","realtime:r","broadcast",{"event":"urgent","meta":{"id":"u1"}}]`)
	c.expect(`["1","4","realtime:r","phx_reply",{"status":"ok","response":{"id":"u1","held":["eu-west"]}}]`)
	c.say(`["1","5","realtime:r","broadcast",{"event":"x","meta":{"id":"n1"}}]`) // no less than without all the bulk
	c.expect(`["1","5","realtime:r","phx_reply",{"status":"ok","response":{"id":"n1","held":["eu-west"]}}]`)
	n.expectReached(t, map[limit.Name]float64{limit.Events: 1})
	if got := testutil.ToFloat64(n.metrics.MessagesDropped.WithLabelValues("rate")); got != 1 {
		t.Errorf("%v messages counted as too many", got)
	}
}

// A member that joined with config.wedsync is told how much bulk it has missed, once it has caught up.
func TestShedIsTold(t *testing.T) {
	n := start(t)
	slow := n.joined(t, "realtime:r", `{"wedsync":{"receipts":true}}`)
	slow.stall()
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	const photos, each = 2000, 5_000
	for i := range photos {
		c.say(fmt.Sprintf(`["1","%d","realtime:r","broadcast",{"event":"photo","payload":"%s","meta":{"id":"m1-%d","lane":"bulk"}}]`, i, strings.Repeat("x", each), i))
		c.hear() // the reply: it is queued
	}
	came, word := 0, slow.hear()
	for ; strings.Contains(word, `"lane":"bulk"`); word = slow.hear() {
		came++
	}
	want := fmt.Sprintf(`[null,null,"realtime:r","system",{"extension":"wedsync","status":"ok","message":"Shed","channel":"r","count":%d}]`, photos-came)
	if word != want || came == photos {
		t.Errorf("%d photos came, and then %s, want %s", came, word, want)
	}
	slow.silence()
}

// The evening of a wedding: photographers flood the room with bulk, one member has stopped reading and
// somebody sends messages of 3 MB. Urgent messages reach the others at once all the time. The one that
// stopped is sent away with 1013, and finds everything but bulk when it resumes.
func TestOverload(t *testing.T) {
	n := start(t, func(c *Config) { c.Socket.NormalBytes, c.Socket.CloseGrace = 8_000_000, 50*time.Millisecond })
	const config = `{"private":true,"broadcast":{"ack":true}}`
	reader := n.joined(t, "realtime:r", `{"private":true}`)
	stalled := n.joined(t, "realtime:r", `{"private":true,"presence":{"key":"stalled"}}`)
	stalled.stall()
	planner, dj := n.joined(t, "realtime:r", config), n.joined(t, "realtime:r", config)

	// Those who speak read all the time.
	var others sync.WaitGroup
	read := func(c *client) {
		others.Go(func() { // ends with the connection
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		})
	}
	read(planner)
	read(dj)
	// A photographer goes on as soon as the reader has its last message but a few: as fast as possible, and
	// without the reader's lane being shed.
	const photographers, ahead = 3, 20
	seen := make([]chan struct{}, photographers)
	for i := range photographers {
		seen[i] = make(chan struct{}, ahead)
		p := n.joined(t, "realtime:r", `{"private":true}`)
		read(p)
		others.Go(func() { // ends with the connection
			for k := 0; ; k++ {
				if k >= ahead {
					<-seen[i]
				}
				photo := fmt.Sprintf(`["1","2","realtime:r","broadcast",{"event":"photo","by":%d,"payload":"%s","meta":{"id":"b%d-%d","lane":"bulk"}}]`,
					i, strings.Repeat("x", 10_000), i, k)
				if p.WriteMessage(websocket.TextMessage, []byte(photo)) != nil {
					return
				}
			}
		})
	}
	defer others.Wait()
	defer n.Disconnect("the evening is over")
	defer func() {
		for _, c := range seen {
			close(c)
		}
	}()

	// hear reads what reader is sent, until it is neither bulk nor large.
	bulk, large := 0, 0
	hear := func() string {
		for {
			got := string(reader.read())
			switch {
			case strings.Contains(got, `"lane":"bulk"`):
				bulk++
				for i := range photographers {
					if strings.Contains(got, fmt.Sprintf(`"by":%d`, i)) {
						seen[i] <- struct{}{}
					}
				}
			case len(got) > 1_000_000:
				large++
			default:
				return got
			}
		}
	}
	const urgent = 30
	worst, first := time.Duration(0), ""
	for i := range urgent {
		if i%5 == 0 {
			dj.binary(push("2", "realtime:r", "film", fmt.Sprintf(`{"id":"l%d"}`, i), 0, strings.Repeat("x", 3_000_000)))
		}
		begin := time.Now()
		planner.say(fmt.Sprintf(`["1","3","realtime:r","broadcast",{"event":"urgent","payload":"%d","meta":{"id":"u%d"}}]`, i, i))
		got := hear()
		if !strings.Contains(got, fmt.Sprintf(`"id":"u%d"`, i)) {
			t.Fatalf("urgent message %d is %.100s", i, got)
		}
		worst = max(worst, time.Since(begin))
		if first == "" {
			first = hlcPattern.FindString(got)
		}
	}
	t.Logf("the slowest of %d urgent messages took %s beside %d bulk and %d large ones", urgent, worst, bulk, large)
	if worst > 3*time.Second { // the stalled member would hold it up for ten
		t.Error("that is too late")
	}
	if bulk == 0 || large == 0 {
		t.Error("there was no overload")
	}
	waitFor(t, "the stalled member to be sent away", func() bool {
		return testutil.ToFloat64(n.metrics.ConnectionsClosed.WithLabelValues("overflow")) >= 1
	})
	if got := testutil.ToFloat64(n.metrics.Shed); got == 0 {
		t.Error("its bulk was not counted")
	}

	back := n.dial(t, "2.0.0")
	back.say(`["1","1","realtime:r","phx_join",{"config":{"private":true,"wedsync":{"resume":{` + first + `}}}}]`)
	found := map[string]int{}
	for {
		got := string(back.read())
		if strings.Contains(got, `"Resumed"`) {
			break
		}
		if id := idPattern.FindStringSubmatch(got); id != nil && strings.Contains(got, `"replayed":true`) {
			found[id[1]]++
		}
	}
	for i := range urgent {
		if found[fmt.Sprintf("u%d", i)] != 1 || i%5 == 0 && found[fmt.Sprintf("l%d", i)] != 1 {
			t.Errorf("after resuming, urgent message %d was there %d times", i, found[fmt.Sprintf("u%d", i)])
		}
	}
	for id := range found {
		if strings.HasPrefix(id, "b") {
			t.Errorf("bulk message %s was replayed", id)
		}
	}
}
