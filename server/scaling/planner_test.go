package scaling

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var monday = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func testPolicy() *Policy {
	return &Policy{
		Default: Capacity{Min: 1, Max: 10, Connections: 1000, Messages: 5000}, Regions: map[string]Capacity{"eu": {Min: 1, Max: 10, Connections: 1000, Messages: 5000}},
		StabilizeFor: time.Minute, Tolerance: 0.1,
		Calendar: []Season{{Name: "Saturday", Weekdays: []time.Weekday{time.Saturday}, From: Clock{12, 0}, To: Clock{20, 0}, Zone: time.UTC,
			Lead: time.Hour, Factor: 2, Floor: 3}},
	}
}

func loadsOf(connections, messages float64, nodes int) (loads []Load) {
	for i := range nodes {
		loads = append(loads, Load{Node: fmt.Sprint("n", i), Region: "eu", Connections: connections / float64(nodes), Messages: messages / float64(nodes)})
	}
	return loads
}

func TestNeed(t *testing.T) {
	saturday := time.Date(2026, 6, 20, 11, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		at                    time.Time
		connections, messages float64
		want                  int
		reason                Reason
	}{
		"nothing":                     {monday, 0, 0, 1, ByMin},
		"just one":                    {monday, 1000, 0, 1, ByMin},
		"one more":                    {monday, 1001, 0, 2, ByConnections},
		"messages":                    {monday, 1001, 15_001, 4, ByMessages},
		"more than there may be":      {monday, 20_000, 0, 10, ByMax},
		"as many as there may be":     {monday, 10_000, 0, 10, ByConnections},
		"the floor of a season":       {saturday, 1200, 0, 3, ByCalendar},
		"the factor of a season":      {saturday, 1600, 0, 4, ByConnections},
		"just before it":              {saturday.Add(-time.Second), 1600, 0, 2, ByConnections},
		"a region that is not named":  {monday, 0, 0, 1, ByMin},
		"more work than can be noted": {monday, 1e300, 1e300, 10, ByMax},
	} {
		if got := testPolicy().need("eu", c.at, loadsOf(c.connections, c.messages, 3)); got.Replicas != c.want || got.Reason != c.reason {
			t.Errorf("%s: %d because of %s, want %d because of %s", name, got.Replicas, got.Reason, c.want, c.reason)
		}
	}
}

// The hysteresis, told in steps: what the region's nodes have to do, and what is said after so long.
func TestHysteresis(t *testing.T) {
	type step struct {
		after       time.Duration
		connections float64
		nodes       int
		want        int
		reason      Reason
	}
	for name, steps := range map[string][]step{
		"up at once, down one at a time": {
			{0, 500, 1, 1, ByMin}, {5 * time.Second, 4500, 1, 5, ByConnections}, {time.Second, 500, 5, 5, Stabilizing},
			{59 * time.Second, 500, 5, 5, Stabilizing}, {time.Second, 500, 5, 4, Stabilizing}, {59 * time.Second, 500, 4, 4, Stabilizing},
			{time.Second, 500, 4, 3, Stabilizing}, {time.Minute, 500, 3, 2, Stabilizing}, {time.Minute, 500, 2, 1, ByMin}, {time.Hour, 500, 1, 1, ByMin},
		},
		"a moment of load begins the wait anew": {
			{0, 2500, 3, 3, ByConnections}, {time.Second, 500, 3, 3, Stabilizing}, {50 * time.Second, 2500, 3, 3, ByConnections},
			{time.Second, 500, 3, 3, Stabilizing}, {59 * time.Second, 500, 3, 3, Stabilizing}, {time.Second, 500, 3, 2, Stabilizing},
		},
		"a node less must have room to spare": {
			{0, 2500, 3, 3, ByConnections}, {time.Second, 1900, 3, 3, Stabilizing}, {time.Hour, 1900, 3, 3, Stabilizing},
			{time.Second, 1800, 3, 3, Stabilizing}, {time.Minute, 1800, 3, 2, ByConnections},
		},
		"what is needed again is there at once": {
			{0, 2500, 3, 3, ByConnections}, {5 * time.Second, 500, 3, 3, Stabilizing}, {time.Minute, 500, 3, 2, Stabilizing}, {time.Second, 3500, 2, 4, ByConnections},
		},
		"silence decides nothing": {
			{0, 2500, 3, 3, ByConnections}, {time.Second, 0, 0, 3, Unheard}, {time.Hour, 0, 0, 3, Unheard}, {time.Second, 500, 1, 3, Stabilizing},
			{time.Minute, 500, 1, 2, Stabilizing},
		},
		"a planner that has just begun keeps what there is": {
			{0, 100, 4, 4, Stabilizing}, {4 * time.Second, 100, 6, 6, Stabilizing}, {2 * time.Second, 100, 8, 6, Stabilizing}, {time.Minute, 100, 6, 5, Stabilizing},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, now := NewPlanner(testPolicy()), monday
			for i, s := range steps {
				now = now.Add(s.after)
				got := p.Desired(now, loadsOf(s.connections, 0, s.nodes))
				if len(got) != 1 || got[0].Replicas != s.want || got[0].Reason != s.reason {
					t.Fatalf("step %d: %+v, want %d because of %s", i, got, s.want, s.reason)
				}
			}
		})
	}
}

