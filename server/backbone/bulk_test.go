package backbone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/protocol"
)

// casts receives casts only.
type casts struct{ each func(*Event) }

func (c casts) Live(*Event) bool { return true }
func (c casts) Stored(*Event)    {}
func (c casts) Cast(ev *Event)   { c.each(ev) }
func (c casts) Announced([]byte) {}

func TestBulkIsLiveOnly(t *testing.T) {
	nodes := together(t, "n1", "n2", "n3")
	var mu sync.Mutex
	got := map[string]int{}
	for _, b := range nodes {
		b.Attach(casts{func(ev *Event) {
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprintf("%s %v %s %d", b.Node(), ev.Lane, ev.ID, len(ev.Payload))]++
		}}, func(*Event) {})
	}
	ev := &Event{ID: "photo", Room: "w", Lane: protocol.Bulk, Payload: make([]byte, MaxPayload)}
	if err := ev.Validate(); err != nil {
		t.Fatal(err)
	}
	nodes[0].Cast(ev)
	eventually(t, "both others", func() error {
		mu.Lock()
		defer mu.Unlock()
		if text := fmt.Sprint(got); text != "map[n2 bulk photo 4194304:1 n3 bulk photo 4194304:1]" {
			return errors.New(text)
		}
		return nil
	})
	if err := nodes[1].Log(t.Context(), protocol.Bulk, func(Stored) error { return nil }); err == nil || !strings.Contains(err.Error(), "bulk") {
		t.Errorf("the log of the bulk lane: %v", err)
	}
	if ev, err := nodes[1].Find(t.Context(), protocol.Bulk, "w", "photo"); ev != nil || err != nil {
		t.Errorf("found %v, %v", ev, err)
	}
}

// TestBulkFloodWaitsAlone floods a narrow wire with bulk, while urgent events are published: every
// connection of the wire has the same share of it. Bulk waits for a second, urgent must not.
func TestBulkFloodWaitsAlone(t *testing.T) {
	far := start(t, testConfig(t, "n2"))
	wire := newNarrow(t, strings.TrimPrefix(far.LogURL(), "nats://"))
	cfg := testConfig(t, "n1")
	cfg.Peers = []Peer{{"n2", "r-n2", "nats://" + wire.Addr().String()}}
	b := start(t, cfg)
	eventually(t, "links", func() error { return linked(b) })

	var mu sync.Mutex
	var bulk []time.Duration // from the call of Cast to its arrival
	far.Attach(casts{func(ev *Event) {
		mu.Lock()
		defer mu.Unlock()
		bulk = append(bulk, time.Since(base)-time.Duration(binary.BigEndian.Uint64(ev.Payload)))
	}}, func(*Event) {})
	publish := func(n int) (took []time.Duration) {
		for i := range n {
			begun, held := time.Now(), make(chan Ack, 2)
			b.Write(&Event{ID: fmt.Sprint(n, i), Room: "w", Lane: protocol.Urgent, HLC: b.Clock().Now(), Payload: make([]byte, 300)},
				begun.Add(10*time.Second), func(a Ack) { held <- a }, always)
			for range 2 {
				if a := <-held; a.Err != nil {
					t.Errorf("in the log of %s: %v", a.Node, a.Err)
				}
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		return took
	}
	quiet := publish(100)

	link := b.roster.Load().toPeers(protocol.Bulk)[0]
	done := make(chan struct{})
	var flood sync.WaitGroup
	var most int64
	flood.Go(func() { // ends with done
		for {
			select {
			case <-done:
				return
			default:
				payload := binary.BigEndian.AppendUint64(make([]byte, 0, 64<<10), uint64(time.Since(base)))
				b.Cast(&Event{Room: "w", Lane: protocol.Bulk, Payload: payload[:64<<10]})
				most = max(most, link.waiting.Load())
			}
		}
	})
	eventually(t, "bulk waits", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(bulk) == 0 || bulk[len(bulk)-1] < 500*time.Millisecond {
			return errors.New("not yet")
		}
		return nil
	})
	busy := publish(101)
	close(done)
	flood.Wait()
	mu.Lock()
	slices.Sort(bulk)
	waited := bulk[len(bulk)*9/10]
	mu.Unlock()
	p90 := func(sorted []time.Duration) time.Duration { return sorted[len(sorted)*9/10] }
	t.Logf("p90 of urgent holds %v, beside the flood %v (max %v); of bulk %v", p90(quiet), p90(busy), busy[len(busy)-1], waited)
	// What may wait is on such a wire for a second.
	if p90(busy) > min(waited, time.Second)/4 {
		t.Errorf("urgent waits %v where bulk waits %v: they share a queue", p90(busy), waited)
	}
	if limit := paces[protocol.Bulk].casts + 2*(64<<10); most > limit {
		t.Errorf("%d bytes waited for the wire, allowed are %d", most, limit)
	}
	if testutil.ToFloat64(link.m.dropped) == 0 {
		t.Error("nothing was dropped, or it was not counted")
	}
}

// newNarrow is a road to a server on which every connection is carried at 4 MiB per second.
func newNarrow(t *testing.T, to string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() { // ends when the listener is closed
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
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				running.Go(func() { // ends when either is closed
					defer way[1].Close()
					for {
						n, err := io.CopyN(way[1], way[0], 16<<10)
						time.Sleep(time.Duration(n) * time.Second / (4 << 20)) // it is what a wire does
						if err != nil {
							return
						}
					}
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l
}
