package xk6wedsync

import (
	"context"
	"sync"
	"time"

	"go.k6.io/k6/lib"
	"go.k6.io/k6/metrics"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

// pushEvery is how often a wedding hands its samples to k6. Counters are summed up meanwhile.
const pushEvery = time.Second

// collector turns one wedding's observations into k6 samples.
type collector struct {
	ctx      context.Context // the iteration's
	out      chan<- metrics.SampleContainer
	i        *instruments
	fleet    *fleet.Fleet
	base     *metrics.TagSet // of the virtual user, as they were when the wedding was made
	finished chan struct{}   // closed after the last push

	mu     sync.Mutex // guards the following
	trends metrics.Samples
	counts map[series]float64
	tags   map[tagKey]*metrics.TagSet // grows to regions × phases × trades × paths, some hundreds
}

// series is one counter with its tags.
type series struct {
	metric *metrics.Metric
	tags   *metrics.TagSet
}

// tagKey are the tags of an observation; empty ones are left out.
type tagKey struct{ region, phase, vendorType, path, lane string }

func newCollector(ctx context.Context, state *lib.State, i *instruments, f *fleet.Fleet) *collector {
	return &collector{ctx: ctx, out: state.Samples, i: i, fleet: f, base: state.Tags.GetCurrentValues().Tags,
		finished: make(chan struct{}), counts: map[series]float64{}, tags: map[tagKey]*metrics.TagSet{}}
}

// start pushes until the wedding has ended and everything is handed over.
func (c *collector) start(w *fleet.Wedding) {
	go func() { // owner: the wedding; ends with it; holds the samples of a second
		defer close(c.finished)
		tick := time.NewTicker(pushEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.push()
			case <-w.Ended():
				c.push()
				return
			}
		}
	}()
}

// observe takes one observation. It is called on the goroutines of sockets.
func (c *collector) observe(o fleet.Observation) {
	lane := &c.i.lanes[o.Lane]
	key := tagKey{region: o.Region, phase: o.Phase, vendorType: o.Type}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o.What {
	case fleet.Sent:
		c.counts[series{lane.sent, c.tagged(key)}]++
	case fleet.Answered:
		key.lane = o.Lane.String()
		if o.Slow {
			key.path = "stalled"
		}
		c.trend(c.i.ok, o, c.tagged(key))
	case fleet.Refused:
		c.counts[series{lane.noAck, c.tagged(key)}]++
	case fleet.Delivered:
		switch key.path = "live"; {
		case o.Slow:
			key.path = "stalled"
		case o.Replayed:
			key.path = "replay"
		}
		tags := c.tagged(key)
		c.trend(lane.latency, o, tags)
		c.counts[series{lane.delivered, tags}]++
		if o.Late && lane.late != nil {
			c.counts[series{lane.late, tags}]++
		}
	case fleet.Lost:
		c.counts[series{lane.lost, c.tagged(key)}]++
	case fleet.Duplicate:
		c.counts[series{c.i.duplicates, c.tagged(key)}]++
	case fleet.Stray:
		c.counts[series{c.i.strays, c.tagged(key)}]++
	case fleet.Escalated:
		c.counts[series{c.i.escalations, c.tagged(key)}]++
	case fleet.Failover:
		c.counts[series{c.i.failovers, c.tagged(key)}]++
	case fleet.Moved:
		c.counts[series{c.i.moves, c.tagged(key)}]++
	case fleet.Stall:
		c.counts[series{c.i.stalls, c.tagged(key)}]++
	case fleet.Arrival:
		c.trend(c.i.arrival, o, c.tagged(key))
	}
}

func (c *collector) trend(m *metrics.Metric, o fleet.Observation, tags *metrics.TagSet) {
	c.trends = append(c.trends, sample(m, tags, o.At, metrics.D(o.Latency)))
}

// tagged is called with mu held.
func (c *collector) tagged(k tagKey) *metrics.TagSet {
	if t := c.tags[k]; t != nil {
		return t
	}
	t := c.base
	for _, tag := range [...][2]string{{"region", k.region}, {"phase", k.phase}, {"vendor_type", k.vendorType},
		{"path", k.path}, {"lane", k.lane}} {
		if tag[1] != "" {
			t = t.With(tag[0], tag[1])
		}
	}
	c.tags[k] = t
	return t
}

// push hands over what has come together, unless the iteration is over: then k6 takes nothing more.
func (c *collector) push() {
	now := time.Now()
	c.mu.Lock()
	batch := c.trends
	c.trends = make(metrics.Samples, 0, len(batch)+len(batch)/4)
	for s, n := range c.counts {
		batch = append(batch, sample(s.metric, s.tags, now, n))
	}
	clear(c.counts)
	vendors := c.tagged(tagKey{phase: c.fleet.Phase()})
	c.mu.Unlock()
	batch = append(batch, sample(c.i.vendors, vendors, now, float64(c.fleet.Arrived())))
	metrics.PushIfNotDone(c.ctx, c.out, batch)
}

func sample(m *metrics.Metric, tags *metrics.TagSet, at time.Time, v float64) metrics.Sample {
	return metrics.Sample{TimeSeries: metrics.TimeSeries{Metric: m, Tags: tags}, Time: at, Value: v}
}
