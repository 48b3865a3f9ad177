package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// tally holds the running totals of all weddings.
type tally struct {
	vendors, joined, homes atomic.Int64
	lanes                  [protocol.Lanes]laneTally
	ack, lag               atomic.Int64 // the worst since the last report, ns
}

type laneTally struct{ sent, expected, delivered, late, lost atomic.Int64 }

func (t *tally) lane(l protocol.Lane) *laneTally { return &t.lanes[l] }

// raise lifts a to v if v is greater.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}

// Report is what the drill is told once a second.
type Report struct {
	Vendors  int64      `json:"vendors"` // that are at work
	Joined   int64      `json:"joined"`  // sockets
	Homes    int64      `json:"homes"`   // how many sockets there should be, also those of weddings that are yet to arrive
	Urgent   LaneReport `json:"urgent"`
	Update   LaneReport `json:"update"`
	Bulk     LaneReport `json:"bulk"`
	OKMaxMS  float64    `json:"ok_max_ms"`  // the slowest answer to a publish since the last report
	LagMaxMS float64    `json:"lag_max_ms"` // the generator's own worst delay since the last report
}

// LaneReport counts deliveries, except Sent, which counts messages. Expected = Delivered + Lost + Pending. What is lost
// of the bulk lane was shed.
type LaneReport struct {
	Sent      int64 `json:"sent"`
	Expected  int64 `json:"expected"`
	Delivered int64 `json:"delivered"`
	Late      int64 `json:"late"`
	Lost      int64 `json:"lost"`
	Pending   int64 `json:"pending"`
}

// Report returns the totals. The two maxima start anew with each call.
func (f *Fleet) Report() Report {
	t := &f.tally
	ms := func(a *atomic.Int64) float64 { return float64(a.Swap(0)/1000) / 1000 }
	return Report{Vendors: t.vendors.Load(), Joined: t.joined.Load(), Homes: t.homes.Load(), Urgent: t.lane(protocol.Urgent).report(),
		Update: t.lane(protocol.Normal).report(), Bulk: t.lane(protocol.Bulk).report(), OKMaxMS: ms(&t.ack), LagMaxMS: ms(&t.lag)}
}

// Arrived returns how many vendors are at work now.
func (f *Fleet) Arrived() int64 { return f.tally.vendors.Load() }

// report reads what was delivered before what was expected, so that pending is never negative.
func (t *laneTally) report() LaneReport {
	r := LaneReport{Late: t.late.Load(), Delivered: t.delivered.Load(), Lost: t.lost.Load()}
	r.Expected, r.Sent = t.expected.Load(), t.sent.Load()
	r.Pending = r.Expected - r.Delivered - r.Lost
	return r
}

// talk reports to the drill once a second and does what it says. When the drill is gone, the schedules end: nobody
// is left to judge what would follow.
func (f *Fleet) talk(ctx context.Context, drill net.Conn) {
	heard := make(chan struct{})
	go func() { // owner: talk, which waits for it; ends with the connection; no queue
		defer close(heard)
		if err := f.listen(drill); err != nil {
			f.cfg.Logger.Error("the drill is not understood: stopping", "error", err)
		}
		if ctx.Err() == nil {
			f.sayStop()
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-heard:
			over = true
		case <-ctx.Done():
			over = true
		}
		line, err := json.Marshal(f.Report())
		if err == nil {
			_ = drill.SetWriteDeadline(time.Now().Add(time.Second)) // fails only if the connection is closed, as the write then does
			_, err = drill.Write(append(line, '\n'))
		}
		if err != nil {
			f.cfg.Logger.Warn("reporting to the drill failed", "error", err)
			over = true
		}
	}
	_ = drill.Close() // the drill sees the end of the stream either way
	<-heard
}

// listen reads the drill's orders, one JSON object per line, until its end of the connection closes.
func (f *Fleet) listen(drill io.Reader) error {
	lines := bufio.NewScanner(drill)
	for lines.Scan() {
		var order struct {
			Phase string `json:"phase"`
			Stop  bool   `json:"stop"`
		}
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&order); err != nil {
			return fmt.Errorf("reading the order %.80q: %w", lines.Text(), err)
		}
		if order.Phase != "" {
			f.setPhase(order.Phase)
		}
		if order.Stop {
			f.sayStop()
		}
	}
	return nil // a broken connection means what an end means
}
