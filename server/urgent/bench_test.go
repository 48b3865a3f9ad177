package urgent

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// BenchmarkPublish is one publisher that waits for each ok, three nodes in one process with a
// disk write per copy; allocations are those of all three.
func BenchmarkPublish(b *testing.B) {
	nodes := cluster(b, 3, 3)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		publish(b, nodes[0], event("public:w", fmt.Sprintf("b%d", i)))
		i++
	}
}

// BenchmarkPaced publishes 200 urgent events a second in turn on three nodes, and reports
// percentiles of ok and of live delivery to the slowest of them. Try -benchtime=2000x.
func BenchmarkPaced(b *testing.B) {
	nodes := cluster(b, 3, 3)
	var mu sync.Mutex // guards oks
	var oks []time.Duration
	sent := make([]time.Time, 0, b.N)
	var waits sync.WaitGroup
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	before := cpu(b)
	b.ResetTimer()
	for i := range b.N {
		<-tick.C
		start := time.Now()
		sent = append(sent, start)
		waits.Go(func() {
			publish(b, nodes[i%3], event(fmt.Sprintf("public:w%d", i%20), fmt.Sprintf("b%d", i)))
			mu.Lock()
			oks = append(oks, time.Since(start))
			mu.Unlock()
		})
	}
	waits.Wait()
	used := cpu(b) - before
	b.StopTimer()
	var live []time.Duration
	for i, start := range sent {
		id := fmt.Sprintf("b%d", i)
		delivered(b, id, nodes...)
		for _, n := range nodes {
			n.inbox.mu.Lock()
			live = append(live, n.inbox.at[id].Sub(start))
			n.inbox.mu.Unlock()
		}
	}
	report(b, "ok", oks)
	report(b, "live", live)
	b.ReportMetric(100*used.Seconds()/b.Elapsed().Seconds()/3, "cpu-%/node")
}

// BenchmarkIdle reports the CPU of a node with two peers and nothing to do; an iteration is a
// second.
func BenchmarkIdle(b *testing.B) {
	cluster(b, 3, 3)
	before := cpu(b)
	b.ResetTimer()
	for range b.N {
		<-time.After(time.Second)
	}
	b.ReportMetric(100*(cpu(b)-before).Seconds()/b.Elapsed().Seconds()/3, "cpu-%/node")
}

// BenchmarkCatchUp reports how long a node that has missed b.N events takes to hold them all. Try
// -benchtime=30000x.
func BenchmarkCatchUp(b *testing.B) {
	nodes := cluster(b, 3, 3)
	nodes[2].stop()
	var waits sync.WaitGroup
	slots := make(chan struct{}, 256)
	for i := range b.N {
		slots <- struct{}{}
		waits.Go(func() {
			publish(b, nodes[i%2], event(fmt.Sprintf("public:w%d", i%100), fmt.Sprintf("b%d", i)))
			<-slots
		})
	}
	waits.Wait()
	b.ResetTimer()
	start := time.Now()
	nodes[2].start()
	for {
		if ok, _ := nodes[2].b.CaughtUp(); ok {
			break
		}
		if time.Since(start) > time.Minute {
			b.Fatal("not caught up within a minute")
		}
		<-time.After(10 * time.Millisecond)
	}
	b.StopTimer()
	if got := len(nodes[2].log(protocol.Urgent)); got != b.N {
		b.Errorf("caught up with %d of %d", got, b.N)
	}
	once(b, nodes...)
}

func report(b *testing.B, name string, times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(.5), name+"-p50-ms")
	b.ReportMetric(at(.99), name+"-p99-ms")
	b.ReportMetric(at(1), name+"-max-ms")
}

func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
