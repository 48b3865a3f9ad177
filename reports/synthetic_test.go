package reports

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	chaos "github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/reports/audit"
	"github.com/wedsync/wedsync/reports/nodes"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// synthetic makes a bundle as a drill would leave it: three regions, one of which is killed a few times,
// and a fleet that behaves as it should. A test bends what it makes before it is written.
type synthetic struct {
	Weddings, Vendors, Cycles int
	Silent                    bool // the region falls silent instead of being killed
	Claims                    string
	Title                     string

	Manifest Manifest
	History  []journal.Record
	Chaos    []chaos.Entry
	Log      []audit.Record
	Nodes    []nodes.Sample // none: nobody looked at the nodes
	Unread   string         // a node whose log nobody asked for
	Recorded int64          // deliveries in latency.hlog; -1: as many as the history has

	random *rand.Rand
	faults []stretch
	homes  map[string][]connection
	seq    uint64
}

type stretch struct{ from, to int64 }

type connection struct {
	region    string
	number    int64
	from, to  int64
	replaceOf int64
}

const (
	synthStart = int64(5_000 * time.Second)         // on the monotonic clock
	synthWall  = int64(1_795_464_000 * time.Second) // at that instant
	synthDead  = "ap-southeast"
	second     = int64(time.Second)
	milli      = int64(time.Millisecond)
)

var synthRegions = []string{"eu-west", "us-east", "ap-southeast"}

// oneWay is the delay between regions, in ms.
var oneWay = map[[2]string]float64{
	{"eu-west", "us-east"}: 38, {"eu-west", "ap-southeast"}: 80, {"us-east", "ap-southeast"}: 108,
}

func delay(a, b string) int64 {
	d, ok := oneWay[[2]string{a, b}]
	if !ok {
		d = oneWay[[2]string{b, a}]
	}
	return int64(d * 1e6)
}

const synthClaims = `
  - {id: urgent-connected, kind: delivery, lane: urgent, population: connected, within: 200ms, phases: [before, fault, recovery, after], says: every connected recipient has every urgent update within 200 ms}
  - {id: urgent-dual-homed, kind: delivery, lane: urgent, population: dual-homed, within: 200ms, phases: [before, fault, recovery, after], says: "with two homes every recipient has it within 200 ms, before, during and after the fault"}
  - {id: urgent-displaced, kind: delivery, lane: urgent, population: displaced, says: a recipient whose only home was in the dead region has every urgent update once it is back}
  - {id: nothing-wrong, kind: none, says: "nothing is lost, shown twice, made up, misdirected or out of order"}
  - {id: ok-never-stalls, kind: ok, lane: urgent, within: 200ms, phases: [before, fault, recovery, after], says: the sender of an urgent update has its ok within 200 ms}
  - {id: held-everywhere, kind: held, says: "an update is held by two regions before its ok, and the region that returns holds every one"}
  - {id: faults, kind: faults, at_least: 1, says: "the fault happened, was proved, and was proved gone"}
`

// newSynthetic plays the run.
func newSynthetic(weddings, vendors, cycles int, silent bool) *synthetic {
	s := &synthetic{Weddings: weddings, Vendors: vendors, Cycles: cycles, Silent: silent, Claims: synthClaims,
		Title: "Every process of a region gets SIGKILL", random: rand.New(rand.NewPCG(7, 11)), homes: map[string][]connection{}, Recorded: -1}
	end := s.diary()
	s.arrivals()
	s.messages(end)
	for at := synthStart + second; at < end; at += second {
		s.History = append(s.History, journal.Record{Kind: journal.Lag, T: at, MaxNS: milli + s.random.Int64N(5*milli)})
	}
	s.finish(end)
	s.manifest(end)
	return s
}

func (s *synthetic) entry(at int64, e chaos.Entry) {
	s.seq++
	e.T, e.WallNS, e.Seq = at, synthWall+at-synthStart, s.seq
	s.Chaos = append(s.Chaos, e)
}

// diary lays out the phases and injections, and returns the end of the run.
func (s *synthetic) diary() int64 {
	at := synthStart + 6*second
	phase := chaos.PhaseBefore
	enter := func(p chaos.Phase, cycle int) {
		phase = p
		s.entry(at, chaos.Entry{Event: chaos.EventPhase, Phase: p, Cycle: cycle})
	}
	enter(chaos.PhaseBefore, 0)
	at += 8 * second
	for cycle := 1; cycle <= s.Cycles; cycle++ {
		enter(chaos.PhaseFault, cycle)
		e := chaos.Entry{Phase: phase, Cycle: cycle, Injection: uint64(cycle), Kind: "PodChaos", Name: "kill-" + synthDead, Action: "pod-kill",
			Targets: []string{synthDead + "-0"}, Regions: []string{synthDead}}
		if s.Silent {
			e.Kind, e.Name, e.Action = "NetworkChaos", "silence-"+synthDead, "partition"
		}
		step := func(after int64, event chaos.Event) { at += after; e.Event = event; s.entry(at, e) }
		step(2*milli, chaos.EventIntent)
		from := at
		step(5*milli, chaos.EventInjected)
		step(40*milli, chaos.EventProved)
		step(7*second, chaos.EventReverting)
		step(400*milli, chaos.EventReverted)
		s.faults = append(s.faults, stretch{from, at})
		step(150*milli, chaos.EventGone)
		at += milli
		enter(chaos.PhaseRecovery, cycle)
		at += 4 * second
		enter(chaos.PhaseAfter, cycle)
		at += 4 * second
	}
	enter(chaos.PhaseDrain, 0)
	return at + 3*second
}

