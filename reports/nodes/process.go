package nodes

// Process is the samples of one process of a node while it was up.
type Process struct {
	PID     int
	Samples []Sample
}

// Processes splits the samples of a node with mono in [from, to) by process. Samples of a node that is down belong to
// none.
func (n *Node) Processes(from, to int64) []Process {
	var all []Process
	for _, s := range n.Samples {
		if !s.Up || s.Mono < from || s.Mono >= to {
			continue
		}
		if len(all) == 0 || all[len(all)-1].PID != s.PID {
			all = append(all, Process{PID: s.PID})
		}
		p := &all[len(all)-1]
		p.Samples = append(p.Samples, s)
	}
	return all
}

// Rate is CPU seconds per second between two samples of a process.
type Rate struct {
	Mono int64 // of the second one
	CPU  float64
}

// Rates are the CPU rates of a process, from each sample that knows its CPU time to the next one.
func (p *Process) Rates() []Rate {
	var all []Rate
	var last *Sample
	for i := range p.Samples {
		s := &p.Samples[i]
		if s.CPU == 0 {
			continue
		}
		if last != nil {
			all = append(all, Rate{s.Mono, max(s.CPU-last.CPU, 0) / (float64(s.Mono-last.Mono) / 1e9)})
		}
		last = s
	}
	return all
}
