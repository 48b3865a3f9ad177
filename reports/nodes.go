package reports

import (
	"slices"
	"strings"

	"github.com/wedsync/wedsync/reports/nodes"
)

// NodeRow is what one node took over the measured span, all of its processes together.
type NodeRow struct {
	Node      string `json:"node"`
	Region    string `json:"region"`
	Samples   int    `json:"samples"` // about one a second
	Up        int    `json:"up"`      // of Samples
	Draining  int    `json:"draining"`
	Processes int    `json:"processes"`

	Connections int      `json:"connections_max"`
	CPUMean     *float64 `json:"cpu_mean"` // seconds per second
	CPUMax      *float64 `json:"cpu_max"`
	RSSFirst    int64    `json:"rss_first_bytes"`
	RSSMax      int64    `json:"rss_max_bytes"`
	RSSLast     int64    `json:"rss_last_bytes"`

	GoroutinesFirst int `json:"goroutines_first"`
	GoroutinesMax   int `json:"goroutines_max"`
	GoroutinesLast  int `json:"goroutines_last"`
}

// regionOf is the region of a node: as the manifest says, or as the name does of one that was added in the run.
func (a *analysis) regionOf(node string) string {
	for _, n := range a.manifest.Nodes {
		if n.Name == node {
			return n.Region
		}
	}
	if i := strings.LastIndexByte(node, '-'); i > 0 {
		return node[:i]
	}
	return node
}

// nodesOf are the nodes of a region, or all of them.
func (a *analysis) nodesOf(region string) []nodes.Node {
	if region == "" {
		return a.nodes
	}
	return slices.DeleteFunc(slices.Clone(a.nodes), func(n nodes.Node) bool { return a.regionOf(n.Name) != region })
}

func (a *analysis) nodeRows() []NodeRow {
	from, to, ok := a.judged.Measured(a.judged.Last())
	if !ok {
		return nil
	}
	var rows []NodeRow
	for i := range a.nodes {
		n := &a.nodes[i]
		r := NodeRow{Node: n.Name, Region: a.regionOf(n.Name)}
		for k := range n.Samples {
			if s := &n.Samples[k]; s.Mono >= from && s.Mono < to {
				r.add(s)
			}
		}
		if r.Samples == 0 {
			continue
		}
		processes := n.Processes(from, to)
		r.Processes = len(processes)
		r.rates(processes)
		rows = append(rows, r)
	}
	return rows
}

func (r *NodeRow) add(s *nodes.Sample) {
	r.Samples++
	if !s.Up {
		return
	}
	r.Up++
	if s.Draining {
		r.Draining++
	}
	if s.RSS > 0 {
		if r.RSSFirst == 0 {
			r.RSSFirst = s.RSS
		}
		r.RSSMax, r.RSSLast = max(r.RSSMax, s.RSS), s.RSS
	}
	if s.Goroutines > 0 {
		if r.GoroutinesFirst == 0 {
			r.GoroutinesFirst = s.Goroutines
		}
		r.GoroutinesMax, r.GoroutinesLast = max(r.GoroutinesMax, s.Goroutines), s.Goroutines
		r.Connections = max(r.Connections, s.Connections)
	}
}

func (r *NodeRow) rates(processes []nodes.Process) {
	var sum, most float64
	n := 0
	for i := range processes {
		for _, rate := range processes[i].Rates() {
			sum, most, n = sum+rate.CPU, max(most, rate.CPU), n+1
		}
	}
	if n > 0 {
		mean := round6(sum / float64(n))
		most = round6(most)
		r.CPUMean, r.CPUMax = &mean, &most
	}
}
