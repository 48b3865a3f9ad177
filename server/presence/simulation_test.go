package presence

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// world is some nodes without goroutines on one made-up clock. Wires lose messages and are cut in
// one direction, nodes die and return, clients come and go, and every queue may stand still for any time.
type world struct {
	now   time.Time
	cfg   Config
	lives uint64
	nodes []*simulated
	wires map[[2]string]*wire
}

type simulated struct {
	name    string
	replica *replica
	dead    bool
	beat    time.Time
	told    []*Diff // cut, not delivered yet
	members []*member
}

// member is a client in a room: it gets diffs from the beginning, and one state at some time.
type member struct {
	client
	room  string
	asked []byte // the state, under way
}

type wire struct {
	cut   bool
	queue []*message
}

func newWorld(n int) *world {
	w := &world{now: time.Unix(1_800_000_000, 0), cfg: Config{}.withDefaults(), wires: map[[2]string]*wire{}}
	for i := range n {
		w.nodes = append(w.nodes, &simulated{name: fmt.Sprint("n", i)})
		w.cfg.Peers = append(w.cfg.Peers, w.nodes[i].name)
	}
	for _, from := range w.nodes {
		for _, to := range w.nodes {
			w.wires[[2]string{from.name, to.name}] = &wire{}
		}
		w.lives++
		w.start(from, w.lives)
	}
	return w
}

// start begins a new life of a node.
func (w *world) start(n *simulated, incarnation uint64) {
	cfg := w.cfg
	cfg.Node = n.name
	cfg = cfg.withDefaults()
	*n = simulated{name: n.name, replica: newReplica(&cfg, incarnation), beat: w.now}
	n.replica.own.limit = 150 // so that most states have several parts
	n.replica.hello(w.now)
	for _, room := range rooms {
		w.enter(n, room, "")
		n.members[len(n.members)-1].onState(nil, []byte("{}"))
	}
}

func (w *world) enter(n *simulated, room, path string) {
	n.members = append(n.members, &member{client: client{path: path}, room: room})
}

// step lets time pass, and every living node do what its loops would do.
func (w *world) step(d time.Duration) {
	w.now = w.now.Add(d)
	for _, n := range w.nodes {
		if n.dead {
			continue
		}
		n.replica.expire(w.now)
		n.replica.silence(w.now)
		beat := !n.beat.After(w.now)
		if beat {
			n.beat = w.now.Add(w.cfg.Heartbeat)
		}
		messages, _ := n.replica.outgoing(w.now, beat)
		for _, m := range messages {
			w.send(n, m)
		}
		diffs, _ := n.replica.diffs(w.now)
		n.told = append(n.told, diffs...)
	}
}

// send puts a message on the wires, as bytes would arrive.
func (w *world) send(n *simulated, m message) {
	for _, to := range w.nodes {
		if to == n || m.to != "" && m.to != to.name {
			continue
		}
		if wire := w.wires[[2]string{n.name, to.name}]; !wire.cut {
			got, err := decode(m.encode())
			if err != nil {
				panic(err)
			}
			wire.queue = append(wire.queue, got)
		}
	}
}

// carry brings up to n messages of every wire to their end.
func (w *world) carry(n int) {
	for _, to := range w.nodes {
		for _, from := range w.nodes {
			wire := w.wires[[2]string{from.name, to.name}]
			for range min(n, len(wire.queue)) {
				if !to.dead {
					to.replica.receive(wire.queue[0], w.now)
				}
				wire.queue = wire.queue[1:]
			}
		}
	}
}

// deliver brings the diffs that are cut to the members of their rooms.
func (n *simulated) deliver(t rapid.TB) {
	for _, d := range n.told {
		for _, m := range n.members {
			if m.room != d.Room {
				continue
			}
			if payload := d.Payload(m.path); payload != nil {
				m.onDiff(t, payload)
			}
		}
	}
	n.told = nil
}

// truth is what the living nodes' channels say, as a member of the room at path is to see it.
func (w *world) truth(t rapid.TB, room, path string) map[string]map[string]string {
	metas := map[string]map[string]string{}
	for _, n := range w.nodes {
		if n.dead {
			continue
		}
		for _, m := range n.replica.own.metas {
			if m.Room == room && m.at(path) {
				var got map[string]string
				parse(t, m.append(nil), &got)
				got["key"] = m.Key
				metas[got["phx_ref"]] = got
			}
		}
	}
	return metas
}

// settle heals everything and lets the silence of a node, some heartbeats and the longest window pass.
func (w *world) settle(t rapid.TB) {
	for _, wire := range w.wires {
		wire.cut = false
	}
	for range 400 {
		w.step(10 * time.Millisecond)
		w.carry(1 << 20)
	}
	for _, n := range w.nodes {
		if n.dead {
			continue
		}
		for _, m := range n.members {
			if m.asked == nil && !m.synced {
				m.asked = n.replica.state(m.room, m.path)
			}
		}
		n.deliver(t)
		for _, m := range n.members {
			m.arrive(t)
		}
	}
}

