package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/room"
)

// stall makes the client's side of a connection hold little.
func (c *client) stall() {
	c.t.Helper()
	tcp, ok := c.NetConn().(*net.TCPConn)
	if !ok {
		c.t.Fatal("no TCP connection")
	}
	if err := tcp.SetReadBuffer(64 << 10); err != nil {
		c.t.Fatal(err)
	}
}

// An urgent frame overtakes what waits for a slow reader: it comes right behind what was already on
// the wire, not behind megabytes in a kernel buffer.
func TestUrgentOvertakesQueuedFrames(t *testing.T) {
	n := start(t)
	slow := n.joined(t, "realtime:r", `{}`)
	slow.stall()
	c := n.joined(t, "realtime:r", `{"broadcast":{"ack":true}}`)
	const background, size = 300, 10_000
	for i := range background {
		c.say(fmt.Sprintf(`["1","%d","realtime:r","broadcast",{"event":"photo","payload":"%s"}]`, i, strings.Repeat("x", size)))
		c.hear() // the ack: it is queued
	}
	c.say(`["1","u","realtime:r","broadcast",{"event":"urgent","payload":"storm"}]`)
	c.hear()
	for i := range background + 1 {
		if got := slow.hear(); strings.Contains(got, `"storm"`) {
			t.Logf("urgent came after %d of %d frames of %d bytes", i, background, size)
			if i > background/4 {
				t.Error("that is too late")
			}
			return
		}
	}
	t.Error("urgent did not come")
}

// A member that stops reading is disconnected; the others' urgent messages are not delayed by it.
func TestSlowReaderDelaysNobody(t *testing.T) {
	n := start(t, func(c *Config) { c.Socket.NormalBytes, c.Socket.CloseGrace = 1<<20, 50*time.Millisecond })
	slow := n.joined(t, "realtime:r", `{}`)
	slow.stall()
	other := n.joined(t, "realtime:r", `{}`)
	c := n.joined(t, "realtime:r", `{}`)
	worst := time.Duration(0)
	for round := range 40 {
		for range 10 {
			c.say(`["1","2","realtime:r","broadcast",{"event":"photo","payload":"` + strings.Repeat("x", 20_000) + `"}]`)
			other.hear()
		}
		begin := time.Now()
		c.say(`["1","3","realtime:r","broadcast",{"event":"urgent","payload":"storm"}]`)
		if got := other.hear(); !strings.Contains(got, `"storm"`) {
			t.Fatalf("round %d: %.80s", round, got)
		}
		worst = max(worst, time.Since(begin))
	}
	if worst > time.Second { // waiting for the slow reader would take WriteTimeout, ten
		t.Errorf("an urgent message took %s", worst)
	}
	waitFor(t, "the slow reader to be disconnected", func() bool {
		return testutil.ToFloat64(n.metrics.ConnectionsClosed.WithLabelValues("overflow")) == 1
	})
	if got := testutil.ToFloat64(n.metrics.SlowConsumers); got != 1 {
		t.Errorf("%v slow consumers counted", got)
	}
}

// Each flaw is seen by a member as it will be by the checker.
func TestFlaws(t *testing.T) {
	const storm = `"storm"`
	for spec, want := range map[string]int{"drop-urgent:1": 0, "twice-urgent:1": 2, "delay-urgent:1:30ms": 1} {
		t.Run(spec, func(t *testing.T) {
			flaw, err := room.ParseFlaw(spec)
			if err != nil {
				t.Fatal(err)
			}
			n := start(t, func(c *Config) { c.Flaw = flaw })
			other := n.joined(t, "realtime:r", `{}`)
			c := n.joined(t, "realtime:r", `{}`)
			begin := time.Now()
			c.say(`["1","2","realtime:r","broadcast",{"event":"urgent","payload":"storm"}]`)
			for i := range want {
				if got := other.hear(); !strings.Contains(got, storm) {
					t.Fatalf("copy %d: %s", i, got)
				}
			}
			if took := time.Since(begin); flaw.Delay > took {
				t.Errorf("came after %s", took)
			}
			if want == 0 {
				waitFor(t, "the drop", func() bool {
					return testutil.ToFloat64(n.metrics.MessagesDropped.WithLabelValues("flaw")) == 1
				})
			}
			other.silence()
			if !strings.Contains(n.log.String(), "BREAKS ITS PROMISES ON PURPOSE") {
				t.Error("the log does not say so")
			}
			if got := testutil.ToFloat64(n.metrics.Flaw.WithLabelValues(spec)); got != 1 {
				t.Errorf("the metric says %v", got)
			}
		})
	}
}

func TestFlawAckEarlySaysSo(t *testing.T) {
	n := start(t, func(c *Config) { c.Flaw = room.Flaw{Kind: room.AckEarly} })
	if !strings.Contains(n.log.String(), "flaw=ack-early") {
		t.Error("the log does not say so")
	}
	c := n.joined(t, "realtime:r", `{"private":true,"broadcast":{"ack":true}}`)
	c.publishAcked("m1")
}
