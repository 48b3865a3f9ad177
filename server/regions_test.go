package server

import (
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/server/backbone"
)

// Three nodes in three regions, all real: what one region publishes reaches the others once, and
// the ok names two regions that hold it.
func TestThreeRegions(t *testing.T) {
	nodes := startThree(t)
	var members []*client
	for _, n := range nodes {
		members = append(members, n.joined(t, "realtime:r", `{"private":true}`))
	}
	publisher := nodes[0].joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	second := nodes[1].joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true,"self":true}}`)

	t.Run("urgent", func(t *testing.T) {
		publisher.say(`["1","2","realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"u1"}}]`)
		reply := publisher.hear()
		if !strings.Contains(reply, `"id":"u1"`) || strings.Count(reply, "-west")+strings.Count(reply, "-east")+strings.Count(reply, "-south") != 2 {
			t.Errorf("ok does not name two regions: %s", reply)
		}
		for _, m := range append(members, second) {
			m.expect(`[null,null,"realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"u1","lane":"urgent","hlc":"H"}}]`)
		}
	})
	t.Run("through two homes at once", func(t *testing.T) {
		const frame = `,"realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"u2"}}]`
		publisher.say(`["1","3"` + frame)
		second.say(`["1","3"` + frame)
		const live = `[null,null,"realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"u2","lane":"urgent","hlc":"H"}}]`
		for _, m := range members {
			m.expect(live)
			m.silence()
		}
		for _, p := range []*client{publisher, second} {
			answers, copies := 0, 0
			for range 2 { // the live copy and the answer, in the order in which they happen
				if got := p.hear(); got == live {
					copies++
				} else if strings.Contains(got, `"phx_reply",{"status":"ok","response":{"id":"u2"`) {
					answers++
				} else {
					t.Errorf("unexpected: %s", got)
				}
				if p == publisher && answers == 1 && copies == 0 {
					break // its own copy came first, which is not sent back to it
				}
			}
			if answers != 1 || copies > 1 {
				t.Errorf("%d answers, %d copies", answers, copies)
			}
		}
	})
	t.Run("normal, not held", func(t *testing.T) {
		members[2].say(`["1","4","realtime:r","broadcast",{"event":"arrival"}]`)
		for _, m := range members[:2] {
			m.expect(`[null,null,"realtime:r","broadcast",{"event":"arrival"}]`)
		}
		members[2].silence()
	})
}

func TestReceiptsCrossRegions(t *testing.T) {
	nodes := startThree(t)
	planner := nodes[0].joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true},"wedsync":{"receipts":true}}`)
	florist := nodes[2].joined(t, "realtime:r", `{"private":true,"presence":{"key":"florist-7"}}`)
	planner.publishAcked("m1")
	florist.hear()
	florist.say(`["1","2","realtime:r","receipt",{"ids":["m1"]}]`)
	planner.expect(`[null,null,"realtime:r","receipt",{"id":"m1","by":"florist-7","region":"ap-south"}]`)
}

// A member whose region dies resumes in another one, and finds there what it missed in between.
func TestResumeInAnotherRegion(t *testing.T) {
	nodes := startThree(t)
	publisher := nodes[0].joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	member := nodes[1].joined(t, "realtime:r", `{"private":true}`)
	publisher.publishAcked("m1")
	hlc := member.rawHLC()
	nodes[1].stop(t)
	publisher.publishAcked("m2")

	back := nodes[2].dial(t, "2.0.0")
	back.say(`["5","5","realtime:r","phx_join",{"config":{"private":true,"wedsync":{"resume":{"hlc":"` + hlc + `","last_id":"m1"}}}}]`)
	back.expect(`["5","5","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		replayed("5", "m1"), replayed("5", "m2"), resumed("5"))
	publisher.publishAcked("m3")
	back.expect(`[null,null,"realtime:r","broadcast",{"event":"urgent","payload":"m3","meta":{"id":"m3","lane":"urgent","hlc":"H"}}]`)
	back.silence()
}

