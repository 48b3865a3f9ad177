package check

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/wedsync/wedsync/reports/audit"
)

// HeldTolerance is how much later than the publisher's ok the second region may seem to have stored a
// message: what reading two clocks one after the other can cost.
const HeldTolerance = time.Millisecond

// Holding says whether what was acknowledged is where it must be.
//
//	in two regions   the logs of at least two regions have the message
//	before the ok    the second region had stored it by the time its publisher was told so
//	on every node    of a region that was under fault and came back
type Holding struct {
	Acknowledged int
	TwoRegions   int
	BeforeOK     int
	Returned     []string      // regions that came back from a fault
	Complete     int           // acknowledged messages that every node of the returned regions holds
	Nodes        []string      // whose logs were read
	Missing      []string      // nodes of the run whose logs were not read
	Margin       Latencies     // ok minus the second region's store time; negative: told too early
	Problems     []HeldProblem // all of them, in the order of scheduled send
	Stepped      error         // the wall clock moved during the run, so that store times cannot be compared
}

// HeldProblem is one acknowledged message that is not held as it must be.
type HeldProblem struct {
	Message *Message
	Why     string
}

// Store is what the logs of all nodes hold, from raw/log.jsonl.gz.
type Store struct {
	regionOf map[string]string   // of each node that was asked
	copies   map[string][]stored // of each message
}

type stored struct {
	node string
	wall int64
}

// ReadStore reads raw/log.jsonl.gz.
func ReadStore(r io.Reader) (*Store, error) {
	s := NewStore()
	return s, audit.Read(r, s.Add)
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{regionOf: map[string]string{}, copies: map[string][]stored{}}
}

// Add takes in one record.
func (s *Store) Add(r *audit.Record) error {
	if region, known := s.regionOf[r.Node]; known && region != r.Region {
		return fmt.Errorf("node %s is in region %s and in %s", r.Node, region, r.Region)
	}
	s.regionOf[r.Node] = r.Region
	if !r.Asked() {
		s.copies[r.ID] = append(s.copies[r.ID], stored{node: r.Node, wall: r.StoredWallNS})
	}
	return nil
}

// Held compares the logs with the acknowledged messages of a lane ("" for both; bulk is in no log). nodes are the nodes of
// the run, each with its region.
func (j *Judgement) Held(s *Store, lane string, nodes map[string]string) *Holding {
	h := &Holding{}
	for node := range s.regionOf {
		h.Nodes = append(h.Nodes, node)
	}
	for node := range nodes {
		if _, asked := s.regionOf[node]; !asked {
			h.Missing = append(h.Missing, node)
		}
	}
	slices.Sort(h.Nodes)
	slices.Sort(h.Missing)
	toMono, err := j.wallClock()
	h.Stepped = err
	h.Returned = j.returned()
	var back []string // nodes of returned regions
	for _, node := range h.Nodes {
		if slices.Contains(h.Returned, s.regionOf[node]) {
			back = append(back, node)
		}
	}
	for i := range j.Messages {
		m := &j.Messages[i]
		if m.Published && !m.Bulk && m.Outcome == Acknowledged && (lane == "" || lane == m.Lane()) {
			h.judge(m, s, back, toMono)
		}
	}
	h.Margin.sort()
	slices.SortStableFunc(h.Problems, func(a, b HeldProblem) int { return cmp.Compare(a.Message.Sched, b.Message.Sched) })
	return h
}

func (h *Holding) judge(m *Message, s *Store, back []string, toMono func(int64) int64) {
	h.Acknowledged++
	copies := s.copies[m.ID]
	var regions []string // in the order in which they first stored it
	var at []int64
	slices.SortStableFunc(copies, func(a, b stored) int { return cmp.Compare(a.wall, b.wall) })
	for _, c := range copies {
		if region := s.regionOf[c.node]; !slices.Contains(regions, region) {
			regions = append(regions, region)
			at = append(at, toMono(c.wall))
		}
	}
	problem := func(format string, args ...any) {
		h.Problems = append(h.Problems, HeldProblem{Message: m, Why: fmt.Sprintf(format, args...)})
	}
	switch {
	case len(regions) < 2:
		problem("acknowledged, but in the logs of %d region(s) %v", len(regions), regions)
	default:
		h.TwoRegions++
		h.Margin.add(m.Done - at[1])
		if early := time.Duration(at[1] - m.Done); early <= HeldTolerance {
			h.BeforeOK++
		} else if h.Stepped == nil {
			problem("acknowledged %s before a second region (%s) had it", inMS(int64(early)), regions[1])
		}
	}
	for _, node := range back {
		if !slices.ContainsFunc(copies, func(c stored) bool { return c.node == node }) {
			problem("node %s came back and does not hold it", node)
			return
		}
	}
	h.Complete++
}

// returned lists the regions that were under fault and came back, sorted.
func (j *Judgement) returned() []string {
	var regions []string
	for i := range j.Injections {
		if j.Injections[i].Reverted > 0 {
			regions = append(regions, j.Injections[i].Regions...)
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// maxSkew is how fast the wall clock may run against the monotonic one: the kernel slews by at most
// 500 parts per million. What moves faster was stepped.
const maxSkew = 500e-6

// wallClock converts wall times to the monotonic clock by the history's two anchors, and says whether the
// wall clock stepped between them.
func (j *Judgement) wallClock() (func(wall int64) int64, error) {
	start, end := j.Start, j.End
	if end.Mono <= start.Mono {
		return func(wall int64) int64 { return start.Mono + wall - start.Wall }, fmt.Errorf("the history has no second anchor of the wall clock")
	}
	mono, wall := end.Mono-start.Mono, end.Wall-start.Wall
	var err error
	if step := time.Duration(wall - mono); step.Abs() > HeldTolerance+time.Duration(maxSkew*float64(mono)) {
		err = fmt.Errorf("the wall clock moved by %v during the run", step)
	}
	if wall <= 0 {
		return func(w int64) int64 { return start.Mono + w - start.Wall }, err
	}
	rate := float64(wall-mono) / float64(wall)
	return func(w int64) int64 {
		d := w - start.Wall
		return start.Mono + d - int64(rate*float64(d))
	}, err
}
