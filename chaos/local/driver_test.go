package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/cluster/wan"
)

// TestWholeLife: every mechanism, from the plan to the proof that it is gone.
func TestWholeLife(t *testing.T) {
	grace := kill(in("c"))
	grace.Action, grace.GracePeriod = experiment.PodKill, time.Second
	one := kill(experiment.Selector{Mode: experiment.One, Expressions: in("b", "c").Expressions})
	one.Action, one.Containers = experiment.ContainerKill, []string{"server"}
	experiments := map[string]*experiment.Experiment{
		"failure":             kill(in("c")),
		"kill with grace":     grace,
		"container":           one,
		"freeze":              freezing(in("c")),
		"silent":              network(experiment.Partition, experiment.Both, in("c"), nil),
		"deaf":                network(experiment.Partition, experiment.From, in("c"), nil),
		"island":              network(experiment.Partition, experiment.Both, in("c"), ptr(in("a", "b"))),
		"delay":               network(experiment.Delay, experiment.Both, in("a"), ptr(in("b"))),
		"delay of everything": network(experiment.Delay, experiment.To, in("a"), nil),
		"loss":                losing(10),
		"narrow":              narrowing(20_000),
		"twice":               packets(func(e *experiment.Experiment) { e.Duplicate = 20 }),
		"damage":              packets(func(e *experiment.Experiment) { e.Corrupt = 5 }),
		"disorder": packets(func(e *experiment.Experiment) {
			e.Delay = &experiment.DelayParams{Latency: 30 * time.Millisecond, Reorder: 25}
		}),
		"all at once": packets(func(e *experiment.Experiment) {
			e.Duplicate, e.Corrupt, e.Loss = 10, 2, &experiment.LossParams{Percent: 2}
			e.Delay, e.Bandwidth = &experiment.DelayParams{Latency: 30 * time.Millisecond}, &experiment.BandwidthParams{Rate: 20_000, Buffer: 2000}
		}),
	}
	streams := map[string]bool{"twice": true, "damage": true, "disorder": true, "all at once": true} // have nothing of the kind
	for _, kind := range []wan.Kind{wan.Packet, wan.Proxy} {
		for name, e := range experiments {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				if kind == wan.Proxy {
					t.Parallel() // there is one packet network at a time
				}
				w := newWorld(t, kind)
				if kind == wan.Proxy && streams[name] {
					w.refused(e, "proxies carry byte streams")
					return
				}
				i := w.inject(e)
				w.must(i.Prove(w.Context()))
				w.must(i.Revert(w.Context()))
				w.must(i.ProveGone(w.Context()))
				w.must(i.Revert(w.Context())) // once is enough
				w.must(w.RevertAll(w.Context()))
				if got, want := w.events(), "1:intent 1:injected 1:proved 1:reverting 1:reverted 1:gone"; got != want {
					w.Errorf("journal: %s\nwant     %s", got, want)
				}
			})
		}
	}
}

