package presence

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// observer is a client at the top of the wedding that counts how often somebody it knew has gone.
type observer struct {
	*node
	client
	gone map[string]int
}

func (c *cluster) observe(name string) *observer {
	o := &observer{node: c.nodes[name], gone: map[string]int{}}
	o.diffs()
	o.onState(c.t, o.State(wedding, ""))
	return o
}

// look plays what has been told.
func (o *observer) look(t testing.TB) *observer {
	for _, diff := range o.diffs() {
		before := maps.Clone(o.state)
		o.onDiff(t, []byte(diff))
		for key := range before {
			if _, ok := o.state[key]; !ok {
				o.gone[key]++
			}
		}
	}
	return o
}

// metas is how many entries of a key the client shows.
func (o *observer) metas(key string) int { return len(o.state[key].Metas) }

// A supplier that changes nodes is never away, in whichever order it goes and comes, and at the end only its new
// entry is left.
func TestMoveIsNotSeen(t *testing.T) {
	for name, move := range map[string]func(c *cluster, id uint64){
		"closed, and back 4 s later": func(c *cluster, id uint64) {
			c.nodes["east"].Depart(id)
			time.Sleep(4 * time.Second)
			c.nodes["west"].enter("dj-1")
		},
		"back before it leaves": func(c *cluster, id uint64) {
			c.nodes["west"].enter("dj-1")
			time.Sleep(10 * time.Millisecond)
			c.nodes["east"].Depart(id)
		},
		"to another channel of the node": func(c *cluster, id uint64) {
			c.nodes["east"].Depart(id)
			time.Sleep(time.Second)
			c.nodes["east"].enter("dj-1")
		},
		"the node ends": func(c *cluster, id uint64) {
			c.nodes["east"].Depart(id)
			time.Sleep(time.Second)
			c.nodes["east"].stop()
			time.Sleep(1500 * time.Millisecond)
			c.nodes["west"].enter("dj-1")
		},
		"the node ends and begins anew": func(c *cluster, id uint64) {
			c.nodes["east"].Depart(id)
			c.nodes["east"].stop()
			time.Sleep(200 * time.Millisecond)
			c.start("east")
			time.Sleep(1300 * time.Millisecond)
			c.nodes["east"].enter("dj-1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := ready(t)
				defer c.stop()
				id := c.nodes["east"].enter("dj-1")
				time.Sleep(time.Second)
				observers := []*observer{c.observe("west"), c.observe("north")}
				move(c, id)
				time.Sleep(20 * time.Second)
				for _, o := range observers {
					if o.look(t); o.gone["dj-1"] > 0 || o.metas("dj-1") != 1 {
						t.Errorf("a client of %s has seen dj-1 go %d times, and shows %d entries of it", o.cfg.Node, o.gone["dj-1"], o.metas("dj-1"))
					}
				}
			})
		})
	}
}

// Who does not come back has left, once the linger is over.
func TestLingerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		east := c.nodes["east"]
		id := east.enter("dj-1")
		time.Sleep(time.Second)
		north := c.observe("north")
		east.Depart(id)
		east.Depart(id) // asked twice is asked once
		east.Depart(99) // and who was never there does no harm
		time.Sleep(5 * time.Second)
		if north.look(t).gone["dj-1"] != 0 {
			t.Error("gone before the linger is over")
		}
		time.Sleep(500 * time.Millisecond)
		if north.look(t).gone["dj-1"] != 1 {
			t.Error("stays for ever")
		}
		if d := &east.replica.departed; len(d.over)+len(d.at) > 0 {
			t.Errorf("still remembered: %+v", d)
		}
	})
}

// Who says itself that it is no longer there has left at once, drained or not.
func TestUntrackedWhileDeparted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		east := c.nodes["east"]
		id := east.enter("dj-1")
		east.Depart(id)
		east.Untrack(id)
		c.within(200*time.Millisecond, "north sees that it has left", c.sees("north", c.names...))
		if d := &east.replica.departed; len(d.over)+len(d.at) > 0 {
			t.Errorf("still remembered: %+v", d)
		}
	})
}

