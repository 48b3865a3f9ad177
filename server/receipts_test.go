package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/receipt"
)

const escalateAfter = time.Second

func escalating(c *Config) { c.EscalateAfter = escalateAfter }

// member is a client that confirms urgent messages as key.
func (n *node) member(t *testing.T, key string) *client {
	t.Helper()
	return n.joined(t, "realtime:wedding:42", fmt.Sprintf(`{"private":true,"presence":{"key":%q},"wedsync":{"confirms":true}}`, key))
}

func (c *client) publishUrgent(id string) {
	c.t.Helper()
	c.say(`["1","2","realtime:wedding:42","broadcast",{"event":"urgent","payload":{"ceremony":"4 PM"},"meta":{"id":"` + id + `"}}]`)
}

// until reads messages until one has a text in it.
func (c *client) until(text string) string {
	c.t.Helper()
	for {
		if got := string(c.read()); strings.Contains(got, text) {
			return got
		}
	}
}

func (c *client) confirms(id string) {
	c.t.Helper()
	c.until(`"id":"` + id + `"`)
	c.say(`["1","9","realtime:wedding:42","receipt",{"ids":["` + id + `"]}]`)
}

// escalation reads messages until the next escalation.
func (c *client) escalation() protocol.Escalation {
	c.t.Helper()
	var frame []json.RawMessage
	if err := json.Unmarshal([]byte(c.until(`"event":"`+protocol.EscalationEvent+`"`)), &frame); err != nil {
		c.t.Fatal(err)
	}
	var body struct {
		Payload json.RawMessage
		Meta    struct{ ID, Lane string }
	}
	if err := json.Unmarshal(frame[4], &body); err != nil {
		c.t.Fatal(err)
	}
	e, err := protocol.ParseEscalation(body.Payload)
	if err != nil {
		c.t.Fatalf("%s: %v", frame[4], err)
	}
	if body.Meta.ID != receipt.EscalationID(e.ID) || body.Meta.Lane != "urgent" {
		c.t.Errorf("escalation of %s is %+v", e.ID, body.Meta)
	}
	return e
}

// expected waits until a node expects these to confirm a message.
func (n *node) expected(t *testing.T, id string, keys ...string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%s to expect %v of %s", n.cfg.Node, keys, id), func() bool {
		s, ok := n.receipts.Status(id)
		return ok && cmp.Equal(s.Expected, keys)
	})
}