func (m *member) arrive(t rapid.TB) {
	if m.asked != nil {
		m.onState(t, m.asked)
		m.asked = nil
	}
}

func (w *world) check(t rapid.TB) {
	for _, n := range w.nodes {
		if n.dead {
			continue
		}
		shown := 0
		for _, room := range rooms {
			shown += len(w.truth(t, room, ""))
			for _, path := range paths {
				var l list
				parse(t, n.replica.state(room, path), &l)
				if diff := cmp.Diff(w.truth(t, room, path), l.byRef()); diff != "" {
					t.Fatalf("%s shows in %s at %q (-truth +shown):\n%s", n.name, room, path, diff)
				}
			}
		}
		if got := len(n.replica.own.metas) + n.replica.shown; got != shown {
			t.Fatalf("%s counts %d entries of %d", n.name, got, shown)
		}
		for i, m := range n.members {
			if diff := cmp.Diff(w.truth(t, m.room, m.path), m.state.byRef()); diff != "" {
				t.Fatalf("client %d of %s in %s at %q (-truth +its list):\n%s", i, n.name, m.room, m.path, diff)
			}
		}
	}
}

var (
	rooms = []string{"private:wedding:42", "public:lobby"}
	paths = []string{"", "vendor", "vendor:florist", "vendors"}
)

// Whatever is lost, cut, killed and restarted, and whenever a client comes: once all is well again,
// every node shows what is true, and every client has it.
func TestConvergence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(3)
		node := func(t *rapid.T) *simulated { return rapid.SampledFrom(w.nodes).Draw(t, "node") }
		alive := func(t *rapid.T) *simulated {
			n := node(t)
			if n.dead {
				t.Skip("it is dead")
			}
			return n
		}
		between := func(t *rapid.T) *wire {
			from, to := node(t), rapid.SampledFrom(w.nodes).Draw(t, "to")
			return w.wires[[2]string{from.name, to.name}]
		}
		track := func(t *rapid.T) {
			alive(t).replica.track(rapid.Uint64Range(1, 4).Draw(t, "id"), Entry{
				Room:    rapid.SampledFrom(rooms).Draw(t, "room"),
				Path:    rapid.SampledFrom(paths).Draw(t, "path"),
				Key:     rapid.SampledFrom([]string{"florist-7", "dj-1"}).Draw(t, "key"),
				Payload: rapid.SampledFrom([][]byte{[]byte(`{}`), []byte(`{"van":"away"}`), []byte(`{"van":"here"}`)}).Draw(t, "payload"),
			}, w.now)
		}
		pass := func(t *rapid.T) {
			w.step(time.Duration(rapid.SampledFrom([]int{1, 5, 25, 100, 300}).Draw(t, "ms")) * time.Millisecond)
			w.carry(rapid.IntRange(0, 4).Draw(t, "messages"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"track":   track,
			"track 2": track,
			"untrack": func(t *rapid.T) { alive(t).replica.untrack(rapid.Uint64Range(1, 4).Draw(t, "id"), w.now) },
			"depart":  func(t *rapid.T) { alive(t).replica.depart(rapid.Uint64Range(1, 4).Draw(t, "id"), w.now) },
			"time":    pass,
			"time 2":  pass,
			"time 3":  pass,
			"lose": func(t *rapid.T) {
				wire := between(t)
				wire.queue = wire.queue[rapid.IntRange(0, len(wire.queue)).Draw(t, "lost"):]
			},
			"cut":      func(t *rapid.T) { between(t).cut = true },
			"heal":     func(t *rapid.T) { between(t).cut = false },
			"deliver":  func(t *rapid.T) { alive(t).deliver(t) },
			"kill":     func(t *rapid.T) { alive(t).dead = true },
			"long cut": func(*rapid.T) { w.step(2 * time.Second) },
			"restart": func(t *rapid.T) {
				n := node(t)
				w.lives++
				incarnation := w.lives
				if rapid.IntRange(0, 4).Draw(t, "clock") == 0 {
					incarnation = 1<<40 - w.lives // from now on the clock seems to go backwards
				}
				w.start(n, incarnation)
			},
			"goodbye": func(t *rapid.T) {
				n := alive(t)
				w.send(n, n.replica.own.message(goodbye))
				n.dead = true
			},
			"enter": func(t *rapid.T) {
				w.enter(alive(t), rapid.SampledFrom(rooms).Draw(t, "room"), rapid.SampledFrom(paths).Draw(t, "path"))
			},
			"state": func(t *rapid.T) {
				n := alive(t)
				m := rapid.SampledFrom(n.members).Draw(t, "member")
				if m.synced || m.asked != nil {
					t.Skip("it has one")
				}
				m.asked = n.replica.state(m.room, m.path)
			},
			"arrive": func(t *rapid.T) { rapid.SampledFrom(alive(t).members).Draw(t, "member").arrive(t) },
		})
		w.settle(t)
		w.check(t)
	})
}