// Saturday begins with nodes, before there is load, and ends one node at a time.
func TestSaturday(t *testing.T) {
	p, now := NewPlanner(testPolicy()), time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)
	var course []string
	last := 0
	for end := now.Add(12 * time.Hour); now.Before(end); now = now.Add(time.Second) {
		if d := p.Desired(now, loadsOf(100, 0, 1))[0]; d.Replicas != last {
			last = d.Replicas
			course = append(course, now.Format("15:04:05 ")+fmt.Sprint(last))
		}
	}
	if got, want := fmt.Sprint(course), "[10:00:00 1 11:00:00 3 20:01:00 2 20:02:00 1]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDrainingNodes(t *testing.T) {
	p := NewPlanner(testPolicy())
	loads := loadsOf(2500, 0, 4)
	loads[0].Draining = true // its clients are about to come to the others, but it is no node that stays
	if d := p.Desired(monday, loads)[0]; d.Replicas != 3 || d.Need != 3 {
		t.Errorf("%+v", d)
	}
}

// drawLoad is what a region has to do, and by how many nodes.
var drawLoad = rapid.Custom(func(t *rapid.T) []Load {
	return loadsOf(rapid.Float64Range(0, 20_000).Draw(t, "connections"), rapid.Float64Range(0, 100_000).Draw(t, "messages"), rapid.IntRange(0, 12).Draw(t, "nodes"))
})

var drawPolicy = rapid.Custom(func(t *rapid.T) *Policy {
	p := testPolicy()
	low := rapid.IntRange(1, 10).Draw(t, "min")
	p.Regions["eu"] = Capacity{Min: low, Max: rapid.IntRange(low, 20).Draw(t, "max"),
		Connections: rapid.Float64Range(1, 5000).Draw(t, "connections_per_replica"), Messages: rapid.Float64Range(1, 50_000).Draw(t, "messages_per_replica")}
	p.StabilizeFor = time.Duration(rapid.IntRange(0, 600).Draw(t, "stabilize_for")) * time.Second
	p.Tolerance = rapid.Float64Range(0, 0.5).Draw(t, "tolerance")
	return p
})

// Whatever happens: never below min or above max, never below what is needed, down by one and not before it is time.
func TestPlannerKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy.Draw(t, "policy")
		c, p, now := policy.Capacity("eu"), NewPlanner(policy), monday
		last, fell := 0, time.Time{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second)
			d := p.Desired(now, drawLoad.Draw(t, "load"))[0]
			if d.Replicas < c.Min || d.Replicas > c.Max || d.Need < c.Min || d.Need > c.Max {
				t.Fatalf("%+v is not within %d and %d", d, c.Min, c.Max)
			}
			if d.Replicas < d.Need {
				t.Fatalf("%+v is less than what is needed", d)
			}
			if d.Replicas < last {
				if last-d.Replicas != 1 {
					t.Fatalf("from %d to %d in one step", last, d.Replicas)
				}
				if since := now.Sub(fell); since < policy.StabilizeFor {
					t.Fatalf("down again after %v", since)
				}
				fell = now
			}
			last = d.Replicas
		}
	})
}

// More load never means fewer nodes, at once or with the same past.
func TestPlannerIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy.Draw(t, "policy")
		a, b, now := NewPlanner(policy), NewPlanner(policy), monday
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			loads := drawLoad.Draw(t, "load")
			a.Desired(now, loads)
			b.Desired(now, loads)
			now = now.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second)
		}
		less := loadsOf(rapid.Float64Range(0, 20_000).Draw(t, "connections"), rapid.Float64Range(0, 100_000).Draw(t, "messages"), 3)
		more := loadsOf(rapid.Float64Range(0, 20_000).Draw(t, "more connections"), rapid.Float64Range(0, 100_000).Draw(t, "more messages"), 3)
		for i := range more {
			more[i].Connections += less[i].Connections
			more[i].Messages += less[i].Messages
		}
		if l, m := a.Desired(now, less)[0], b.Desired(now, more)[0]; l.Replicas > m.Replicas || l.Need > m.Need {
			t.Fatalf("%+v with less, %+v with more", l, m)
		}
	})
}

// A load that trembles by less than the tolerance never has a node added again that was taken away; one that stands
// still comes to rest.
func TestPlannerSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy.Draw(t, "policy")
		p, now := NewPlanner(policy), monday
		wait := func() time.Time {
			now = now.Add(max(policy.StabilizeFor/2, time.Second))
			return now
		}
		for range rapid.IntRange(0, 10).Draw(t, "steps") {
			p.Desired(wait(), drawLoad.Draw(t, "load"))
		}
		connections := rapid.Float64Range(0, 20_000).Draw(t, "connections")
		last, fell := 0, false
		for i := range 30 {
			less := policy.Tolerance / 2 * rapid.Float64Range(0, 1).Draw(t, "less")
			d := p.Desired(wait(), loadsOf(connections*(1-less), 0, 3))[0]
			if fell && d.Replicas > last {
				t.Fatalf("step %d: from %d to %d, after it had gone down", i, last, d.Replicas)
			}
			fell = fell || d.Replicas < last
			last = d.Replicas
		}
		for range 3 * policy.Regions["eu"].Max { // for each node less at most three half waits
			last = p.Desired(wait(), loadsOf(connections, 0, 3))[0].Replicas
		}
		for range 5 {
			if d := p.Desired(wait(), loadsOf(connections, 0, 3))[0]; d.Replicas != last {
				t.Fatalf("from %d to %d, after so long", last, d.Replicas)
			}
		}
	})
}
