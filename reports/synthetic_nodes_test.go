package reports

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	chaos "github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/nodes"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// linger lets the phase after the faults last longer, with nobody saying anything.
func (s *synthetic) linger(d time.Duration) {
	s.Chaos[len(s.Chaos)-1].T += int64(d) // the drain
	end := &s.History[len(s.History)-1]
	var lags []journal.Record
	for at := end.T; at < end.T+int64(d); at += second {
		lags = append(lags, journal.Record{Kind: journal.Lag, T: at, MaxNS: milli})
	}
	end.T, end.WallNS = end.T+int64(d), end.WallNS+int64(d)
	s.History = slices.Insert(s.History, len(s.History)-1, lags...)
	s.Manifest.End.MonoNS, s.Manifest.End.WallNS = s.Manifest.End.MonoNS+int64(d), s.Manifest.End.WallNS+int64(d)
}

// end is the end of the run.
func (s *synthetic) end() int64 { return s.History[len(s.History)-1].T }

// watch looks at every node once a second. A node that a fault killed has another pid afterwards.
func (s *synthetic) watch() {
	random := rand.New(rand.NewPCG(5, 9))
	for i, n := range s.Manifest.Nodes {
		pid, cpu, wave := 4000+i, 0.8, random.Float64()*20
		for at := synthStart + int64(i)*milli; at < s.end(); at += second {
			sample := nodes.Sample{Mono: at, Wall: synthWall + at - synthStart, Node: n.Name}
			if s.dead(n.Region, at) && !s.Silent {
				if s.Nodes[len(s.Nodes)-1].Up {
					pid += 100
				}
				cpu = 0.4
				s.Nodes = append(s.Nodes, sample)
				continue
			}
			load := min(float64(at-synthStart)/5e9, 1)
			cpu += 0.02 + load*(0.2+0.1*random.Float64())
			wave = 0.9*wave + random.Float64()*2
			sample.Up, sample.PID, sample.CPU = true, pid, cpu
			sample.Connections = int(load * float64(2*s.Weddings*s.Vendors) / 3)
			sample.RSS = int64((60 + wave) * mib)
			sample.Goroutines = 90 + sample.Connections + random.IntN(6)
			s.Nodes = append(s.Nodes, sample)
		}
	}
}

// eachSample calls bend with every sample of a node, from an instant on.
func (s *synthetic) eachSample(node string, from int64, bend func(*nodes.Sample)) {
	for i := range s.Nodes {
		if (node == "" || s.Nodes[i].Node == node) && s.Nodes[i].Mono >= from {
			bend(&s.Nodes[i])
		}
	}
}

// scale adds nodes to a region for a stretch of the run, which brings half as many connections again while it lasts.
func (s *synthetic) scale(region string, from, to int64, added int) {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Mono >= from && n.Mono < to {
			n.Connections += n.Connections / 2
		}
	}
	for k := range added {
		cpu := 0.2
		for at := from + int64(k)*milli; at < s.end(); at += second {
			n := nodes.Sample{Mono: at, Wall: synthWall + at - synthStart, Node: fmt.Sprintf("%s-%d", region, k+7)}
			if at < to {
				cpu += 0.15
				n.Up, n.PID, n.CPU, n.RSS, n.Goroutines, n.Connections, n.Draining = true, 6000+k, cpu, 50*mib, 120, 20, at > to-2*second
			}
			s.Nodes = append(s.Nodes, n)
		}
	}
}

// photos has somebody of each wedding send a burst of bulk messages after a second, a share of whose copies is shed.
func (s *synthetic) photos(each int, shed float64) {
	random := rand.New(rand.NewPCG(3, 1))
	vendors := map[string][]string{}
	for _, r := range s.History {
		if r.Kind == journal.Vendor {
			vendors[r.Wedding] = append(vendors[r.Wedding], r.Vendor)
		}
	}
	var bulk []journal.Record
	for w := range s.Weddings {
		wedding := fmt.Sprintf("w%03d", w+1)
		for k := range each {
			sched := synthStart + 7*second + int64(k)*100*milli
			from := vendors[wedding][k%len(vendors[wedding])]
			r := journal.Record{Kind: journal.Bulk, T: sched + milli, ID: fmt.Sprintf("%s/b%d", from, k), Wedding: wedding, Vendor: from, Sched: sched,
				Out: journal.OK, Via: synthRegions[0], Done: sched + 6*milli, Bytes: 200 << 10}
			for _, v := range vendors[wedding] {
				us := int64(-1)
				if v != from && random.Float64() >= shed {
					us = 40_000 + random.Int64N(200_000)
				}
				r.Got = append(r.Got, us)
			}
			bulk = append(bulk, r)
		}
	}
	s.History = slices.Insert(s.History, len(s.History)-1, bulk...)
}

// stop has a vendor of every second wedding stop reading for a while.
func (s *synthetic) stop(from, to int64) {
	var stops []journal.Record
	for w := 0; w < s.Weddings; w += 2 {
		v := fmt.Sprintf("w%03d/florist-1", w+1)
		stops = append(stops, journal.Record{Kind: journal.Stall, T: from, Vendor: v, On: true}, journal.Record{Kind: journal.Stall, T: to, Vendor: v})
		s.each(func(r *journal.Record) bool {
			return (r.Kind == journal.Recv || r.Kind == journal.Dup) && r.Vendor == v && r.T >= from && r.T < to
		}, func(r *journal.Record) { r.T = to + 20*milli + (r.T-from)*80*milli/(to-from) })
	}
	s.History = slices.Insert(s.History, len(s.History)-1, stops...)
}

// move has as many vendors of the first weddings join elsewhere and leave where they were, as their server asked.
func (s *synthetic) move(n int) {
	at := s.faults[len(s.faults)-1].to + 10*second
	var states []journal.Record
	for w := range n {
		v := fmt.Sprintf("w%03d/planner-1", w+1)
		for i := len(s.History) - 1; i >= 0; i-- {
			r := s.History[i]
			if r.Kind != journal.Session || r.Vendor != v || r.State != journal.Joined {
				continue
			}
			next := r
			next.T, next.Session = at, 50
			r.T, r.State, r.Why = at+10*milli, journal.Left, check.Moved
			states = append(states, next, r)
			break
		}
	}
	s.History = slices.Insert(s.History, len(s.History)-1, states...)
}

// act turns the faults into something that the drill itself does.
func (s *synthetic) act(name, action, effect string) {
	for i := range s.Chaos {
		e := &s.Chaos[i]
		if e.Injection == 0 {
			continue
		}
		e.Kind, e.Name, e.Action = actionKind, name, action
		switch e.Event {
		case chaos.EventIntent:
			e.Detail = map[string]any{"effect": effect}
		case chaos.EventProved:
			e.Detail = map[string]any{strings.Join(e.Targets, ", "): "pid 4002 became 5002, ready after 1.2s"}
		case chaos.EventGone:
			e.Detail = map[string]any{"cluster": "all 3 nodes are ready"}
		}
	}
}
