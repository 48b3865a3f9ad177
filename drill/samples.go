package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/reports/nodes"
)

// The metrics of a node that are sampled.
const (
	goroutinesMetric  = "go_goroutines"
	connectionsMetric = "wedsync_connections"
)

// sampleEvery is how often: as often as it takes to see a node come and go, and no more than what disturbs nobody.
const sampleEvery = time.Second

// sampler writes raw/nodes.jsonl: how each node was, once a second. A node that is down, or that has left the cluster, is
// not "up"; then there is nothing else to say about it. What the node itself did not say in time is 0.
type sampler struct {
	ever func() []*cluster.Node
	file *os.File
	done chan struct{}
	stop context.CancelFunc

	mu   sync.Mutex // guards the following
	last map[string]int64
	err  error // the first that came up while writing
}

// startSampler samples the nodes that are or were in a cluster at any time, until close is called.
func startSampler(ctx context.Context, path string, ever func() []*cluster.Node) (*sampler, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("sampling the nodes: %w", err)
	}
	s := &sampler{ever: ever, file: file, done: make(chan struct{}), last: make(map[string]int64)}
	ctx, s.stop = context.WithCancel(ctx)
	go s.run(ctx) // owned by s; ended by close
	return s, nil
}

func (s *sampler) run(ctx context.Context) {
	defer close(s.done)
	var looks sync.WaitGroup
	defer looks.Wait()
	ticks := time.NewTicker(sampleEvery)
	defer ticks.Stop()
	for {
		for _, n := range s.ever() {
			looks.Go(func() { // owned by run, which waits for it; ends well before the next one
				s.write(look(ctx, n))
			})
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// look takes one sample. A node that does not answer, because it is frozen for example, is up without figures of its own.
func look(ctx context.Context, n *cluster.Node) nodes.Sample {
	now := clock.Read()
	s := nodes.Sample{Mono: now.MonoNS, Wall: now.WallNS, Node: n.Name}
	usage, err := n.Usage()
	if err != nil {
		return s
	}
	s.Up, s.PID, s.RSS, s.CPU, s.Draining = true, n.Pid(), usage.RSS, usage.CPU.Seconds(), n.Draining()
	ctx, cancel := context.WithTimeout(ctx, sampleEvery*3/4)
	defer cancel()
	series, err := n.Metrics(ctx, goroutinesMetric, connectionsMetric)
	if err != nil {
		return s
	}
	for _, m := range series {
		switch m.Name {
		case goroutinesMetric:
			s.Goroutines += int(m.Value)
		case connectionsMetric:
			s.Connections += int(m.Value)
		}
	}
	return s
}

func (s *sampler) write(sample nodes.Sample) {
	line, err := json.Marshal(sample)
	s.mu.Lock()
	defer s.mu.Unlock()
	// A look that took longer than it may, on a machine that stood still, comes after the next one: too late.
	if s.err != nil || sample.Mono <= s.last[sample.Node] {
		return
	}
	s.last[sample.Node] = sample.Mono
	if err == nil {
		_, err = s.file.Write(append(line, '\n'))
	}
	s.err = err
}

// close ends the sampling; nil is no sampler.
func (s *sampler) close() error {
	if s == nil {
		return nil
	}
	s.stop()
	<-s.done
	if err := errors.Join(s.err, ignoreTwice(s.file.Close())); err != nil {
		return fmt.Errorf("sampling the nodes: %w", err)
	}
	return nil
}

// ignoreTwice lets a file be closed again.
func ignoreTwice(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
