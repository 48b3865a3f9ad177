// Package receipt is who has been told of an urgent message, and what happens if somebody has not.
//
// Recipients that joined with config.wedsync.confirms say for each urgent message that they have it. A Ledger
// is the book of one node about that: the server tells it who joins and leaves (Join, End), which urgent
// messages there are (Published) and who has them (Receipt). It answers who has been told (Status), and when
// somebody has not after EscalateAfter, it has an escalation published where the message was.
//
// # Who is expected
//
// The roster says who belongs to a room: everybody who joined it under a key of their own, on any node, until
// they leave it on purpose. A socket that breaks, or a region that dies, takes nobody off the roster: these are
// the ones who must not be forgotten. Whoever has not been seen for RosterFor (12 h) is.
//
// A message expects those who belonged to its room when it was published and still do, but for its publisher.
// Others may confirm it too, for example who joins later and gets it by resuming.
//
// # How nodes agree
//
// The roster is a map from (room, key) to a standing, and the later one holds, by hybrid logical clock. So
// nodes can tell each other in any order and as often as they like. Changes go to all at most every 250 ms. A
// beat each second says that the node lives, and carries a digest of its roster. Whoever hears one that is
// not its own sends the digests of its 64 parts, and is sent the parts that differ. A member that leaves one
// node while it stays on another (it has moved, or has two homes) is put back by that other node.
//
// Receipts are live only, so a node may have missed some. Before it escalates, it asks the others for theirs.
//
// # Who escalates
//
// Every node knows the message and the roster, so any of them can. They are ranked by a hash of node and
// message (rendezvous hashing), each node by itself: the first escalates at once, each one after it a second
// later, unless it has seen the escalation by then. Its id follows from that of the message, so if two do it
// after all, the second is taken for a repetition of the first.
//
// # How it is built
//
// roster, tally, agenda and gossip know no clock, lock or goroutine. Ledger puts a lock around them, and runs
// one loop. What the path of a message calls takes the lock for a few accesses of maps.
package receipt

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/wedsync/wedsync/server/backbone"
)

// Ledger is who has been told, as one node knows it. It is safe for concurrent use.
type Ledger struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	started atomic.Bool

	complain rate.Sometimes // limits what broken messages write to the log

	wake  chan struct{}  // wakes the loop; holds one signal
	slots chan struct{}  // one per escalation that is being published
	busy  sync.WaitGroup // those escalations

	mu      sync.Mutex // guards the following; held for no call of the configured functions
	roster  *roster
	dirty   map[member]struct{} // news of the roster for the others
	flushed time.Time
	replies []gossip         // to go out
	peers   map[string]*peer // all that have been heard of late
	tallies map[message]*tally
	order   queue[*tally] // of tallies, as they came
	early   map[message]*early
	earlies queue[message] // of early, as they came
	agenda  agenda
}

// early is what came before its message.
type early struct {
	told      []Told
	at        []time.Time // of each
	escalated bool
}

const (
	maxEarly         = 1024 // messages of which receipts came first
	maxEarlyReceipts = 100  // of one of them; what is over it is asked for before an escalation
)

// New returns a Ledger, or says all that is wrong with the configuration. Nothing is told to anyone
// before Run.
func New(cfg Config) (*Ledger, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of receipts: %w", err)
	}
	cfg = cfg.withDefaults()
	l := &Ledger{
		cfg: cfg, log: cfg.Logger.With("part", "receipts"),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, maxPublishing),
		complain: rate.Sometimes{Interval: 10 * time.Second},
		roster:   newRoster(cfg.MaxMembers), dirty: map[member]struct{}{},
		peers: map[string]*peer{}, tallies: map[message]*tally{}, early: map[message]*early{},
	}
	var err error
	if l.metrics, err = newMetrics(cfg.Registerer, l.untold, l.members); err != nil {
		return nil, err
	}
	return l, nil
}

// Join says that a session of this node has joined a room, and will confirm urgent messages as key. End must
// follow. It reports whether the member can be expected: not without a key of its own, under which
// it would come back.
func (l *Ledger) Join(room, key string) bool {
	if !fits(room, backbone.MaxRoom) || !fits(key, backbone.MaxName) {
		return false
	}
	m := member{room, key}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roster.join(m, l.cfg.Clock()) {
		l.tell(m)
	}
	return true
}

// fits says whether a name can be told to other nodes.
func fits(name string, limit int) bool {
	return name != "" && len(name) <= limit && utf8.ValidString(name)
}

// End says that such a session has ended. left says that the member wanted it so: it is not expected any more,
// unless it has another session, on any node.
func (l *Ledger) End(room, key string, left bool) {
	m := member{room, key}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roster.end(m, left, l.cfg.Clock()) {
		l.tell(m)
	}
}

