// Package presence is who is where, the same on all nodes.
//
// A Tracker is the presence of one node. The server tells it what the channels of this node say
// (Track, Untrack), asks it for the list that a client gets when it joins (State), and is told what
// to send to whom: changes to the members of a room (Config.Deliver, a Diff), messages to the other
// nodes (Config.Gossip, Receive).
//
// # How nodes agree
//
// Presence is a set of entries, the union of one set per node, and only the node itself writes its
// set: an observed-remove set with a single writer. Every change has a dot: node, incarnation (one
// life of the process) and seq, which counts the changes. A node's copy of another's set is what
// that set was after change seq of an incarnation. So there is nothing to resolve when copies
// are merged: a later seq of the same incarnation wins, a later incarnation replaces everything, and
// the order in which news of different nodes arrive does not matter.
//
// What is sent, to every peer:
//
//   - a delta: what came and left after seq a up to seq b. The first change goes at once, later ones
//     together every Window (20 ms); what came and left in between is not sent.
//   - a heartbeat each 500 ms: incarnation, seq, number of entries; about 16 bytes and the node's name.
//   - a request, when a delta does not begin where the copy ends or a heartbeat has other numbers:
//     something got lost, or one of the two nodes has just started. The answer is the full set in
//     messages of at most 256 KiB. Nothing else is ever sent in full.
//   - a goodbye at the end.
//
// A node that is drained (Depart) keeps the entries of the members that it sends away until they are back
// elsewhere, and so do its peers for a moment after its goodbye: a supplier that changes nodes
// does not seem to leave.
//
// Silence of a node for DownAfter (1.8 s) makes its entries leave; they are kept aside. If it speaks
// again with the same incarnation and no gap they are shown again under their old references;
// otherwise its full set is asked for. Each node judges by what it hears itself: if A cannot hear B,
// nobody but A stops showing B's entries.
//
// # What clients are told
//
// A diff goes to every member of a room, so a thousand joins told one by one are a million frames.
// The first change of a room is told at once, later ones together: 20 ms apart in a small room, 250
// ms apart in one of a thousand. Which changes of a window are told is chosen so that the first state of
// a client and the diffs around it need no common order: see Diff.
//
// # What it costs
//
// Three nodes, suppliers with a payload of 88 bytes, one room; BenchmarkJoinLeave and TestStorm:
//
//	                                   100 members   1,000 members
//	gossip of one join, to both peers        300 B           300 B
//	gossip of one leave, to both peers        58 B            58 B
//	diff of one join or leave, each node     168 B           168 B
//	CPU of a join and a leave, all nodes     14 µs           14 µs
//	state for a client that joins, once     14 KiB, 14 µs   142 KiB, 145 µs
//	full set to a peer after a gap          10 KiB, 0.14 ms 104 KiB, 1.3 ms
//
// A thousand joins within a second: 15 diffs on each node instead of 1,000, and 0.2 MB of gossip in
// the whole cluster. A thousand members that stay cost two heartbeats a second and 0.4 MB on each node.
//
// # How it is built
//
// Everything that decides is in replica, which knows no clock, lock or goroutine; it is made of own
// (the set of this node), peer (the copy of another's), room (what follows from them for clients),
// and message. Tracker puts a lock around it and runs two loops: one for gossip, one for diffs.
package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Tracker is the presence of one node. It is safe for concurrent use.
type Tracker struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	ids     atomic.Uint64
	started atomic.Bool
	peers   atomic.Int64 // how many there are

	complain rate.Sometimes // limits what broken messages write to the log

	tell   chan struct{} // wakes the loop of diffs; holds one signal
	gossip chan struct{} // wakes the loop of messages; holds one signal

	mu      sync.RWMutex // guards the following; held for no call of the configured functions
	replica *replica
}

// New returns a Tracker, or says all that is wrong with the configuration. Nothing is told to
// anyone before Run.
func New(cfg Config) (*Tracker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of presence: %w", err)
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	t := &Tracker{
		cfg: cfg, log: cfg.Logger.With("part", "presence"), metrics: m,
		tell: make(chan struct{}, 1), gossip: make(chan struct{}, 1),
		complain: rate.Sometimes{Interval: 10 * time.Second},
		replica:  newReplica(&cfg, newIncarnation()),
	}
	t.peers.Store(int64(len(cfg.Peers)))
	return t, nil
}