// TestProofsFail: each proof in a world in which it must not succeed. Undo is what somebody does to
// the fault behind the driver's back; again is what keeps the effect after the revert.
func TestProofsFail(t *testing.T) {
	heal := func(from, to string) func(*world) error {
		return func(w *world) error { return w.cluster.Network().Impair(from, to, wan.Impairment{}) }
	}
	healAll := func(a, b string) func(*world) error {
		return func(w *world) error { return errors.Join(heal(a, b)(w), heal(b, a)(w)) }
	}
	worse := func(im wan.Impairment) func(*world) error {
		return func(w *world) error { return w.cluster.Network().Impair("a", "b", im) }
	}
	for _, tc := range []struct {
		name        string
		e           *experiment.Experiment
		undo, again func(*world) error
		effect      string // what Prove says
		gone        string // what ProveGone says
	}{
		{"down", kill(in("c")),
			func(w *world) error { return w.node("c-1").Start(w.Context()) }, func(w *world) error { return w.node("c-1").Kill() },
			"c-1: process", "venue to c-1: connecting"},
		{"freeze", freezing(in("c")),
			func(w *world) error { return w.node("c-1").Signal(syscall.SIGCONT) }, func(w *world) error { return w.node("c-1").Signal(syscall.SIGSTOP) },
			"not T (stopped)", "is in state 'T'"},
		{"cut", network(experiment.Partition, experiment.Both, in("a"), ptr(in("b"))),
			healAll("a", "b"), worse(wan.Impairment{Cut: true}),
			"although the path is cut", "still impaired"},
		{"half a cut", network(experiment.Partition, experiment.Both, in("a"), ptr(in("b"))),
			heal("a", "b"), worse(wan.Impairment{Cut: true}),
			"a to b is not what was asked for", "still impaired"},
		{"delay", network(experiment.Delay, experiment.Both, in("a"), ptr(in("b"))),
			heal("a", "b"), worse(wan.Impairment{Delay: 20 * time.Millisecond}),
			"the round trip moved by", "before the fault"},
		{"loss", losing(20),
			healAll("a", "b"), worse(wan.Impairment{Loss: 0.01}),
			"no packet was a to b: lost, b to a: lost", "still impaired"},
		{"narrow", narrowing(20_000),
			healAll("a", "b"), worse(wan.Impairment{Rate: 1000}),
			"no packet was a to b: held up by the rate", "still impaired"},
		{"twice", packets(func(e *experiment.Experiment) { e.Duplicate = 20 }),
			heal("a", "b"), worse(wan.Impairment{Duplicate: 0.01}),
			"no packet was a to b: doubled", "still impaired"},
		{"damage", packets(func(e *experiment.Experiment) { e.Corrupt = 5 }),
			heal("a", "b"), worse(wan.Impairment{Corrupt: 0.01}),
			"no packet was a to b: damaged", "still impaired"},
		{"disorder", packets(func(e *experiment.Experiment) {
			e.Delay = &experiment.DelayParams{Latency: 30 * time.Millisecond, Reorder: 25}
		}),
			heal("b", "a"), worse(wan.Impairment{Reorder: 0.01, Delay: time.Millisecond}),
			"b to a: sent ahead of others", "still impaired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, best())
			if w.cluster.Network().Kind() != wan.Packet && tc.e.Action == experiment.Netem {
				t.Skip("SKIPPED: no packet network here")
			}
			// Failing proofs use up their time.
			w.limits.prove, w.limits.gone = 1500*time.Millisecond, time.Second
			i := w.inject(tc.e)
			w.unproved(i.ProveGone(w.Context()), "it has not been reverted")
			w.must(tc.undo(w))
			w.unproved(i.Prove(w.Context()), tc.effect)
			w.must(i.Revert(w.Context()))
			w.must(w.cluster.WaitReady(w.Context()))
			w.must(tc.again(w))
			w.unproved(i.ProveGone(w.Context()), tc.gone)
			if got, want := w.events(), "1:intent 1:injected 1:unproved 1:reverting 1:reverted 1:unproved"; got != want {
				w.Errorf("journal: %s\nwant     %s", got, want)
			}
		})
	}
}

// TestDeadBefore: a fault that hits what is down already shows nothing.
func TestDeadBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	w.must(w.node("c-1").Kill())
	i := w.inject(kill(in("c")))
	w.unproved(i.Prove(w.Context()), "before the fault already")
	w.must(w.RevertAll(w.Context()))
	w.must(i.ProveGone(w.Context()))
}

// TestNetworkDown: if what is out of reach of the fault does not answer either, it is no partition.
func TestNetworkDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	i := w.inject(network(experiment.Partition, experiment.Both, in("a"), nil))
	for _, r := range []string{"b", "c"} {
		w.must(w.cluster.Network().Isolate(r, true))
	}
	w.unproved(i.Prove(w.Context()), "control, out of reach of the fault")
}

