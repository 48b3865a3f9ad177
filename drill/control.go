package drill

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Status is what the generator reports once a second over the control socket. Counts are totals
// since its start, of (message, recipient) pairs unless said otherwise.
type Status struct {
	Vendors int       `json:"vendors"` // that are meant to be there
	Joined  int       `json:"joined"`  // sessions joined, of all homes
	Homes   int       `json:"homes"`   // sessions that there should be
	Urgent  LaneCount `json:"urgent"`
	Update  LaneCount `json:"update"`
	// OKMaxMS is the slowest acknowledgement so far, LagMaxMS the generator's own worst lag.
	OKMaxMS  float64 `json:"ok_max_ms"`
	LagMaxMS float64 `json:"lag_max_ms"`
}

// LaneCount counts one lane.
type LaneCount struct {
	Sent      int64 `json:"sent"` // messages
	Expected  int64 `json:"expected"`
	Delivered int64 `json:"delivered"`
	Late      int64 `json:"late"`
	Pending   int64 `json:"pending"` // not delivered and still in time to be
}

// Lost is what was expected and can no longer come in time to count as under way.
func (c LaneCount) Lost() int64 { return max(0, c.Expected-c.Delivered-c.Pending) }

// command is what the drill tells the generator.
type command struct {
	Phase string `json:"phase,omitempty"`
	Stop  bool   `json:"stop,omitempty"`
}

// control is the drill's end of the control socket: it hears how the generator is doing, and tells
// it the phase and when to stop. One generator connects; it may be gone at any time.
type control struct {
	listener net.Listener
	done     chan struct{}

	mu      sync.Mutex // guards the following
	conn    net.Conn
	status  Status
	changed chan struct{} // closed and replaced whenever status changes
	last    command       // said again to a generator that connects late
}

// listenControl serves the control socket at path until ctx ends or close is called.
func listenControl(ctx context.Context, path string) (*control, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	c := &control{listener: listener, done: make(chan struct{}), changed: make(chan struct{})}
	go c.serve() // ends when close closes the listener and the connection
	return c, nil
}

func (c *control) serve() {
	defer close(c.done)
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.conn = conn
		last := c.last
		c.mu.Unlock()
		if last != (command{}) {
			// A generator that cannot be told has gone; its exit is noticed elsewhere.
			_ = json.NewEncoder(conn).Encode(last)
		}
		c.hear(conn)
	}
}

// hear reads reports until the generator hangs up.
func (c *control) hear(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var status Status
		if json.Unmarshal(lines.Bytes(), &status) != nil {
			continue // progress only: the verdict does not rest on it
		}
		c.mu.Lock()
		c.status = status
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// tell sends a command; a generator that is not connected yet hears it when it connects.
func (c *control) tell(cmd command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = cmd
	if c.conn == nil {
		return nil
	}
	if err := json.NewEncoder(c.conn).Encode(cmd); err != nil {
		return fmt.Errorf("telling the generator %+v: %w", cmd, err)
	}
	return nil
}

// latest returns the last report.
func (c *control) latest() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// await waits until a report satisfies ok.
func (c *control) await(ctx context.Context, ok func(Status) bool) error {
	for {
		c.mu.Lock()
		status, changed := c.status, c.changed
		c.mu.Unlock()
		if ok(status) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *control) close() error {
	err := c.listener.Close()
	c.mu.Lock()
	if c.conn != nil {
		err = errors.Join(err, ignoreClosed(c.conn.Close()))
	}
	c.mu.Unlock()
	<-c.done
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
