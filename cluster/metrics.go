package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Series is one line of a node's /metrics.
type Series struct {
	Name   string
	Labels string // what stands between the braces
	Value  float64
}

// Label returns the value of a label; empty if there is none.
func (s Series) Label(name string) string {
	_, rest, ok := strings.Cut(","+s.Labels, ","+name+`="`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// Metrics asks the node, from within its own region, for the metrics of these names.
func (n *Node) Metrics(ctx context.Context, names ...string) ([]Series, error) {
	conn, err := n.cfg.Network.DialFrom(ctx, n.Region, n.http)
	if err != nil {
		return nil, fmt.Errorf("/metrics of %s: %w", n.Name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	response, err := ask(conn, n.HTTP()+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("/metrics of %s: %w", n.Name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics of %s: %s", n.Name, response.Status)
	}
	found, err := scanMetrics(response.Body, names)
	if err != nil {
		return nil, fmt.Errorf("/metrics of %s: %w", n.Name, err)
	}
	return found, nil
}

// scanMetrics finds the lines of these names in the text format of Prometheus. It is asked once a second for a few of
// some hundred lines, so it looks at the others no longer than it must.
func scanMetrics(r io.Reader, names []string) (found []Series, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		end := slices.IndexFunc(line, func(b byte) bool { return b == '{' || b == ' ' })
		if end < 0 || !slices.ContainsFunc(names, func(name string) bool { return name == string(line[:end]) }) {
			continue
		}
		s := Series{Name: string(line[:end])}
		rest := string(line[end:])
		if close := strings.LastIndexByte(rest, '}'); close > 0 {
			s.Labels, rest = rest[1:close], rest[close+1:]
		}
		value, _, _ := strings.Cut(strings.TrimSpace(rest), " ") // a timestamp may follow
		if s.Value, err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("the line %q: %w", lines.Text(), err)
		}
		found = append(found, s)
	}
	return found, lines.Err()
}