// TestTooLittleDelay: what cannot be told from noise is not proved.
func TestTooLittleDelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	e := network(experiment.Delay, experiment.Both, in("a"), ptr(in("b")))
	e.Delay = &experiment.DelayParams{Latency: time.Millisecond}
	w.unproved(w.inject(e).Prove(w.Context()), "cannot be told from the noise")
}

// TestRevertAll: newest first, past errors, after the caller's context has ended.
func TestRevertAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	w.limits.prove = 500 * time.Millisecond // probes before the third fault fail: the first has cut their path
	ctx, cancel := context.WithCancel(w.Context())
	w.inject(network(experiment.Partition, experiment.Both, in("a"), ptr(in("b"))))
	w.inject(kill(in("c")))
	w.inject(network(experiment.Delay, experiment.Both, in("a"), ptr(in("b"))))
	cancel()
	// The second cannot be reverted while the program is gone.
	data := w.node("c-1").LogFile()
	w.must(os.Rename(filepath.Dir(data), filepath.Dir(data)+".away"))
	if err := w.RevertAll(ctx); err == nil || !strings.Contains(err.Error(), "reverting kill") {
		t.Fatalf("got %v", err)
	}
	w.must(os.Rename(filepath.Dir(data)+".away", filepath.Dir(data)))
	w.must(w.RevertAll(ctx))
	w.must(w.cluster.WaitReady(w.Context()))
	if im, err := w.cluster.Network().Path("a", "b"); err != nil || im.Cut || im.Delay != 5*time.Millisecond {
		t.Errorf("path from a to b: %+v, %v", im, err)
	}
	want := "1:intent 1:injected 2:intent 2:injected 3:intent 3:injected " +
		"3:reverting 3:reverted 2:reverting 2:revert-failed 1:reverting 1:reverted 2:reverting 2:reverted"
	if got := w.events(); got != want {
		t.Errorf("journal: %s\nwant     %s", got, want)
	}
}

// TestInjectFails: half an injection is taken back at once.
func TestInjectFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	p, err := w.Plan(freezing(in("b", "c")), time.Second)
	w.must(err)
	w.must(w.node("c-1").Kill())
	if _, err := w.Inject(w.Context(), p); err == nil || !strings.Contains(err.Error(), "it is not running") {
		t.Fatalf("got %v", err)
	}
	if s := w.node("b-1").State(); s == stopped {
		t.Error("b-1 was left stopped")
	}
	if got, want := w.events(), "1:intent 1:reverting 1:reverted"; got != want {
		t.Errorf("journal: %s\nwant     %s", got, want)
	}
}

// TestNothingWithoutIntent: what cannot be written down is not done.
func TestNothingWithoutIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	p, err := w.Plan(kill(in("c")), time.Second)
	w.must(err)
	w.must(w.journal.Close())
	if _, err := w.Inject(w.Context(), p); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if !w.node("c-1").Alive() {
		t.Error("killed without an intent")
	}
}

// TestRevertWithoutJournal: a full disk must not keep a fault in force.
func TestRevertWithoutJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	i := w.inject(network(experiment.Partition, experiment.Both, in("a"), nil))
	w.must(w.journal.Close())
	if err := i.Revert(w.Context()); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if im, err := w.cluster.Network().Path("a", "b"); err != nil || im.Cut {
		t.Errorf("path from a to b: %+v, %v", im, err)
	}
}

// TestOverlap: a revert takes back its own part of a path, and the proof of its end says who holds the rest.
func TestOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	w.limits.prove = 500 * time.Millisecond
	first := w.inject(network(experiment.Partition, experiment.Both, in("a"), nil))
	second := w.inject(network(experiment.Partition, experiment.Both, in("a"), ptr(in("b"))))
	w.must(first.Revert(w.Context()))
	if im, err := w.cluster.Network().Path("a", "b"); err != nil || !im.Cut {
		t.Errorf("the second cut was healed by the first revert: %+v, %v", im, err)
	}
	w.must(first.ProveGone(w.Context()))
	w.must(second.Revert(w.Context()))
	w.must(second.ProveGone(w.Context()))
}
