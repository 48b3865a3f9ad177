package server

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/server/limit"
)

// wedding is some sockets in one room, of which one says something urgent all the time.
type wedding struct {
	mu   sync.Mutex // guards the following
	sent map[string]time.Time
	took []time.Duration // by every message to every guest
}

// wed lets a wedding go on until stop is called, which ends its sockets.
func (n *node) wed(t testing.TB, guests int) (w *wedding, stop func()) {
	w = &wedding{sent: map[string]time.Time{}}
	planner := n.joined(t, "realtime:wedding:42", `{}`)
	var all []*client
	var running sync.WaitGroup
	for range guests {
		c := n.joined(t, "realtime:wedding:42", `{}`)
		all = append(all, c)
		running.Go(func() { // ends with the socket
			for {
				_, message, err := c.ReadMessage()
				if err != nil {
					return
				}
				w.hear(string(message))
			}
		})
	}
	over := make(chan struct{})
	running.Go(func() { // ends with stop
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			id := fmt.Sprintf("u%06d", i)
			w.mu.Lock()
			w.sent[id] = time.Now()
			w.mu.Unlock()
			frame := push(fmt.Sprint(i%100), "realtime:wedding:42", "e", `{"id":"`+id+`","lane":"urgent"}`, 1, `{}`)
			if err := planner.WriteMessage(websocket.BinaryMessage, []byte(frame)); err != nil {
				t.Errorf("the planner: %v", err)
				return
			}
		}
	})
	return w, func() {
		close(over)
		for _, c := range append(all, planner) {
			c.Close()
		}
		running.Wait()
	}
}

func (w *wedding) hear(message string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range len(message) - len("u000000") {
		if at, ok := w.sent[message[i:i+len("u000000")]]; ok {
			w.took = append(w.took, now.Sub(at))
			return
		}
	}
}

// quantile takes what has been measured since the last time.
func (w *wedding) quantiles() (n int, p50, p99, most time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := w.took
	w.took = nil
	if len(took) == 0 {
		return 0, 0, 0, 0
	}
	slices.Sort(took)
	return len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
}

// Three thousand connect within two seconds: all of them get in, nobody is turned away, and those who are in
// already go on.
func TestStormBesideAWedding(t *testing.T) {
	if testing.Short() {
		t.Skip("a storm takes seconds")
	}
	const storm, within = 3000, 2 * time.Second
	limits := limit.Default()
	n := start(t, limited(limits), func(c *Config) { c.HoldDeadline = 100 * time.Millisecond; c.Limits.EventsPerSecond = 0 })
	w, stop := n.wed(t, 9)
	defer stop()
	waitFor(t, "a calm phase", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.took) > 1500 })
	calm, calm50, calm99, calmMost := w.quantiles()

	address := n.socketURL(t)
	begin := time.Now()
	var mu sync.Mutex
	var open []*websocket.Conn
	var all sync.WaitGroup
	slowest := limits.ConnectsPerSecond
	over := make(chan struct{})
	for i := range storm {
		all.Go(func() { // ends when it is let in
			time.Sleep(time.Duration(i) * within / storm)
			ws, response, err := websocket.DefaultDialer.Dial(address, nil)
			if err != nil {
				t.Errorf("turned away: %v %v", response, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			open = append(open, ws)
		})
	}
	go func() { all.Wait(); close(over) }() // ends with the storm
	line := 0
	for stormy := true; stormy; {
		slowest, line = min(slowest, int(n.metric(t, limit.MetricRate, ""))), max(line, n.limits.Admission.Waiting())
		select {
		case <-over:
			stormy = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	took := time.Since(begin)
	heard, storm50, storm99, stormMost := w.quantiles()
	t.Logf("calm:  %5d urgent, p50 %v, p99 %v, max %v", calm, calm50, calm99, calmMost)
	t.Logf("storm: %5d urgent, p50 %v (x %.1f), p99 %v (x %.1f), max %v", heard, storm50, float64(storm50)/float64(calm50),
		storm99, float64(storm99)/float64(calm99), stormMost)
	t.Logf("%d in after %v, the longest line %d, the lowest rate %d/s", len(open), took, line, slowest)
	if len(open) != storm || n.reached(t, limit.Waiting) != 0 {
		t.Errorf("%d of %d came in, %v were turned away", len(open), storm, n.reached(t, limit.Waiting))
	}
	if heard == 0 {
		t.Error("nobody at the wedding has heard anything during the storm")
	}
	for _, ws := range open {
		ws.Close()
	}
}
