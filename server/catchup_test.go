package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/server/backbone"
)

// TestReplayWaitsForTheLogsOfPeers that were there, and have come back with more than this node has read.
func TestReplayWaitsForTheLogsOfPeers(t *testing.T) {
	var peers []backbone.Peer
	for _, region := range []string{"eu-west", "us-east"} {
		peers = append(peers, backbone.Peer{Node: region + "-1", Region: region, URL: "nats://" + loopback.Must(t)})
	}
	of := func(me backbone.Peer) func(*Config) {
		return func(c *Config) {
			c.Node, c.Region, c.LogListen, c.Peers = me.Node, me.Region, strings.TrimPrefix(me.URL, "nats://"), peers
		}
	}
	n := start(t, of(peers[0]))
	ctx, cancel := context.WithTimeout(t.Context(), 5*catchUpPoll)
	defer cancel()
	if err := n.awaitCaughtUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a peer has never been reached, and a replay would begin: %v", err)
	}
	if why := n.behind(); why == "" {
		t.Error("a node that has reached no peer yet calls itself current")
	}
	start(t, of(peers[1]))
	if err := n.awaitCaughtUp(t.Context()); err != nil {
		t.Error(err)
	}
	waitFor(t, "the node to be current", func() bool { return n.behind() == "" })
}
