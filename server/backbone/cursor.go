package backbone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// place identifies a stream and a position in it. A stream that was made anew (its disk was
// replaced) starts from 1 again, so a position means nothing without its incarnation.
type place struct {
	Incarnation time.Time `json:"incarnation"`
	Seq         uint64    `json:"seq"`
}

// laneCursors say: of everything up to Peers[node], the own log holds what it must. That is
// true of one own log only: if the own log is not the same or has lost its end, so are they void.
type laneCursors struct {
	Own   place            `json:"own"`
	Peers map[string]place `json:"peers"`
}

// cursors are kept in a file, so that a restart need not read everything again. Losing the file, or
// a second of it, costs reading and nothing else.
type cursors struct {
	path string

	mu      sync.Mutex // guards the following
	lanes   map[string]*laneCursors
	changed bool
}

// openCursors reads the file in dir, if there is one.
func openCursors(dir string) (*cursors, error) {
	c := &cursors{path: filepath.Join(dir, "cursors.json"), lanes: map[string]*laneCursors{}}
	b, err := os.ReadFile(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("reading the repair cursors: %w", err)
	default:
		if err := json.Unmarshal(b, &c.lanes); err != nil {
			// It is a cache. A half-written one is as good as none.
			c.lanes = map[string]*laneCursors{}
		}
	}
	for _, lane := range logged {
		if l := c.lanes[lane.String()]; l == nil || l.Peers == nil {
			c.lanes[lane.String()] = &laneCursors{Peers: map[string]place{}}
		}
	}
	return c, nil
}

// own tells where the own log stands. The first call after a start drops the cursors of a lane
// whose own log is another one, or ends earlier than it did.
func (c *cursors) own(lane protocol.Lane, at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[lane.String()]
	if !l.Own.Incarnation.Equal(at.Incarnation) || at.Seq < l.Own.Seq {
		l.Peers = map[string]place{}
	}
	if l.Own != at {
		l.Own, c.changed = at, true
	}
}

// get returns the position in a peer's log up to which there is nothing left to do.
func (c *cursors) get(lane protocol.Lane, node string, incarnation time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.lanes[lane.String()].Peers[node]; ok && at.Incarnation.Equal(incarnation) {
		return at.Seq
	}
	return 0
}

// place is where the reading of a peer's log has come to, and in which log.
func (c *cursors) place(lane protocol.Lane, node string) place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lanes[lane.String()].Peers[node]
}

func (c *cursors) set(lane protocol.Lane, node string, at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lanes[lane.String()].Peers[node] = at
	c.changed = true
}

// save writes the file if anything has changed, all or nothing.
func (c *cursors) save() error {
	c.mu.Lock()
	if !c.changed {
		c.mu.Unlock()
		return nil
	}
	c.changed = false
	b, err := json.Marshal(c.lanes)
	c.mu.Unlock()
	if err == nil {
		err = os.WriteFile(c.path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(c.path+".new", c.path)
	}
	if err != nil {
		return fmt.Errorf("writing the repair cursors: %w", err)
	}
	return nil
}
