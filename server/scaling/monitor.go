package scaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	sampleEvery = time.Second
	// HeardFor is how long the load of a node counts that says nothing more.
	HeardFor = 5 * time.Second

	maxName  = 255  // bytes
	maxLoad  = 4096 // bytes of a message
	maxNodes = 10 * maxReplicas
)

// Config of a Monitor.
type Config struct {
	Node, Region string
	Policy       *Policy // to begin with

	// Gossip sends a message to all other nodes (node is ""). It must not block, and may keep data.
	Gossip      func(node string, data []byte)
	Connections func() int     // open on this node
	Messages    func() float64 // per second, received and sent by this node
	Draining    func() bool    // this node is about to go

	Logger     *slog.Logger          // default: nothing is logged
	Registerer prometheus.Registerer // nil: metrics are kept, but nowhere shown
}

// Validate says all that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	for _, name := range []struct{ what, value string }{{"node", c.Node}, {"region", c.Region}} {
		if n := len(name.value); n == 0 || n > maxName {
			errs = append(errs, fmt.Errorf("the name of the %s has %d bytes: 1 to %d are allowed", name.what, n, maxName))
		}
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Policy", c.Policy != nil}, {"Gossip", c.Gossip != nil}, {"Connections", c.Connections != nil},
		{"Messages", c.Messages != nil}, {"Draining", c.Draining != nil},
	} {
		if !f.set {
			errs = append(errs, fmt.Errorf("%s must be set", f.name))
		}
	}
	if c.Policy != nil {
		errs = append(errs, c.Policy.Validate())
	}
	return errors.Join(errs...)
}

// Monitor keeps one node's view of the load of all, and says in its metrics how many nodes there should be.
type Monitor struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	complain rate.Sometimes
	started  atomic.Bool

	planner *Planner            // belongs to Run
	said    map[string]Decision // by region, likewise

	mu     sync.Mutex // guards the following
	policy *Policy
	loads  map[string]heard
}

// heard is the last that a node has said.
type heard struct {
	load Load
	at   time.Time
}

// New returns a monitor, or says all that is wrong with the configuration.
func New(cfg Config) (*Monitor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of scaling:\n%w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	m := &Monitor{cfg: cfg, log: cfg.Logger.With("part", "scaling"), complain: rate.Sometimes{Interval: 10 * time.Second},
		planner: NewPlanner(cfg.Policy), said: map[string]Decision{}, policy: cfg.Policy, loads: map[string]heard{}}
	var err error
	if m.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, err
	}
	return m, nil
}

// Run samples, tells and decides each second, until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	if m.started.Swap(true) {
		return errors.New("scaling runs already: make a new monitor for a new run")
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		m.sample()
		m.decide(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Use follows another policy from the next second on; one that is not valid is refused.
func (m *Monitor) Use(p *Policy) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("the scaling policy:\n%w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.policy = p
	return nil
}

// sample tells the others, and itself, what this node has to do.
func (m *Monitor) sample() {
	load := Load{Node: m.cfg.Node, Region: m.cfg.Region, Connections: float64(m.cfg.Connections()),
		Messages: m.cfg.Messages(), Draining: m.cfg.Draining()}
	data, err := json.Marshal(load)
	if err != nil { // a rate that is no number
		m.log.Error("the load of this node cannot be told", "err", err)
		return
	}
	m.hear(load)
	m.cfg.Gossip("", data)
}

// Receive takes what another node says of its load. It does not keep data.
func (m *Monitor) Receive(data []byte) {
	var load Load
	err := errors.New("it is too long")
	if len(data) <= maxLoad {
		err = json.Unmarshal(data, &load)
	}
	if err == nil {
		err = load.validate()
	}
	if err != nil {
		m.metrics.malformed.Inc()
		m.complain.Do(func() { m.log.Warn("the load of another node is not understood", "err", err) })
		return
	}
	if load.Node != m.cfg.Node {
		m.hear(load)
	}
}

func (l *Load) validate() error {
	for _, name := range []string{l.Node, l.Region} {
		if n := len(name); n == 0 || n > maxName {
			return fmt.Errorf("a name has %d bytes", n)
		}
	}
	for _, v := range []float64{l.Connections, l.Messages} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("a load is %v", v)
		}
	}
	return nil
}

func (m *Monitor) hear(load Load) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.loads[load.Node]; known || len(m.loads) < maxNodes {
		m.loads[load.Node] = heard{load, time.Now()}
	}
}

// current is the policy and the loads that count, without those of nodes that have gone.
func (m *Monitor) current(now time.Time) (p *Policy, loads []Load) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for node, h := range m.loads {
		if now.Sub(h.at) > HeardFor {
			delete(m.loads, node)
			continue
		}
		loads = append(loads, h.load)
	}
	return m.policy, loads
}

// decide brings the metrics up to date, and logs what has changed.
func (m *Monitor) decide(now time.Time) {
	policy, loads := m.current(now)
	m.planner.Use(policy)
	for _, d := range m.planner.Desired(now, loads) {
		m.metrics.set(d)
		if before, ok := m.said[d.Region]; !ok || before.Replicas != d.Replicas {
			m.log.Info("desired nodes", "region", d.Region, "replicas", d.Replicas, "before", before.Replicas, "reason", d.Reason, "need", d.Need)
		}
		m.said[d.Region] = d
	}
}