// Peers come and go while everything runs.
func TestSetPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ready(t)
		defer c.stop()
		c.names = append(c.names, "south")
		south := c.start("south")
		south.enter("south")
		time.Sleep(time.Second)
		if !c.sees("east", "east", "west", "north")() {
			t.Fatal("a stranger is shown")
		}
		for _, n := range c.nodes {
			if err := n.SetPeers(c.names); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range c.names {
			c.within(time.Second, name+" sees all", c.sees(name, c.names...))
		}
		for _, name := range []string{"east", "west", "north"} { // south does not know that it is one no more
			if err := c.nodes[name].SetPeers([]string{"east", "west", "north"}); err != nil {
				t.Fatal(err)
			}
		}
		took := c.within(3*time.Second, "south has left", c.sees("east", "east", "west", "north"))
		if took < time.Second {
			t.Errorf("gone after %v", took)
		}
		time.Sleep(3 * time.Second)
		if !c.sees("east", "east", "west", "north")() || c.nodes["east"].replica.peers["south"] != nil {
			t.Error("south is still heard")
		}
		if err := c.nodes["east"].SetPeers([]string{"west", "west", ""}); err == nil || !c.sees("east", "east", "west", "north")() {
			t.Errorf("%v", err)
		}
	})
}

// Whatever the wires delay, and whenever the node ends or begins anew: no client of any other node ever misses a
// supplier that was sent away and came back in time.
func TestMovesAreNeverSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(3)
		room := rooms[0]
		track := func(n *simulated, id uint64) {
			n.replica.track(id, Entry{Room: room, Key: "dj-1", Payload: []byte(`{}`)}, w.now)
		}
		east, west := w.nodes[0], w.nodes[1]
		track(east, 1)
		w.settle(t)

		at := func(from, to int, what string) time.Duration {
			return time.Duration(rapid.IntRange(from, to).Draw(t, what)) * time.Millisecond
		}
		begin := w.now
		depart := at(0, 2000, "depart")
		ends := rapid.Bool().Draw(t, "ends")
		end := depart + at(0, 4500, "end")
		latest := depart + w.cfg.Linger
		if ends {
			latest = min(latest, end+w.cfg.DownAfter)
		}
		const wires = 400 * time.Millisecond // the longest delay
		back := at(0, int((latest-wires)/time.Millisecond), "back")
		restart := end + at(100, 2000, "restart")
		slow := map[*wire]int{} // steps between two deliveries
		for _, name := range []string{"n0", "n1", "n2"} {
			for _, to := range []string{"n0", "n1", "n2"} {
				slow[w.wires[[2]string{name, to}]] = rapid.IntRange(1, int(wires/step)).Draw(t, "slow")
			}
		}
		done := map[string]bool{}
		once := func(what string, when time.Duration, do func()) {
			if !done[what] && w.now.Sub(begin) >= when {
				done[what] = true
				do()
			}
		}
		for tick := 0; w.now.Sub(begin) < 15*time.Second; tick++ {
			once("depart", depart, func() { east.replica.depart(1, w.now) })
			once("back", back, func() { track(west, 1) })
			if ends {
				once("end", end, func() {
					w.send(east, east.replica.own.message(goodbye))
					east.dead = true
				})
				once("restart", restart, func() {
					w.lives++
					w.start(east, w.lives)
				})
			}
			w.step(step)
			for _, to := range w.nodes {
				for _, from := range w.nodes {
					if wire := w.wires[[2]string{from.name, to.name}]; tick%slow[wire] == 0 {
						w.carryOne(wire, to)
					}
				}
			}
			for _, n := range w.nodes[1:] {
				n.deliver(t)
				if _, ok := n.members[0].state["dj-1"]; !ok {
					t.Fatalf("%v after the beginning %s does not show it (departs %v, back %v, ends %v %v, restarts %v)",
						w.now.Sub(begin), n.name, depart, back, ends, end, restart)
				}
			}
		}
		w.settle(t)
		w.check(t)
		if diff := cmp.Diff(1, len(w.truth(t, room, ""))); diff != "" {
			t.Fatal(fmt.Sprint("entries at the end: ", diff))
		}
	})
}

// step is the resolution of TestMovesAreNeverSeen.
const step = 20 * time.Millisecond

// carryOne brings everything on one wire to its end.
func (w *world) carryOne(wire *wire, to *simulated) {
	for _, m := range wire.queue {
		if !to.dead {
			to.replica.receive(m, w.now)
		}
	}
	wire.queue = nil
}
