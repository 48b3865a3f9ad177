package backbone

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/protocol"
)

// nobody returns peers at addresses where nobody is.
func nobody(t testing.TB, names ...string) []Peer {
	t.Helper()
	var peers []Peer
	for _, name := range names {
		peers = append(peers, Peer{name, "r-" + name, "nats://" + loopback.Must(t)})
	}
	return peers
}

// together starts nodes that know each other, each in a region of its own, and waits for their links.
func together(t testing.TB, names ...string) []*Backbone {
	t.Helper()
	peers := nobody(t, names...)
	var nodes []*Backbone
	for _, p := range peers {
		cfg := testConfig(t, p.Node)
		cfg.Listen, cfg.Peers = strings.TrimPrefix(p.URL, "nats://"), peers
		nodes = append(nodes, start(t, cfg))
	}
	for _, b := range nodes {
		eventually(t, "links of "+b.Node(), func() error { return linked(b) })
	}
	return nodes
}

// series are the labels of all metrics of a peer.
func series(t testing.TB, registry *prometheus.Registry, peer string) (n int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "peer" && l.GetValue() == peer {
					n++
				}
			}
		}
	}
	return n
}

func TestSetPeersTouchesNothingElse(t *testing.T) {
	peers := nobody(t, "n1", "n2", "n3", "n4")
	cfg, registry := testConfig(t, "n1"), prometheus.NewRegistry()
	cfg.Peers, cfg.Registerer = peers[:3], registry
	b := start(t, cfg)
	var told []string
	b.OnPeers(func(peers []Peer) { told = append(told, names(peers)) })
	before := b.roster.Load()
	b.cursors.set(protocol.Normal, "n3", place{time.UnixMilli(1), 7})

	acks := make(chan Ack, 10)
	publish := func() {
		b.Write(&Event{ID: fmt.Sprint(time.Now().UnixNano()), Room: "w", HLC: b.Clock().Now()}, time.Now().Add(time.Hour), func(a Ack) { acks <- a }, always)
	}
	publish()
	if a := <-acks; a.Node != "n1" || a.Err != nil {
		t.Fatalf("first ack: %+v", a)
	}
	if err := b.SetPeers([]Peer{peers[1], peers[0], peers[3]}); err != nil {
		t.Fatal(err)
	}
	if a := <-acks; a.Node != "n3" || !errors.Is(a.Err, errRemoved) {
		t.Errorf("the copy for the node that is gone: %+v", a)
	}
	now := b.roster.Load()
	if now.neighbours["n2"] != before.neighbours["n2"] || now.neighbours["n3"] != nil || now.neighbours["n4"] == nil {
		t.Errorf("neighbours: %v, before %v", now.neighbours, before.neighbours)
	}
	for lane, links := range now.links {
		if len(links) != 3 || links[0] != b.self[lane] {
			t.Errorf("%v lane: %d links", protocol.Lane(lane), len(links))
		}
	}
	for peer, want := range map[string]int{"n2": 3 + 1 + 2 + 2 + 3 + 2 + 3 + 2, "n3": 0, "n4": 18} {
		if got := series(t, registry, peer); got != want {
			t.Errorf("%d series of %s, want %d", got, peer, want)
		}
	}
	if at := b.cursors.place(protocol.Normal, "n3"); at.Seq != 7 {
		t.Errorf("how far the log of n3 was read is forgotten: %+v", at)
	}

	// Somebody who has loaded the roster a moment ago still finds the old links.
	before.neighbours["n3"].links[protocol.Normal].put(&write{done: func(a Ack) { acks <- a }})
	if a := <-acks; a.Node != "n3" || !errors.Is(a.Err, errRemoved) {
		t.Errorf("a late copy: %+v", a)
	}

	if err := b.SetPeers([]Peer{peers[3], peers[1]}); err != nil { // the same in another order
		t.Fatal(err)
	}
	if b.roster.Load() != now {
		t.Error("the same peers were set anew")
	}
	moved := peers[1]
	moved.Region = "r-n4"
	if err := b.SetPeers([]Peer{moved, peers[3]}); err != nil {
		t.Fatal(err)
	}
	if got := b.roster.Load(); got.neighbours["n2"] == now.neighbours["n2"] || b.Regions() != 2 || series(t, registry, "n2") != 18 {
		t.Errorf("a peer that moved: %d regions, %d series", b.Regions(), series(t, registry, "n2"))
	}
	if err := b.SetPeers(nil); err != nil || b.Regions() != 1 || b.Ready() != nil || b.OtherRegion() != b.Region() {
		t.Errorf("alone: %v, %d regions, %v", err, b.Regions(), b.Ready())
	}
	if want := []string{"n2 n3", "n2 n4", "n4 n2", ""}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	publish()
	for _, want := range []string{"n2", "n1"} { // the first publication's copy for n2, which has moved
		if a := <-acks; a.Node != want || (a.Err == nil) != (want == "n1") {
			t.Errorf("alone: %+v, want %s", a, want)
		}
	}
}