// A node that has just started does not know yet what it has missed: whoever resumes is sent to another
// region at once, while others may join.
func TestResumeIsRefusedUntilCaughtUp(t *testing.T) {
	n := start(t, func(c *Config) {
		c.JoinErrorBackoff = time.Hour // this refusal does not wait
		c.Peers = []backbone.Peer{{Node: "far-1", Region: "far", URL: "nats://" + loopback.Must(t)}}
	})
	s := n.dial(t, "2.0.0")
	s.say(`["5","5","realtime:r","phx_join",{"config":{"wedsync":{"resume":{"hlc":"1"}}}}]`)
	s.expect(`["5","5","realtime:r","phx_reply",{"status":"error","response":{"reason":"RealtimeRestarting: Realtime is restarting, please standby"}}]`)
	s.say(`["6","6","realtime:r","phx_join",{"config":{}}]`)
	s.expect(`["6","6","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
}

// While the log of a peer that returns is being read, a node that has been there all the time goes on taking
// members that resume; it says that they have everything only when that is true.
func TestResumeIsServedWhileAPeerReturns(t *testing.T) {
	nodes := startThree(t)
	publisher := nodes[0].joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	nodes[1].stop(t)
	publisher.publishAcked("m1")
	again := nodes[1].cfg
	back := start(t, func(c *Config) { *c = again })
	for i := 0; i == 0 || back.Ready() != nil; i++ {
		for _, n := range []*node{nodes[0], nodes[2]} {
			if err := n.Ready(); err != nil {
				t.Fatalf("%s is not ready: %v", n.cfg.Node, err)
			}
			s := n.dial(t, "2.0.0")
			s.say(`["5","5","realtime:r","phx_join",{"config":{"private":true,"wedsync":{"resume":{"hlc":"1"}}}}]`)
			s.expect(`["5","5","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`, replayed("5", "m1"), resumed("5"))
		}
	}
}

// A member that has a session elsewhere does not come back to a region that is cut off; one that has nowhere
// else to go is taken.
func TestLoneRegionTakesOnlyWhoHasNoOther(t *testing.T) {
	nodes := startThree(t)
	nodes[1].stop(t)
	nodes[2].stop(t)
	n := nodes[0]
	waitFor(t, "the others to be missed", func() bool { return n.backbone.Ready() != nil })
	s := n.dial(t, "2.0.0")
	s.say(`["5","5","realtime:r","phx_join",{"config":{"wedsync":{"resume":{"hlc":"1","returning":true}}}}]`)
	s.expect(`["5","5","realtime:r","phx_reply",{"status":"error","response":{"reason":"RealtimeRestarting: Realtime is restarting, please standby"}}]`)
	s.say(`["6","6","realtime:r","phx_join",{"config":{"wedsync":{"resume":{"hlc":"1"}}}}]`)
	s.expect(`["6","6","realtime:r","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`, resumed("6"))
}

// A region that no other one can reach delivers to its own members, but does not claim a hold: the
// publisher is told that the outcome is unknown.
func TestLoneRegionDoesNotSayOK(t *testing.T) {
	nodes := startThree(t, func(c *Config) { c.HoldDeadline = 300 * time.Millisecond })
	nodes[1].stop(t)
	nodes[2].stop(t)
	other := nodes[0].joined(t, "realtime:r", `{"private":true}`)
	publisher := nodes[0].joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	publisher.say(`["1","2","realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"u1"}}]`)
	other.expect(`[null,null,"realtime:r","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"u1","lane":"urgent","hlc":"H"}}]`)
	if got := publisher.hear(); !strings.HasPrefix(got, `["1","2","realtime:r","phx_reply",{"status":"error","response":{"reason":"NotHeld: `) {
		t.Errorf("got %s", got)
	}
	if err := nodes[0].Ready(); err == nil {
		t.Error("a node that cannot hold anything says that it is ready")
	}
	status, body := nodes[0].post(t, "/api/broadcast/r/events/urgent", "application/json", `1`)
	if status != 503 || !strings.Contains(body, "send it again with the same id") {
		t.Errorf("REST: %d %s", status, body)
	}
}