// Three regions, and members on all of them: who has not been told is told about, once, where the message was, by whichever
// node; and the administrator of any node can see it.
func TestEscalation(t *testing.T) {
	nodes := startThree(t, escalating)
	planner := nodes[0].joined(t, "realtime:wedding:42", `{"private":true,"presence":{"key":"planner"},"wedsync":{"receipts":true,"confirms":true}}`)
	florist, baker := nodes[1].member(t, "florist"), nodes[2].member(t, "baker")
	nodes[2].joined(t, "realtime:wedding:42", `{"private":true,"wedsync":{"confirms":true}}`) // without a name nobody is missed
	planner.publishUrgent("m1")
	for _, n := range nodes {
		n.expected(t, "m1", "baker", "florist")
	}
	florist.confirms("m1")
	for _, c := range []*client{planner, baker} {
		e := c.escalation()
		if after := time.Duration(e.AfterMS) * time.Millisecond; after < escalateAfter || after > escalateAfter+patience {
			t.Errorf("escalated after %v", after)
		}
		e.AfterMS = 0
		if diff := cmp.Diff(protocol.Escalation{ID: "m1", Missing: []string{"baker"}, Told: 1}, e); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	baker.say(`["1","9","realtime:wedding:42","receipt",{"ids":["m1"]}]`) // late, and live all the same
	planner.until(`"receipt",{"id":"m1","by":"baker","region":"ap-south"}`)
	for _, n := range nodes {
		waitFor(t, "the late receipt on "+n.cfg.Node, func() bool { s, _ := n.receipts.Status("m1"); return len(s.Told) == 2 })
		status, body := n.ask(t, "/admin/receipts?id=m1", token(t, "service_role"))
		want := `{"id":"m1","room":"private:wedding:42","published":"T","expected":["baker","florist"],` +
			`"told":[{"by":"florist","region":"us-east","after_ms":N},{"by":"baker","region":"ap-south","after_ms":N}],"missing":[],"escalated":true}`
		if status != http.StatusOK || body != want {
			t.Errorf("%s: %d\n got %s\nwant %s", n.cfg.Node, status, body, want)
		}
	}

	t.Run("once, and not for who has left", func(t *testing.T) {
		baker.say(`["1","3","realtime:wedding:42","phx_leave",{}]`)
		waitFor(t, "the baker's leave", func() bool { s, _ := nodes[0].receipts.Status("m1"); return len(s.Expected) == 1 })
		planner.publishUrgent("m2")
		florist.confirms("m2")
		planner.publishUrgent("m3") // which nobody confirms
		if e := planner.escalation(); e.ID != "m3" || !cmp.Equal(e.Missing, []string{"florist"}) {
			t.Errorf("the next escalation is %+v", e)
		}
		for _, n := range nodes {
			waitFor(t, "the escalation on "+n.cfg.Node, func() bool { s, _ := n.receipts.Status("m3"); return s.Escalated })
		}
		published := func() (sum float64) {
			for _, n := range nodes {
				sum += n.metric(t, "wedsync_escalations_total", "ok")
			}
			return sum
		}
		waitFor(t, "the escalations of m1 and m3 to be held", func() bool { return published() >= 2 })
		if n := published(); n != 2 {
			t.Errorf("%v escalations, want that of m1 and of m3", n)
		}
	})

	t.Run("for who was in a region that has died", func(t *testing.T) {
		nodes[2].member(t, "band")
		planner.publishUrgent("m4")
		nodes[0].expected(t, "m4", "band", "florist")
		florist.confirms("m4")
		nodes[2].stop(t)
		if e := planner.escalation(); e.ID != "m4" || !cmp.Equal(e.Missing, []string{"band"}) {
			t.Errorf("%+v", e)
		}
		planner.publishUrgent("m5")
		band := nodes[1].joined(t, "realtime:wedding:42", `{"private":true,"presence":{"key":"band"},"wedsync":{"confirms":true,"resume":{"hlc":"0"}}}`)
		florist.confirms("m5")
		band.confirms("m5")
		waitFor(t, "all to be told", func() bool {
			s, _ := nodes[0].receipts.Status("m5")
			return len(s.Expected) == 2 && len(s.Missing) == 0
		})
	})
}

// What would keep an escalation from being published is refused.
func TestEscalationsAreTheServersOwn(t *testing.T) {
	n := start(t, escalating)
	c := n.joined(t, "realtime:wedding:42", `{"private":true,"broadcast":{"ack":true}}`)
	for _, frame := range []string{
		`{"event":"wedsync:escalation","payload":{"id":"m1"},"meta":{"lane":"urgent"}}`,
		`{"event":"urgent","payload":{},"meta":{"id":"esc/m1"}}`,
	} {
		c.say(`["1","2","realtime:wedding:42","broadcast",` + frame + `]`)
		if got := c.hear(); !strings.Contains(got, `"status":"error"`) || !strings.Contains(got, "the server's own") {
			t.Errorf("%s: %s", frame, got)
		}
	}
	for path, body := range map[string]string{
		"/api/broadcast/wedding:42/events/wedsync:escalation": `{"id":"m1"}`,
		"/api/broadcast":  `{"messages":[{"topic":"wedding:42","event":"urgent","payload":{},"id":"esc/m1"}]}`,
		"/api/broadcast?": `{"messages":[{"topic":"wedding:42","event":"wedsync:escalation","payload":{"id":"m1"}}]}`,
	} {
		if status, said := n.post(t, path, "application/json", body); status != http.StatusUnprocessableEntity || !strings.Contains(said, "the server's own") {
			t.Errorf("%s %s: %d %s", path, body, status, said)
		}
	}
}

func TestAdminReceiptsRefuses(t *testing.T) {
	n := start(t)
	for name, c := range map[string]struct {
		query, token string
		status       int
		says         string
	}{
		"no token":     {"?id=m1", "", http.StatusUnauthorized, "Unauthorized"},
		"another role": {"?id=m1", token(t, "authenticated"), http.StatusForbidden, "service_role"},
		"no id":        {"", token(t, "service_role"), http.StatusBadRequest, "?id="},
		"unknown id":   {"?id=m1", token(t, "service_role"), http.StatusNotFound, "no urgent message"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := n.ask(t, "/admin/receipts"+c.query, c.token)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%d %s, want %d and %q", status, body, c.status, c.says)
			}
		})
	}
}

var (
	publishedPattern = regexp.MustCompile(`"published":"[^"]+"`)
	afterPattern     = regexp.MustCompile(`"after_ms":\d+`)
)

// ask is get with what differs from run to run replaced.
func (n *node) ask(t *testing.T, path, bearer string) (status int, body string) {
	t.Helper()
	status, body = n.get(t, path, bearer)
	body = publishedPattern.ReplaceAllString(body, `"published":"T"`)
	return status, afterPattern.ReplaceAllString(body, `"after_ms":N`)
}