// SetPeers changes who the other nodes are; the own name, if it is among them, is passed over. On an error nothing
// has changed. What a node that is no longer among them has shown leaves after DownAfter.
func (t *Tracker) SetPeers(names []string) error {
	if err := errors.Join(validatePeers(names)...); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	names = others(names, t.cfg.Node)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replica.setPeers(names, time.Now())
	t.peers.Store(int64(len(names)))
	t.changed()
	return nil
}

// newIncarnation grows from start to start of a process by its clock; the random part keeps two
// starts apart if the clock does not.
func newIncarnation() uint64 {
	const random = 20 // bits
	return uint64(time.Now().UnixMilli())<<random | rand.Uint64N(1<<random)
}

// NewID returns an id for one channel instance of this node.
func (t *Tracker) NewID() uint64 { return t.ids.Add(1) }

// Track makes an entry seen, in place of the one that had this id. It reports whether that changed
// anything: the same entry again does not, and neither does one that Entry.Validate refuses.
func (t *Tracker) Track(id uint64, e Entry) (changed bool) {
	clean, err := e.clean()
	if err != nil {
		t.log.Warn("presence not tracked: the server should have refused it", "room", e.Room, "err", err)
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	changed = t.replica.track(id, clean, time.Now())
	if changed {
		t.changed()
	}
	return changed
}

// Untrack ends an entry. An id that has none does no harm.
func (t *Tracker) Untrack(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replica.untrack(id, time.Now()) {
		t.changed()
	}
}

// Depart is Untrack for a member that has been sent to another node: its entry stays until the same key has been tracked
// again in its room, here or elsewhere, and everybody knows it, or until Linger is over, or until this
// node has said goodbye and its peers have waited for DownAfter more. So who comes back in time has never been away.
func (t *Tracker) Depart(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replica.depart(id, time.Now())
}

// State returns the presence_state payload for a member at path: the entries there and below.
// Call it after the member has begun to receive diffs, and it will miss nothing: a client keeps the
// diffs that come before its first state. A later state undoes what came between this call and it:
// call this and queue the result under the lock that Deliver takes to queue diffs.
func (t *Tracker) State(room, path string) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.replica.state(room, path)
}

// Len is the number of entries that clients see.
func (t *Tracker) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.replica.own.metas) + t.replica.shown
}

// Receive takes a gossip message of a peer. It does not keep data.
func (t *Tracker) Receive(data []byte) {
	t.metrics.received.Add(float64(len(data)))
	m, err := decode(data)
	if err != nil {
		t.metrics.malformed.Inc()
		t.complain.Do(func() { t.log.Warn("presence message of another node dropped", "err", err) })
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known, back := t.replica.receive(m, time.Now())
	if !known {
		t.metrics.malformed.Inc()
		t.complain.Do(func() {
			t.log.Warn("presence message of an unknown node dropped: name every node as a peer", "node", m.node)
		})
		return
	}
	if back {
		t.log.Info("a node is heard: its presence entries are shown", "node", m.node)
	}
	t.changed()
}

// changed wakes the loops. The lock is held.
func (t *Tracker) changed() {
	t.metrics.local.Set(float64(len(t.replica.own.metas)))
	t.metrics.remote.Set(float64(t.replica.shown))
	for _, loop := range []chan struct{}{t.tell, t.gossip} {
		select {
		case loop <- struct{}{}:
		default: // it has been woken, and has not looked yet
		}
	}
}

// Run tells the rooms and the peers what changes, until ctx ends. Then it says goodbye to the peers.
func (t *Tracker) Run(ctx context.Context) error {
	if t.started.Swap(true) {
		return errors.New("presence runs already: make a new tracker for a new run")
	}
	// Two loops, so that a large fan-out does not delay a heartbeat. Both end with ctx; their queue
	// is the changes of one window, later ones of an entry in place of earlier ones.
	var loops sync.WaitGroup
	loops.Go(func() { t.runDiffs(ctx) })
	loops.Go(func() { t.runGossip(ctx) })
	loops.Wait()
	return nil
}
