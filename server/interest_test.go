package server

import (
	"fmt"
	"testing"

	"github.com/wedsync/wedsync/server/backbone"
)

// TestSocketsShareInterests joins many channels of several weddings on three nodes: what the nodes have
// subscribed to at the logs stays what it was.
func TestSocketsShareInterests(t *testing.T) {
	nodes := startThree(t)
	for _, n := range nodes { // a node is ready before its bulk links are there
		waitFor(t, "every link", func() bool { return n.linksDown(t) == 0 })
	}
	interests := func() string {
		all := ""
		for _, n := range nodes {
			all += fmt.Sprint(n.metric(t, backbone.MetricInterests, ""), " ")
		}
		return all
	}
	before := interests()
	var members []*client
	for i := range 60 {
		topic := fmt.Sprintf("realtime:wedding:%d:vendor:florist", i%5)
		members = append(members, nodes[i%3].joined(t, topic, `{"presence":{"enabled":true}}`))
	}
	sender := nodes[0].joined(t, "realtime:wedding:3", `{}`)
	sender.say(`["1","2","realtime:wedding:3","broadcast",{"event":"urgent"}]`)
	for i, m := range members {
		m.read() // presence_state
		if i%5 == 3 {
			m.read() // it is at that wedding
		}
	}
	waitFor(t, "the same interests as before", func() bool { return interests() == before })
}

// linksDown is how many of the node's links to logs are not there.
func (n *node) linksDown(t *testing.T) (down int) {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "wedsync_region_link_up" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetGauge().GetValue() != 1 {
				down++
			}
		}
	}
	return down
}