func (s *synthetic) dead(region string, at int64) bool {
	return region == synthDead && slices.ContainsFunc(s.faults, func(f stretch) bool { return at >= f.from && at < f.to })
}

// arrivals connects the fleet, and lets it fail over in each fault.
func (s *synthetic) arrivals() {
	s.History = append(s.History, journal.Record{Kind: journal.Run, Schema: journal.Schema, T: synthStart, WallNS: synthWall, Seed: 42})
	types := []string{"planner", "florist", "caterer", "photographer", "band", "venue", "baker", "transport"}
	for w := range s.Weddings {
		for i := range s.Vendors {
			id := fmt.Sprintf("w%03d/%s-%d", w+1, types[i%len(types)], i/len(types)+1)
			homes := int64(2)
			if (w*s.Vendors+i)%10 == 9 {
				homes = 1
			}
			s.History = append(s.History, journal.Record{Kind: journal.Vendor, T: synthStart + 1, Wedding: fmt.Sprintf("w%03d", w+1), Vendor: id, Type: types[i%len(types)], Homes: homes})
			s.connect(id, w+i, int(homes))
		}
	}
}

func (s *synthetic) connect(id string, preferred, homes int) {
	arrived := synthStart + int64(s.random.Float64()*2.5e9) + 100*milli
	number := int64(0)
	state := func(at int64, n int64, region, state, why string) {
		s.History = append(s.History, journal.Record{Kind: journal.Session, T: at, Vendor: id, Session: n, Region: region, State: state, Why: why})
	}
	join := func(at int64, region string) connection {
		number++
		state(at-60*milli, number, region, journal.Dialing, "")
		state(at-40*milli, number, region, journal.Opened, "")
		state(at, number, region, journal.Joined, "")
		return connection{region: region, number: number, from: at, to: 1 << 62}
	}
	var open []connection
	for h := range homes {
		open = append(open, join(arrived+int64(h)*milli, synthRegions[(preferred+h)%3]))
	}
	s.History = append(s.History, journal.Record{Kind: journal.Arrived, T: arrived, Vendor: id})
	for _, f := range s.faults {
		for i := range open {
			if open[i].region != synthDead {
				continue
			}
			notice := f.from + milli/2 + s.random.Int64N(2*milli)
			why := "unexpected EOF"
			if s.Silent {
				notice, why = f.from+600*milli+s.random.Int64N(400*milli), "silent for 1s"
			}
			open[i].to = notice
			state(notice, open[i].number, synthDead, journal.Closed, why)
			s.homes[id] = append(s.homes[id], open[i])
			next := synthRegions[s.random.IntN(2)]
			if homes == 2 {
				next = synthRegions[0]
				if open[1-i].region == next {
					next = synthRegions[1]
				}
			}
			away := join(notice+60*milli+s.random.Int64N(100*milli), next)
			// Home again, make before break, once the region has been back for a while.
			back := join(f.to+3*second+s.random.Int64N(500*milli), synthDead)
			away.to = back.from + 20*milli
			state(away.to, away.number, next, journal.Left, "moved back")
			s.homes[id] = append(s.homes[id], away)
			open[i] = back
		}
	}
	s.homes[id] = append(s.homes[id], open...)
}

// messages plays the publishes: an urgent one per wedding every five seconds, an update every second.
func (s *synthetic) messages(end int64) {
	for w := range s.Weddings {
		var vendors []string
		for _, r := range s.History {
			if r.Kind == journal.Vendor && r.Wedding == fmt.Sprintf("w%03d", w+1) {
				vendors = append(vendors, r.Vendor)
			}
		}
		phase := s.random.Int64N(second)
		n := s.random.IntN(5)
		for at := synthStart + 4*second + phase; at < end-3*second; at += second {
			lane := journal.Normal
			if n%5 == 0 {
				lane = journal.Urgent
			}
			n++
			s.message(vendors, fmt.Sprintf("w%03d", w+1), lane, n, at)
		}
	}
}

