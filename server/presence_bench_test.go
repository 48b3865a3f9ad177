package server

import (
	"bytes"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// crowd is members of one topic, spread over nodes, who read all that they are sent.
type crowd struct {
	sockets []*websocket.Conn
	bytes   atomic.Int64 // of all frames that the members have got
	came    atomic.Int64 // members that were told of the guest's coming
	went    atomic.Int64
	reading sync.WaitGroup
}

// A guest is who comes and goes; nobody else has this key.
var guestComes, guestGoes = []byte(`{"joins":{"guest":`), []byte(`"leaves":{"guest":`)

func gather(b *testing.B, nodes []*node, size int) *crowd {
	c := &crowd{}
	all := make(chan struct{}, size)
	for i := range size {
		ws := nodes[i%len(nodes)].dial(b, "2.0.0").Conn
		c.sockets = append(c.sockets, ws)
		c.reading.Go(func() { // ends when its socket is closed
			tracked := false
			for {
				_, message, err := ws.ReadMessage()
				if err != nil {
					return
				}
				if !tracked && bytes.HasPrefix(message, []byte(`["1","2"`)) {
					tracked = true
					all <- struct{}{}
				}
				c.bytes.Add(int64(len(message)))
				if bytes.Contains(message, guestComes) {
					c.came.Add(1)
				}
				if bytes.Contains(message, guestGoes) {
					c.went.Add(1)
				}
			}
		})
		for _, frame := range []string{
			fmt.Sprintf(`["1","1","realtime:wedding:42","phx_join",{"config":{"presence":{"enabled":true,"key":"vendor-%d"}}}]`, i),
			`["1","2","realtime:wedding:42","presence",{"type":"presence","event":"track","payload":{"trade":"florist","van":"WX72 ABC","arrived":true}}]`,
		} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range size {
		<-all
	}
	for _, n := range nodes {
		waitFor(b, "all members at "+n.cfg.Node, func() bool { return n.presence.Len() == size })
	}
	return c
}

// BenchmarkPresence is one guest who comes to a topic on one of three nodes and leaves again, and everybody
// there being told of both. Reported per coming and going: bytes between nodes, bytes to one member, and
// the processor time of the whole process, members included.
func BenchmarkPresence(b *testing.B) {
	for _, size := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("members=%d", size), func(b *testing.B) {
			nodes := startThree(b)
			c := gather(b, nodes, size)
			guest := nodes[0].dialWith(b, url.Values{"vsn": {"2.0.0"}, "apikey": {token(b, "authenticated")}})
			c.reading.Go(func() { // ends when the guest's socket is closed
				for {
					if _, _, err := guest.ReadMessage(); err != nil {
						return
					}
				}
			})
			guest.say(`["1","1","realtime:wedding:42","phx_join",{"config":{"presence":{"key":"guest"}}}]`)
			settle := func(count *atomic.Int64, want int64) {
				for deadline := time.Now().Add(patience); count.Load() < want; time.Sleep(200 * time.Microsecond) {
					if time.Now().After(deadline) {
						b.Fatalf("told %d of %d", count.Load(), want)
					}
				}
			}
			rounds := int64(0)
			visit := func() {
				rounds++
				guest.say(`["1","2","realtime:wedding:42","presence",{"event":"track","payload":{"trade":"registrar","arrived":true}}]`)
				settle(&c.came, rounds*int64(size))
				guest.say(`["1","3","realtime:wedding:42","presence",{"event":"untrack"}]`)
				settle(&c.went, rounds*int64(size))
			}
			visit() // behind it, everybody has been told of everybody
			b.ReportAllocs()
			gossip, heard, cpu := gossiped(b, nodes), c.bytes.Load(), processorTime(b)
			for b.Loop() {
				visit()
			}
			per := float64(rounds - 1)
			b.ReportMetric((gossiped(b, nodes)-gossip)/per, "gossip-B/op")
			b.ReportMetric(float64(c.bytes.Load()-heard)/per/float64(size), "B/member/op")
			b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/per, "cpu-µs/op")
			for _, ws := range c.sockets {
				ws.Close()
			}
			guest.Close()
			c.reading.Wait()
		})
	}
}

// gossiped is the bytes that the nodes have sent each other about presence, heartbeats included.
func gossiped(b *testing.B, nodes []*node) float64 {
	b.Helper()
	total := 0.0
	for _, n := range nodes {
		total += n.metric(b, "wedsync_presence_gossip_bytes_total", "sent")
	}
	return total
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