// tell has the others told what is new about a member. mu is held.
func (l *Ledger) tell(m member) {
	l.dirty[m] = struct{}{}
	if len(l.dirty) == 1 { // else it knows
		l.rouse()
	}
}

// rouse wakes the loop.
func (l *Ledger) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // it has been woken, and has not looked yet
	}
}

// Published takes an urgent message that has reached this node, in any way. One that is older than
// what is kept, or has no id, is passed over.
func (l *Ledger) Published(ev *backbone.Event) {
	now := time.Now()
	if ev.ID == "" || now.Sub(ev.HLC.Time()) > l.cfg.Keep {
		return
	}
	m := message{ev.Room, ev.ID}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tallies[m] != nil {
		return
	}
	t := &tally{message: m, path: ev.Path, from: ev.From, origin: ev.Origin, published: ev.HLC}
	l.tallies[m] = t
	l.order.push(t)
	if l.order.len() > l.cfg.MaxTallies {
		l.drop()
		l.metrics.forgotten.Inc()
	}
	l.adoptEarly(t)
	if l.cfg.EscalateAfter > 0 && !t.escalated {
		if l.agenda.put(t, waiting, l.firstLook(t, now)); l.agenda[0] == t {
			l.rouse()
		}
	}
}

// adoptEarly gives a tally what came before it. mu is held.
func (l *Ledger) adoptEarly(t *tally) {
	e := l.early[t.message]
	if e == nil {
		return
	}
	delete(l.early, t.message)
	t.escalated = e.escalated
	for i, r := range e.told {
		r.AfterMS = since(t.published, e.at[i]).Milliseconds()
		l.confirm(t, r)
	}
}

// since is the time from a clock reading to a time, which another machine's clock may make negative.
func since(published backbone.HLC, now time.Time) time.Duration {
	return max(0, now.Sub(published.Time()))
}

// Receipt takes the receipt of a member of any node. Those of escalations are passed over.
func (l *Ledger) Receipt(room, id, by, region string) {
	if strings.HasPrefix(id, EscalationPrefix) {
		return
	}
	now := time.Now()
	m := message{room, id}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tallies[m]; t != nil {
		l.confirm(t, Told{By: by, Region: region, AfterMS: since(t.published, now).Milliseconds()})
		return
	}
	if e := l.before(m); len(e.told) < maxEarlyReceipts {
		e.told, e.at = append(e.told, Told{By: by, Region: region}), append(e.at, now)
	}
}

// before returns what is kept for a message that has not come. mu is held.
func (l *Ledger) before(m message) *early {
	e := l.early[m]
	if e == nil {
		e = &early{}
		l.early[m] = e
		l.earlies.push(m)
		if l.earlies.len() > maxEarly {
			delete(l.early, l.earlies.pop())
		}
	}
	return e
}

// confirm takes a receipt for a tally. mu is held.
func (l *Ledger) confirm(t *tally, r Told) {
	if t.confirm(r) && t.origin == l.cfg.Node { // one node counts it, the one by whose clock it was published
		l.metrics.receipt.Observe(float64(r.AfterMS) / 1000)
	}
}

// Escalated says that the escalation of a message has been seen.
func (l *Ledger) Escalated(room, id string) {
	m := message{room, id}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tallies[m]; t != nil {
		t.escalated = true
		return
	}
	l.before(m).escalated = true
}

// Status is who has been told of a message. If several rooms have one of this id, it is the one that came
// last.
func (l *Ledger) Status(id string) (Tally, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *tally
	for t := range l.order.all() {
		if t.id == id {
			found = t
		}
	}
	if found == nil {
		return Tally{}, false
	}
	return found.status(l.roster), true
}

// drop forgets the oldest tally. mu is held.
func (l *Ledger) drop() {
	t := l.order.pop()
	delete(l.tallies, t.message)
	l.agenda.strike(t)
}

// untold counts whom messages still wait for. It looks at some messages at a time, so that nothing urgent waits
// for it.
func (l *Ledger) untold() float64 {
	const some = 128
	l.mu.Lock()
	all := make([]*tally, 0, l.order.len())
	for t := range l.order.all() {
		all = append(all, t)
	}
	l.mu.Unlock()
	n := 0
	for len(all) > 0 {
		batch := all[:min(some, len(all))]
		all = all[len(batch):]
		l.mu.Lock()
		for _, t := range batch {
			n += t.missing(l.roster)
		}
		l.mu.Unlock()
	}
	return float64(n)
}

func (l *Ledger) members() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.roster.size)
}