func (s *synthetic) message(vendors []string, wedding, lane string, n int, sched int64) {
	from := vendors[s.random.IntN(len(vendors))]
	id := fmt.Sprintf("%s/%c%d", from, lane[0], n)
	sent := sched + 50_000 + s.random.Int64N(900_000)
	s.History = append(s.History, journal.Record{Kind: journal.Pub, T: sent, ID: id, Wedding: wedding, Vendor: from, Lane: lane, Sched: sched})
	access := 4*milli + s.random.Int64N(2*milli)
	accepted, region := int64(0), ""
	for _, c := range s.homes[from] {
		at := max(sent, c.from) + access
		if c.from <= sent+300*milli && c.to > at && !s.dead(c.region, at) && (accepted == 0 || at < accepted) {
			accepted, region = at, c.region
		}
	}
	held, heldAt := []string{region}, int64(1<<62)
	second2 := ""
	for _, r := range synthRegions {
		stored := accepted + delay(region, r)
		if r != region && !s.dead(r, stored) && stored < heldAt {
			heldAt, second2 = stored, r
		}
	}
	held = append(held, second2)
	done := heldAt + delay(region, second2) + access
	s.History = append(s.History, journal.Record{Kind: journal.Done, T: done, ID: id, Out: journal.OK, Via: region, Held: held})
	for i, r := range synthRegions {
		stored := accepted + delay(region, r) + s.random.Int64N(milli)
		if r == second2 {
			stored = heldAt
		}
		for _, f := range s.faults { // anti-entropy after the return
			if r == synthDead && stored >= f.from && stored < f.to {
				stored = f.to + second + s.random.Int64N(second)
			}
		}
		s.Log = append(s.Log, audit.Record{Node: r + "-0", Region: r, Lane: lane, ID: id, Room: "private:" + wedding, Origin: region + "-0",
			Seq: uint64(len(s.Log)/3 + i + 1), StoredWallNS: synthWall + stored - synthStart})
	}
	for _, v := range vendors {
		if v != from {
			s.deliver(v, id, region, accepted)
		}
	}
}

// deliver brings a message to a recipient over each of its sessions, or by replay to its next one.
func (s *synthetic) deliver(vendor, id, region string, accepted int64) {
	type copyOf struct {
		at       int64
		c        connection
		replayed bool
	}
	var copies []copyOf
	for _, c := range s.homes[vendor] {
		at := accepted + delay(region, c.region) + 4*milli + int64(s.random.ExpFloat64()*1.5e6)
		if c.from <= at && c.to > at && !s.dead(c.region, at) {
			copies = append(copies, copyOf{at, c, false})
		}
	}
	if len(copies) == 0 {
		for _, c := range s.homes[vendor] {
			if c.from > accepted && (len(copies) == 0 || c.from < copies[0].c.from) {
				copies = []copyOf{{c.from + 5*milli + s.random.Int64N(10*milli), c, true}}
			}
		}
	}
	slices.SortFunc(copies, func(a, b copyOf) int { return int(a.at - b.at) })
	for i, c := range copies {
		kind := journal.Recv
		if i > 0 {
			kind = journal.Dup
		}
		s.History = append(s.History, journal.Record{Kind: kind, T: c.at, Vendor: vendor, Session: c.c.number, ID: id, Via: c.c.region, Replayed: c.replayed})
	}
}

// finish puts the records into the order of time and writes the end record.
func (s *synthetic) finish(end int64) {
	slices.SortStableFunc(s.History[1:], func(a, b journal.Record) int { return int(a.T - b.T) })
	s.History = append(s.History, journal.Record{Kind: journal.End, T: end, WallNS: synthWall + end - synthStart})
	s.recount()
}

// recount makes the end record agree with the lines before it.
func (s *synthetic) recount() {
	if len(s.History) == 0 || s.History[len(s.History)-1].Kind != journal.End {
		return
	}
	last := &s.History[len(s.History)-1]
	last.Pubs, last.Dones, last.Recvs, last.Dups, last.Bulks = 0, 0, 0, 0, 0
	for _, r := range s.History {
		switch r.Kind {
		case journal.Pub:
			last.Pubs++
		case journal.Done:
			last.Dones++
		case journal.Recv:
			last.Recvs++
		case journal.Dup:
			last.Dups++
		case journal.Bulk:
			last.Bulks++
		}
	}
}

func (s *synthetic) manifest(end int64) {
	s.Manifest = Manifest{
		Schema: ManifestSchema, RunID: "region-kill-20261123T200000Z-seed42", Drill: "region-kill", Seed: 42,
		Command: []string{"wedsync", "drill", "run", "drill/region-kill.yaml"},
		Start:   clock.Anchor{MonoNS: synthStart - 2*second, WallNS: synthWall - 2*second}, End: clock.Anchor{MonoNS: end + second, WallNS: synthWall + end + second - synthStart},
		Source:   Source{Commit: "0123456789abcdef0123456789abcdef01234567"},
		Versions: Versions{Wedsync: "v0.1.0", Go: "go1.26.0", K6: "v1.8.1"},
		Machine:  Machine{OS: "linux/amd64", Kernel: "6.18", CPU: "Example processor", Cores: 2, MemoryBytes: 8 << 30},
		Network: Network{Kind: "packet", Description: "packet-level network, one namespace per region", Profile: "three-continents", Source: "public inter-region round-trip times",
			AccessNS: 8 * milli, RoundTrips: []RoundTrip{{"eu-west", "us-east", 76 * milli}, {"eu-west", "ap-southeast", 160 * milli}, {"us-east", "ap-southeast", 216 * milli}}},
		Nodes: []Node{{"eu-west-0", "eu-west"}, {"us-east-0", "us-east"}, {"ap-southeast-0", "ap-southeast"}},
	}
}
