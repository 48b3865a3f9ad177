// Package nodes reads what the server processes of a run took, once a second: raw/nodes.jsonl.
//
// The drill looks at every node from outside and writes a line a node and second:
//
//	{"mono":5000000000000,"wall":1795464000000000000,"node":"eu-west-1","up":true,"pid":4711,"rss":73400320,"goroutines":214,"connections":400,"cpu_s":12.31,"draining":false}
//
// A node that is down has a line too, with up false and nothing else that counts: it was looked for. A node that has
// never been started has none. A figure that could not be read is 0; only the connections can be 0 in earnest, so they
// count where the goroutines, which come from the same answer, do.
//
// A node that is restarted goes on under its name with another pid. What grows within a process (its memory, its CPU
// time) is followed process by process, what a node does (its connections) node by node.
package nodes

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Sample is one node at one instant. The drill writes it as a line of JSON.
type Sample struct {
	Mono        int64   `json:"mono"` // CLOCK_MONOTONIC, ns
	Wall        int64   `json:"wall"` // Unix time, ns; for people only
	Node        string  `json:"node"`
	Up          bool    `json:"up"`
	PID         int     `json:"pid"`
	RSS         int64   `json:"rss"` // bytes; 0: not read
	Goroutines  int     `json:"goroutines"`
	Connections int     `json:"connections"`
	CPU         float64 `json:"cpu_s"` // seconds since the process began
	Draining    bool    `json:"draining"`
}

// check says what is wrong with a sample by itself.
func (s *Sample) check() error {
	switch {
	case s.Node == "":
		return errors.New("it names no node")
	case s.Mono <= 0:
		return fmt.Errorf("mono is %d, which is no time", s.Mono)
	case s.RSS < 0 || s.Goroutines < 0 || s.Connections < 0 || s.CPU < 0 || s.PID < 0:
		return errors.New("a figure is negative")
	case s.Up && s.PID == 0:
		return errors.New("a node that is up has a pid")
	}
	return nil
}

// Node is the samples of one node, in the order of time.
type Node struct {
	Name    string
	Samples []Sample
}

// maxLine bounds a line, so that a damaged file cannot eat the memory.
const maxLine = 64 << 10

// Read reads a whole file, strictly: an unknown key, a figure that cannot be, two samples of a node at one instant, or a
// last line without an end is an error that names the line or the node. Lines may be out of order, as the nodes were
// slow to answer; the samples are sorted by time, the nodes by name.
func Read(r io.Reader) ([]Node, error) {
	of := map[string]*Node{}
	lines := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return sorted(of)
		case err == io.EOF:
			return nil, fmt.Errorf("line %d has no end: whoever wrote it was stopped", n)
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("line %d is longer than %d bytes", n, maxLine)
		case err != nil:
			return nil, fmt.Errorf("after line %d: %w", n-1, err)
		}
		s, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		node := of[s.Node]
		if node == nil {
			node = &Node{Name: s.Node}
			of[s.Node] = node
		}
		node.Samples = append(node.Samples, s)
	}
}

func parse(line []byte) (Sample, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	var s Sample
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("not a sample of a node: %w", err)
	}
	if dec.More() {
		return s, errors.New("more than one JSON value")
	}
	return s, s.check()
}

func sorted(of map[string]*Node) ([]Node, error) {
	all := make([]Node, 0, len(of))
	for _, n := range of {
		slices.SortFunc(n.Samples, func(a, b Sample) int { return cmp.Compare(a.Mono, b.Mono) })
		for i := 1; i < len(n.Samples); i++ {
			if n.Samples[i].Mono == n.Samples[i-1].Mono {
				return nil, fmt.Errorf("%s has two samples at %d", n.Name, n.Samples[i].Mono)
			}
		}
		all = append(all, *n)
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