func names(peers []Peer) string {
	var names []string
	for _, p := range peers {
		names = append(names, p.Node)
	}
	return strings.Join(names, " ")
}

func TestSetPeersRefuses(t *testing.T) {
	peers := nobody(t, "n2")
	cfg := testConfig(t, "n1")
	cfg.Peers = peers
	b := start(t, cfg)
	err := b.SetPeers([]Peer{{"n3", "r3", "http://x"}, {"n4", "", "nats://x:1"}, {"n4", "r4", "nats://:1"}})
	for _, want := range []string{"stay", "n3", "region of peer n4", "twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not mentioned in: %v", want, err)
		}
	}
	if got := b.Peers(); !slices.Equal(got, peers) {
		t.Errorf("peers: %v", got)
	}
	stop(t, b)
	if err := b.SetPeers(nil); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAnnouncedPeerDoesNotMakeUnready: a node is announced before it is started.
func TestAnnouncedPeerDoesNotMakeUnready(t *testing.T) {
	nodes := together(t, "n1", "n2")
	eventually(t, "caught up", func() error { return caughtUp(nodes[0]) })
	if err := nodes[0].SetPeers(append(nodes[0].Peers(), nobody(t, "n3")...)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(caughtUp(nodes[0]), nodes[0].Ready()); err != nil {
		t.Error(err)
	}
}

func caughtUp(b *Backbone) error {
	if ok, why := b.CaughtUp(); !ok {
		return errors.New(why)
	}
	return nil
}

// TestStuckPeerIsRemovedAtOnce: its socket takes nothing, and a write into it waits.
func TestStuckPeerIsRemovedAtOnce(t *testing.T) {
	far := start(t, testConfig(t, "n2"))
	frozen := newFrozen(t, strings.TrimPrefix(far.LogURL(), "nats://"))
	cfg := testConfig(t, "n1")
	cfg.Peers = []Peer{{"n2", "r-n2", "nats://" + frozen.listener.Addr().String()}}
	b := start(t, cfg)
	eventually(t, "links", func() error { return linked(b) })
	frozen.freeze()
	ev := &Event{ID: "x", Room: "w", Lane: protocol.Bulk, Payload: make([]byte, MaxPayload)}
	l := b.roster.Load().toPeers(protocol.Bulk)[0]
	eventually(t, "bulk waits for the wire", func() error {
		b.Cast(ev)
		if l.waiting.Load() <= paces[protocol.Bulk].casts {
			return errors.New("it does not")
		}
		return nil
	})
	begun := time.Now()
	if err := b.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > paces[protocol.Bulk].stuckAfter/2 {
		t.Errorf("removing a peer that reads nothing took %v", took)
	}
}

// frozen is a road to a server that can stop carrying: nothing is closed, nothing is read.
type frozen struct {
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex // guards the following
	conns []net.Conn
	gate  chan struct{} // closed: it carries
}

func newFrozen(t *testing.T, to string) *frozen {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &frozen{listener: l, gate: make(chan struct{})}
	close(f.gate)
	f.running.Go(func() { // ends when the listener is closed
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, in, out)
			f.mu.Unlock()
			f.running.Go(func() { f.carry(in, out) }) // end when either is closed
			f.running.Go(func() { f.carry(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for _, c := range f.conns {
			c.Close()
		}
		select {
		case <-f.gate:
		default:
			close(f.gate)
		}
		f.mu.Unlock()
		f.running.Wait()
	})
	return f
}

func (f *frozen) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = make(chan struct{})
}

func (f *frozen) carry(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		f.mu.Lock()
		gate := f.gate
		f.mu.Unlock()
		<-gate
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
