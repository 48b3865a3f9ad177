package backbone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

func TestHandedOver(t *testing.T) {
	s := func(node string, reachable bool, lacks uint64) standing {
		region, _, _ := strings.Cut(node, "-")
		return standing{Peer{Node: node, Region: region}, reachable, lacks}
	}
	const up, down = true, false
	for name, tc := range map[string]struct {
		all  []standing
		done bool
		why  string
	}{
		"alone":                                {nil, true, ""},
		"two regions hold it":                  {[]standing{s("us-1", up, 0), s("ap-1", down, 0)}, true, ""},
		"two of three":                         {[]standing{s("us-1", up, 0), s("ap-1", up, 0), s("af-1", up, 9)}, true, ""},
		"one holds it, one does not":           {[]standing{s("us-1", up, 0), s("ap-1", up, 9)}, false, "ap-1 in ap lacks up to 9"},
		"one holds it, one is gone":            {[]standing{s("us-1", up, 0), s("ap-1", down, 9)}, true, ""},
		"nobody holds it, one is gone":         {[]standing{s("us-1", up, 3), s("ap-1", down, 9)}, false, "us-1"},
		"all are gone":                         {[]standing{s("us-1", down, 3), s("ap-1", down, 9)}, false, "no other log"},
		"all are gone, one held it before":     {[]standing{s("us-1", down, 0), s("ap-1", down, 9)}, true, ""},
		"two nodes of one region are one":      {[]standing{s("us-1", up, 0), s("us-2", up, 0), s("ap-1", up, 1)}, false, "ap-1"},
		"one node of a region is enough":       {[]standing{s("us-1", up, 0), s("us-2", up, 5), s("ap-1", up, 0)}, true, ""},
		"the own region does not count":        {[]standing{s("eu-2", up, 0), s("us-1", up, 0), s("ap-1", up, 1)}, false, "ap-1"},
		"there are two regions":                {[]standing{s("eu-2", up, 9), s("us-1", up, 0)}, true, ""},
		"there is one region":                  {[]standing{s("eu-2", up, 9), s("eu-3", up, 0)}, true, ""},
		"there is one region, and it is slow":  {[]standing{s("eu-2", up, 9)}, false, "eu-2"},
		"there is one region, and it is empty": {[]standing{s("eu-2", down, 9)}, false, "no other log"},
	} {
		done, why := handedOver("eu", tc.all)
		if done != tc.done || (why == nil) != done || why != nil && !strings.Contains(why.Error(), tc.why) {
			t.Errorf("%s: %v, %v", name, done, why)
		}
	}
}

func TestHandoverIsBoundedAndSaysWhoLacksWhat(t *testing.T) {
	nodes := together(t, "n1", "n2", "n3")
	if err := nodes[0].Handover(t.Context()); err != nil {
		t.Errorf("of empty logs: %v", err)
	}
	// The third no longer reads the log of the first, and the second cannot.
	if err := nodes[2].SetPeers(nodes[0].Peers()[:1]); err != nil {
		t.Fatal(err)
	}
	store(t, nodes[0], &Event{ID: "a", Room: "w", Lane: protocol.Urgent}, &Event{ID: "b", Room: "w"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := nodes[0].Handover(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"urgent log", "normal log", "n3 in r-n3 lacks up to 1 events"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	stop(t, nodes[1])
	stop(t, nodes[2])
	if err := nodes[0].Handover(t.Context()); !errors.Is(err, errNobody) {
		t.Errorf("nobody is left: %v", err)
	}
}

// TestPositionOfAnotherLogDoesNotCount: the own log was made anew, and the peer has only read the old one.
func TestPositionOfAnotherLogDoesNotCount(t *testing.T) {
	nodes := together(t, "n1", "n2")
	store(t, nodes[0], &Event{ID: "a", Room: "w"})
	conn := nodes[0].roster.Load().toPeers(protocol.Normal)[0].get()
	born := nodes[0].own[protocol.Normal].incarnation
	eventually(t, "n2 has read it", func() error {
		if got := askPosition(t.Context(), conn, "n1", born); got != 1 {
			return fmt.Errorf("up to %d", got)
		}
		return nil
	})
	if got := askPosition(t.Context(), conn, "n1", born.Add(time.Second)); got != 0 {
		t.Errorf("of another log: %d", got)
	}
	if got := askPosition(t.Context(), conn, "n9", born); got != 0 {
		t.Errorf("of an unknown node: %d", got)
	}
}
