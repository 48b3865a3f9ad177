package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wedclient "github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/socket"
)

// coordinator is a client that looks at who is there all the time, as the JavaScript client does.
type coordinator struct {
	node string

	mu    sync.Mutex                 // guards the following
	there map[string]map[string]bool // refs by key
	gone  map[string]int             // how often a key was there no more
	diffs int
}

// watch lets a coordinator look at a room through a node, until the socket is closed.
func (n *node) watch(t testing.TB, topic string) *coordinator {
	t.Helper()
	o := &coordinator{node: n.cfg.Node, there: map[string]map[string]bool{}, gone: map[string]int{}}
	c := n.joined(t, topic, `{"presence":{"enabled":true,"key":"planner-1"}}`)
	var running sync.WaitGroup
	running.Go(func() { // ends with the socket
		for {
			_, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			o.hear(t, message)
		}
	})
	t.Cleanup(func() { c.Close(); running.Wait() })
	return o
}

// presences is a presence as it is sent: by key, its metas.
type presences map[string]struct {
	Metas []struct {
		Ref string `json:"phx_ref"`
	} `json:"metas"`
}

func (o *coordinator) hear(t testing.TB, message []byte) {
	var event string
	var payload json.RawMessage
	if err := json.Unmarshal(message, &[]any{nil, nil, nil, &event, &payload}); err != nil {
		t.Errorf("%s: %v", message, err)
		return
	}
	var diff struct{ Joins, Leaves presences }
	switch event {
	case "presence_state":
		_ = json.Unmarshal(payload, &diff.Joins)
	case "presence_diff":
		_ = json.Unmarshal(payload, &diff)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.diffs++
	for key, joined := range diff.Joins {
		if o.there[key] == nil {
			o.there[key] = map[string]bool{}
		}
		for _, m := range joined.Metas {
			o.there[key][m.Ref] = true
		}
	}
	for key, left := range diff.Leaves {
		for _, m := range left.Metas {
			delete(o.there[key], m.Ref)
		}
		if len(o.there[key]) == 0 {
			delete(o.there, key)
			o.gone[key]++
		}
	}
}

// sees says whether everybody is there, each with so many entries.
func (o *coordinator) sees(keys []string, entries int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !slices.ContainsFunc(keys, func(key string) bool { return len(o.there[key]) != entries })
}

// supplier is on a node with its presence.
func (n *node) supplier(t testing.TB, topic, key, extension string) *client {
	t.Helper()
	c := n.joined(t, topic, `{"presence":{"key":"`+key+`"}`+extension+`}`)
	c.say(`["1","2","` + topic + `","presence",{"type":"presence","event":"track","payload":{"trade":"dj"}}]`)
	for !strings.Contains(string(c.read()), `"2","`+topic+`","phx_reply"`) {
		// the others are there, which is told to who tracks
	}
	return c
}

// A node is drained: stock clients are closed and come back elsewhere, others move before they leave, and
// nobody who looks sees anybody go.
func TestMovesAreNotSeen(t *testing.T) {
	t.Parallel()
	const topic, each = "realtime:wedding:42", 5
	nodes := startThree(t, func(c *Config) { c.DrainBatch, c.DrainPause = 2, 50*time.Millisecond })
	coordinators := []*coordinator{nodes[1].watch(t, topic), nodes[2].watch(t, topic)}
	var keys []string
	var comeBack []func()
	for i := range each {
		stock, mover := fmt.Sprintf("stock-%d", i), fmt.Sprintf("mover-%d", i)
		keys = append(keys, stock, mover)
		a := nodes[0].supplier(t, topic, stock, "")
		b := nodes[0].supplier(t, topic, mover, `,"wedsync":{"move":true}`)
		comeBack = append(comeBack, func() {
			if code := a.closeCode(); code != socket.CloseRestart {
				t.Errorf("%s is closed with %d, want 1012", stock, code)
			}
			time.Sleep(time.Second) // so does realtime-js before it comes back
			nodes[1+i%2].supplier(t, topic, stock, "")
		}, func() {
			for !strings.Contains(string(b.read()), `"message":"Moving"`) {
				// who else is there, or not
			}
			nodes[1+i%2].supplier(t, topic, mover, `,"wedsync":{"move":true}`)
			b.say(`["1","9","` + topic + `","phx_leave",{}]`)
			b.Close()
		})
	}
	for _, o := range coordinators {
		waitFor(t, o.node+" to see everybody", func() bool { return o.sees(keys, 1) })
	}
	stopped := nodes[0].stopIn(t, time.Minute)
	var moving sync.WaitGroup
	for _, back := range comeBack {
		moving.Go(back)
	}
	moving.Wait()
	<-stopped
	for _, o := range coordinators {
		waitFor(t, o.node+" to see the new entries alone", func() bool { return o.sees(keys, 1) })
		o.mu.Lock()
		if len(o.gone) > 0 {
			t.Errorf("the coordinator on %s has seen them go: %v", o.node, o.gone)
		}
		t.Logf("%s: %d frames", o.node, o.diffs)
		o.mu.Unlock()
	}
}

// What leaves a node that is being drained for good is seen to have left, once the linger is over.
func TestWhoDoesNotComeBackHasLeft(t *testing.T) {
	t.Parallel()
	const topic = "realtime:wedding:42"
	nodes := startThree(t)
	o := nodes[1].watch(t, topic)
	nodes[0].supplier(t, topic, "stock-1", "")
	waitFor(t, "the supplier to be seen", func() bool { return o.sees([]string{"stock-1"}, 1) })
	<-nodes[0].stopIn(t, time.Minute)
	waitFor(t, "the supplier to be gone", func() bool { return o.sees([]string{"stock-1"}, 0) })
}

// guest is a client of the Go package and what it has been shown.
type guest struct {
	*wedclient.Client

	mu     sync.Mutex // guards the following
	shown  map[string]int
	states []wedclient.State
}

// invite connects a client whose nodes are these, the first one preferred.
func invite(t testing.TB, nodes []*node, homes int) *guest {
	t.Helper()
	g := &guest{shown: map[string]int{}}
	cfg := wedclient.Config{Topic: "wedding:42", Token: token(t, "authenticated"), Homes: homes, Confirm: true,
		HeartbeatInterval: 2 * time.Second, SilenceLimit: patience, DialTimeout: patience, // a busy machine is no silence
		OnMessage: func(m wedclient.Message) { g.mu.Lock(); defer g.mu.Unlock(); g.shown[m.ID]++ },
		OnState:   func(s wedclient.State) { g.mu.Lock(); defer g.mu.Unlock(); g.states = append(g.states, s) },
	}
	for _, n := range nodes {
		cfg.Endpoints = append(cfg.Endpoints, wedclient.Endpoint{Region: n.cfg.Region, URL: "ws://" + n.Addr() + "/socket"})
	}
	var err error
	if g.Client, err = wedclient.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	if err := g.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// Our own clients, with one home and with two, move while a planner publishes, also those that publish: everything
// is acknowledged, and shown to everybody once.
func TestClientsMove(t *testing.T) {
	t.Parallel()
	nodes := startThree(t)
	guests := []*guest{invite(t, nodes, 1), invite(t, nodes, 1), invite(t, nodes, 2), invite(t, nodes, 2)}
	planner := invite(t, []*node{nodes[2]}, 1)
	const each = 100
	var publishing sync.WaitGroup
	for p, publisher := range []*guest{planner, guests[0]} {
		publishing.Go(func() { // ends within the time of the test
			for i := range each {
				lane := protocol.Urgent
				if i%3 == 0 {
					lane = protocol.Normal
				}
				if _, err := publisher.Publish(t.Context(), wedclient.Publication{ID: fmt.Sprintf("p%d/%d", p, i), Event: "timeline", Lane: lane}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	stopped := nodes[0].stopIn(t, time.Minute)
	publishing.Wait()
	<-stopped
	for i, g := range guests {
		want := 2 * each
		if i == 0 {
			want = each // not its own
		}
		waitFor(t, "everything to be shown", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.shown) == want })
		g.mu.Lock()
		for id, n := range g.shown {
			if n != 1 {
				t.Errorf("guest %d was shown %s %d times", i, id, n)
			}
		}
		if !slices.ContainsFunc(g.states, func(s wedclient.State) bool { return s.Phase == wedclient.Left && s.Reason == wedclient.ReasonMoved }) {
			t.Errorf("guest %d has not moved: %+v", i, g.states)
		}
		g.mu.Unlock()
	}
	if strings.Contains(nodes[0].log.String(), "not everything that this node holds is held elsewhere") {
		t.Error("the log was not handed over")
	}
}
