package backbone

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// TestLinkOutlivesRefusals: at the address of a peer is the log of another cluster, or one of an older
// node that has no such lane. When the right one is there it is used.
func TestLinkOutlivesRefusals(t *testing.T) {
	peers := nobody(t, "n1", "n2")
	config := func(i int, secret string) Config {
		cfg := testConfig(t, peers[i].Node)
		cfg.Listen, cfg.Peers, cfg.Secret = strings.TrimPrefix(peers[i].URL, "nats://"), peers, secret
		return cfg
	}
	stranger := start(t, config(1, "another secret"))
	b := start(t, config(0, "s"))
	eventually(t, "some refusals", func() error {
		vars, err := stranger.server.srv.Varz(nil)
		if err == nil && vars.TotalConnections < uint64(5*len(lanes)) { // its own are among them
			err = fmt.Errorf("only %d connections", vars.TotalConnections)
		}
		return err
	})
	stop(t, stranger)
	start(t, config(1, "s"))
	eventually(t, "links", func() error { return linked(b) })
}

// TestCopiesUnderWayAreBoundedByTheirSize: of the largest a few are enough.
func TestCopiesUnderWayAreBoundedByTheirSize(t *testing.T) {
	cfg := testConfig(t, "n1")
	cfg.Peers = nobody(t, "n2")
	b := start(t, cfg)
	l := b.roster.Load().toPeers(protocol.Normal)[0]
	data := make([]byte, MaxPayload)
	refused := 0
	for range 40 {
		l.put(&write{data: data, until: time.Now().Add(time.Hour), wanted: always, done: func(a Ack) {
			if errors.Is(a.Err, errQueueFull) {
				refused++
			}
		}})
	}
	if want := 40 - pendingBytes/MaxPayload - 1; refused != want {
		t.Errorf("%d of 40 were skipped, want %d", refused, want)
	}
}
