package presence

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// list is presence as a client holds it: by key, the metas in its order.
type list map[string]group

type group struct {
	Metas []map[string]string `json:"metas"`
}

// metas by phx_ref, for comparisons that do not look at order.
func (l list) byRef() map[string]map[string]string {
	refs := map[string]map[string]string{}
	for key, g := range l {
		for _, m := range g.Metas {
			m["key"] = key
			refs[m["phx_ref"]] = m
		}
	}
	return refs
}

type told struct {
	Joins  list `json:"joins"`
	Leaves list `json:"leaves"`
}

// client is a model of the Presence class of the Phoenix client, which Supabase's uses: diffs that
// come before the state wait for it; a join adds what is not there by phx_ref; a leave removes by
// phx_ref; in one diff the joins come first.
type client struct {
	path    string
	state   list
	synced  bool
	pending []told
}

func (c *client) onState(t rapid.TB, payload []byte) {
	var next list
	parse(t, payload, &next)
	joins, leaves := list{}, list{}
	for key, g := range c.state {
		if _, ok := next[key]; !ok {
			leaves[key] = g
		}
	}
	for key, g := range next {
		current, ok := c.state[key]
		if !ok {
			joins[key] = g
			continue
		}
		if joined := without(g.Metas, current.Metas); len(joined) > 0 {
			joins[key] = group{joined}
		}
		if left := without(current.Metas, g.Metas); len(left) > 0 {
			leaves[key] = group{left}
		}
	}
	c.sync(told{joins, leaves})
	c.synced = true
	for _, d := range c.pending {
		c.sync(d)
	}
	c.pending = nil
}

func (c *client) onDiff(t rapid.TB, payload []byte) {
	var d told
	parse(t, payload, &d)
	if d.Joins == nil || d.Leaves == nil {
		t.Fatalf("diff %s: both joins and leaves must be there", payload)
	}
	if !c.synced {
		c.pending = append(c.pending, d)
		return
	}
	c.sync(d)
}

func (c *client) sync(d told) {
	if c.state == nil {
		c.state = list{}
	}
	for key, g := range d.Joins {
		c.state[key] = group{append(without(c.state[key].Metas, g.Metas), g.Metas...)}
	}
	for key, g := range d.Leaves {
		current, ok := c.state[key]
		if !ok {
			continue
		}
		if rest := without(current.Metas, g.Metas); len(rest) > 0 {
			c.state[key] = group{rest}
		} else {
			delete(c.state, key)
		}
	}
}

// without returns the metas of a that are not in b by phx_ref.
func without(a, b []map[string]string) []map[string]string {
	var rest []map[string]string
	for _, m := range a {
		if !slices.ContainsFunc(b, func(o map[string]string) bool { return o["phx_ref"] == m["phx_ref"] }) {
			rest = append(rest, m)
		}
	}
	return rest
}

func parse(t rapid.TB, payload []byte, into any) {
	if err := json.Unmarshal(payload, into); err != nil {
		t.Fatalf("%v in %.200s", err, payload)
	}
}

// The model itself, by the cases that its rules are about.
func TestClientModel(t *testing.T) {
	meta := func(ref string) string { return `{"metas":[{"phx_ref":"` + ref + `"}]}` }
	diff := func(joins, leaves string) []byte {
		return []byte(`{"joins":{` + joins + `},"leaves":{` + leaves + `}}`)
	}
	for name, c := range map[string]struct {
		run  func(*client)
		want []string
	}{
		"a diff before the state waits": {func(c *client) {
			c.onDiff(t, diff(`"k":`+meta("b"), ``))
			c.onState(t, []byte(`{"k":`+meta("a")+`}`))
		}, []string{"a", "b"}},
		"a join that is there already": {func(c *client) {
			c.onState(t, []byte(`{"k":`+meta("a")+`}`))
			c.onDiff(t, diff(`"k":`+meta("a"), ``))
		}, []string{"a"}},
		"a leave of somebody else": {func(c *client) {
			c.onState(t, []byte(`{"k":`+meta("a")+`}`))
			c.onDiff(t, diff(``, `"k":`+meta("b")+`,"x":`+meta("y")))
		}, []string{"a"}},
		"a meta in both lists is lost": {func(c *client) {
			c.onState(t, []byte(`{"k":`+meta("a")+`}`))
			c.onDiff(t, diff(`"k":`+meta("a"), `"k":`+meta("a")))
		}, nil},
		"a second state replaces the first": {func(c *client) {
			c.onState(t, []byte(`{"k":`+meta("a")+`,"l":`+meta("c")+`}`))
			c.onState(t, []byte(`{"k":`+meta("b")+`}`))
		}, []string{"b"}},
	} {
		var cl client
		c.run(&cl)
		var got []string
		for ref := range cl.state.byRef() {
			got = append(got, ref)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
