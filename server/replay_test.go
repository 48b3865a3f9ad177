package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rawHLC reads one message and returns the clock value in it.
func (c *client) rawHLC() string {
	c.t.Helper()
	message := c.read()
	found := regexp.MustCompile(`"hlc":"(\d+)"`).FindSubmatch(message)
	if found == nil {
		c.t.Fatalf("no hlc in %s", message)
	}
	return string(found[1])
}

// publishAcked publishes an urgent message and waits until it is held.
func (c *client) publishAcked(id string) {
	c.t.Helper()
	c.say(`["1","` + id + `","realtime:r","broadcast",{"event":"urgent","payload":"` + id + `","meta":{"id":"` + id + `"}}]`)
	got := c.hear()
	if want := `["1","` + id + `","realtime:r","phx_reply",{"status":"ok","response":{"id":"` + id + `","held":[`; !strings.HasPrefix(got, want) {
		c.t.Fatalf("\n got %s\nwant %s…", got, want)
	}
}

// resumed is the server's word that nothing is missing any more.
func resumed(joinRef string) string {
	return `["` + joinRef + `",null,"realtime:r","system",{"extension":"wedsync","status":"ok","message":"Resumed","channel":"r"}]`
}

func replayed(joinRef, id string) string {
	return `["` + joinRef + `",null,"realtime:r","broadcast",{"event":"urgent","payload":"` + id +
		`","meta":{"id":"` + id + `","lane":"urgent","hlc":"H","replayed":true}}]`
}

func TestResumeOnTheSameNode(t *testing.T) {
	n := start(t)
	publisher := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	other := n.joined(t, "realtime:r", `{"private":true}`)
	publisher.publishAcked("m1")
	hlc := other.rawHLC()
	other.Close()
	publisher.publishAcked("m2")
	publisher.publishAcked("m3")

	back := n.dial(t, "2.0.0")
	back.say(`["5","5","realtime:r","phx_join",{"config":{"private":true,"wedsync":{"resume":{"hlc":"` + hlc + `","last_id":"m1"}}}}]`)
	back.expect(`["5","5","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		replayed("5", "m1"), replayed("5", "m2"), replayed("5", "m3"), resumed("5")) // m1: the overlap
	back.silence()
}

// A member whose history cannot be read is sent away: it must not believe that it is up to date.
func TestFailedReplayClosesTheChannel(t *testing.T) {
	n := start(t)
	s := n.dial(t, "2.0.0")
	if err := n.backbone.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.say(`["5","5","realtime:r","phx_join",{"config":{"wedsync":{"resume":{"hlc":"1"}}}}]`)
	s.expect(`["5","5","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		`["5",null,"realtime:r","system",{"extension":"system","status":"error","message":"UnableToReplayMessages: Realtime was unable to replay messages","channel":"r"}]`,
		`["5","5","realtime:r","phx_close",{}]`)
}

func TestHistory(t *testing.T) {
	n := start(t)
	before := time.Now().UnixMilli()
	publisher := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	for i := range 30 {
		publisher.publishAcked(fmt.Sprintf("m%d", i))
	}
	for name, c := range map[string]struct {
		replay string
		first  int
	}{
		"newest 3":         {fmt.Sprintf(`{"since":%d,"limit":3}`, before), 27},
		"newest 25":        {fmt.Sprintf(`{"since":%d}`, before), 5},
		"not more than 25": {fmt.Sprintf(`{"since":%d,"limit":1000}`, before), 5},
		"at least 1":       {fmt.Sprintf(`{"since":%d,"limit":0}`, before), 29},
		"nothing":          {fmt.Sprintf(`{"since":%d}`, time.Now().Add(time.Hour).UnixMilli()), 30},
	} {
		t.Run(name, func(t *testing.T) {
			s := n.dial(t, "2.0.0")
			s.say(`["5","5","realtime:r","phx_join",{"config":{"private":true,"broadcast":{"replay":` + c.replay + `}}}]`)
			s.expect(`["5","5","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
			for i := c.first; i < 30; i++ {
				s.expect(replayed("5", fmt.Sprintf("m%d", i)))
			}
			s.silence()
		})
	}
}

// A replay that is longer than the write queue goes at the speed of its reader.
func TestLongReplayDoesNotOverflow(t *testing.T) {
	n := start(t, func(c *Config) { c.Socket.UrgentFrames = replayAhead + 1 })
	publisher := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	const messages = 3 * replayAhead
	for i := range messages {
		publisher.publishAcked(fmt.Sprintf("m%d", i))
	}
	s := n.dial(t, "2.0.0")
	s.say(`["5","5","realtime:r","phx_join",{"config":{"private":true,"wedsync":{"resume":{"hlc":"1"}}}}]`)
	s.expect(`["5","5","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
	for i := range messages {
		s.expect(replayed("5", fmt.Sprintf("m%d", i)))
	}
}

func TestReceipts(t *testing.T) {
	n := start(t)
	planner := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true},"wedsync":{"receipts":true}}`)
	florist := n.joined(t, "realtime:r", `{"private":true,"presence":{"key":"florist-7"}}`)
	planner.publishAcked("m1")
	florist.hear()
	florist.say(`["1","2","realtime:r","receipt",{"ids":["m1"]}]`, `["1","3","realtime:r","receipt",{"ids":["not an id"]}]`)
	planner.expect(`[null,null,"realtime:r","receipt",{"id":"m1","by":"florist-7","region":"eu-west"}]`)
	planner.silence()
	florist.silence()
}
