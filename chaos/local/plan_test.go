package local

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"pgregory.net/rapid"
)

const region = "topology.kubernetes.io/region"

// in selects every node of some regions.
func in(regions ...string) experiment.Selector {
	return experiment.Selector{Mode: experiment.All, Expressions: []experiment.Expression{{Key: region, Operator: experiment.In, Values: regions}}}
}

// nodes are two per region, in three regions.
func nodes() []*cluster.Node { return cluster.Names([]string{"a", "b", "c"}, 2) }

func kill(s experiment.Selector) *experiment.Experiment {
	return &experiment.Experiment{File: "e.yaml", Line: 1, Kind: experiment.PodChaos, Name: "kill", Action: experiment.PodFailure, Duration: 5 * time.Second, Selector: s}
}

func network(action string, direction experiment.Direction, s experiment.Selector, target *experiment.Selector) *experiment.Experiment {
	return &experiment.Experiment{File: "e.yaml", Line: 1, Kind: experiment.NetworkChaos, Name: "net", Action: action, Direction: direction, Selector: s, Target: target,
		Delay: &experiment.DelayParams{Latency: 40 * time.Millisecond, Jitter: 5 * time.Millisecond}, Loss: &experiment.LossParams{Percent: 10}}
}

func TestMatch(t *testing.T) {
	labels := func(kv ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	expr := func(key string, op experiment.Operator, values ...string) experiment.Selector {
		return experiment.Selector{Expressions: []experiment.Expression{{Key: key, Operator: op, Values: values}}}
	}
	const pod, app = "statefulset.kubernetes.io/pod-name", "app.kubernetes.io/name"
	for _, tc := range []struct {
		name string
		s    experiment.Selector
		want string // nodes, or what the error says
	}{
		{"all", experiment.Selector{}, "a-1 a-2 b-1 b-2 c-1 c-2"},
		{"region", experiment.Selector{Labels: labels(region, "b")}, "b-1 b-2"},
		{"pod", experiment.Selector{Labels: labels(region, "b", pod, "b-2")}, "b-2"},
		{"in", expr(region, experiment.In, "a", "c"), "a-1 a-2 c-1 c-2"},
		{"not in", expr(region, experiment.NotIn, "a", "c"), "b-1 b-2"},
		{"exists", expr(app, experiment.Exists), "a-1 a-2 b-1 b-2 c-1 c-2"},
		{"does not exist", expr("tier", experiment.DoesNotExist), "a-1 a-2 b-1 b-2 c-1 c-2"},
		{"addresses", experiment.Selector{Addresses: []string{"c-1:31767", "a-2", "c-1"}}, "c-1 a-2"},

		{"nobody", experiment.Selector{Labels: labels(region, "mars")}, "the selector (topology.kubernetes.io/region=mars) matches no node; the nodes have the labels " +
			"app.kubernetes.io/name (wedsync-server); statefulset.kubernetes.io/pod-name (a-1, a-2, b-1, b-2, c-1, c-2); topology.kubernetes.io/region (a, b, c)"},
		{"contradiction", experiment.Selector{Labels: labels(region, "a", pod, "b-1")}, "matches no node"},
		{"no such label", experiment.Selector{Labels: labels("app", "wedsync")}, "no node has the label app; the nodes have the labels"},
		// On a cluster this would hit everybody: without the label, NotIn is true.
		{"no such label to exclude by", expr("zone", experiment.NotIn, "a"), "no node has the label zone"},
		{"no such address", experiment.Selector{Addresses: []string{"10.0.0.1:31767"}}, `address "10.0.0.1:31767" is not a node`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, err := match(&tc.s, nodes())
			got := strings.Join(names(found), " ")
			if err != nil {
				got = err.Error()
			}
			if got != tc.want && (err == nil || !strings.Contains(got, tc.want)) {
				t.Errorf("got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		mode  experiment.Mode
		value int
		want  int // 0: an error
	}{
		{experiment.All, 0, 6}, {experiment.One, 0, 1}, {experiment.Fixed, 4, 4}, {experiment.Fixed, 9, 6},
		{experiment.FixedPercent, 50, 3}, {experiment.FixedPercent, 40, 2}, {experiment.FixedPercent, 16, 0}, {"most", 0, 0},
	} {
		got, err := choose(&experiment.Selector{Mode: tc.mode, Value: tc.value}, nodes(), stream(1, kill(in("a")), 0))
		if len(got) != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("%s %d: %d nodes, %v; want %d", tc.mode, tc.value, len(got), err, tc.want)
		}
	}
}

// TestChoiceIsSeeded: the seed and the turn decide, whatever else was planned in between.
func TestChoiceIsSeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, turn := kill(experiment.Selector{Mode: experiment.Fixed, Value: 2}), rapid.IntRange(0, 9).Draw(t, "turn")
		seed := rapid.Uint64().Draw(t, "seed")
		var first string
		for range 3 {
			got, err := choose(&e.Selector, nodes(), stream(seed, e, turn))
			if err != nil {
				t.Fatal(err)
			}
			s := strings.Join(names(got), " ")
			if first == "" {
				first = s
			} else if s != first {
				t.Fatalf("%s, then %s", first, s)
			}
		}
	})
	different := make(map[string]bool)
	for turn := range 20 {
		got, err := choose(&experiment.Selector{Mode: experiment.One}, nodes(), stream(7, kill(in("a")), turn))
		if err != nil {
			t.Fatal(err)
		}
		different[got[0].Name] = true
	}
	if len(different) < 3 {
		t.Errorf("twenty turns hit %v only", different)
	}
}

func TestDecideProcesses(t *testing.T) {
	with := func(change func(*experiment.Experiment)) *experiment.Experiment {
		e := kill(in("c"))
		change(e)
		return e
	}
	for _, tc := range []struct {
		name string
		e    *experiment.Experiment
		want string // in the plan, or in the error
		ok   bool
	}{
		{"failure", kill(in("c")), "SIGKILL to c-1, c-2, held down", true},
		{"kill", with(func(e *experiment.Experiment) { e.Action = experiment.PodKill }), "SIGKILL to c-1, c-2, started again", true},
		{"kill with grace", with(func(e *experiment.Experiment) { e.Action, e.GracePeriod = experiment.PodKill, 3*time.Second }), "SIGTERM to c-1, c-2, SIGKILL after 3s", true},
		{"container", with(func(e *experiment.Experiment) {
			e.Action, e.Containers, e.Selector.Mode = experiment.ContainerKill, []string{"server"}, experiment.One
		}), "of 2 matching, in c", true},
		{"freeze", with(func(e *experiment.Experiment) {
			e.Kind, e.Action = experiment.PhysicalMachineChaos, experiment.Process
			e.Process = &experiment.ProcessParams{Name: "wedsync-server", Signal: 19, RecoverCmd: "pkill -CONT"}
		}), "recoverCmd is not run", true},

		{"every region", kill(in("a", "b", "c")), "which is every region there is (a, b, c)", false},
		{"one node of every region", with(func(e *experiment.Experiment) {
			e.Selector = experiment.Selector{Addresses: []string{"a-1", "b-1", "c-1"}}
		}), "every region there is", false},
		{"nobody", kill(in("mars")), "e.yaml:1: PodChaos kill: the selector (topology.kubernetes.io/region In mars) matches no node", false},
		{"other kind", with(func(e *experiment.Experiment) { e.Kind = "StressChaos" }), "kind StressChaos is not supported by the local driver; it does", false},
		{"other action", with(func(e *experiment.Experiment) { e.Action = "teleport"; e.Kind = experiment.NetworkChaos }), "action teleport is not supported by the local driver", false},
		{"foreign", with(func(e *experiment.Experiment) { e.Foreign = []string{"spec.device"} }), "spec.device: not supported by the local driver", false},
		{"other container", with(func(e *experiment.Experiment) { e.Action, e.Containers = experiment.ContainerKill, []string{"sidecar"} }), `a node has one container, "server"`, false},
		{"other process", with(func(e *experiment.Experiment) {
			e.Kind, e.Action, e.Process = experiment.PhysicalMachineChaos, experiment.Process, &experiment.ProcessParams{Name: "nginx", Signal: 19}
		}), `a node has one process, "wedsync-server"`, false},
		{"other signal", with(func(e *experiment.Experiment) {
			e.Kind, e.Action, e.Process = experiment.PhysicalMachineChaos, experiment.Process, &experiment.ProcessParams{Name: "wedsync-server", Signal: 9}
		}), "signal 9 is not supported", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := decide(tc.e, nodes(), stream(1, tc.e, 0))
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = p.String()
			}
			if (err == nil) != tc.ok || !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestDecideNetwork: which directed paths are touched.
func TestDecideNetwork(t *testing.T) {
	b := in("b")
	bc := in("b", "c")
	abc := in("a", "b", "c")
	part := experiment.Selector{Mode: experiment.One, Labels: map[string]string{region: "b"}}
	for _, tc := range []struct {
		name string
		e    *experiment.Experiment
		want string
	}{
		{"silent", network(experiment.Partition, experiment.Both, in("a"), nil), "a>venue venue>a a>b b>a a>c c>a"},
		{"deaf", network(experiment.Partition, experiment.From, in("a"), nil), "venue>a b>a c>a"},
		{"mute", network(experiment.Partition, experiment.To, in("a"), nil), "a>venue a>b a>c"},
		// The vendors are not pods: a target never means them.
		{"island", network(experiment.Partition, experiment.Both, in("a"), &bc), "a>b b>a a>c c>a"},
		{"target holds the selected", network(experiment.Partition, experiment.Both, in("a"), &abc), "a>b b>a a>c c>a"},
		{"pair", network(experiment.Partition, experiment.Both, in("a"), &b), "a>b b>a"},
		{"pair, to", network(experiment.Delay, experiment.To, in("a"), &b), "a>b"},
		{"pair, from", network(experiment.Loss, experiment.From, in("a"), &b), "b>a"},
		{"two regions, everybody", network(experiment.Delay, experiment.Both, in("a", "b"), nil), "a>venue venue>a a>b a>c c>a b>venue venue>b b>a b>c c>b"},
		{"part of a region", network(experiment.Partition, experiment.Both, part, nil), "takes 1 of the 2 nodes of b, and the local network can only treat a region as a whole"},
		{"part of the target", network(experiment.Partition, experiment.Both, in("a"), &part), "the target takes 1 of the 2 nodes of b"},
		{"itself", network(experiment.Partition, experiment.Both, in("b"), &b), "selector and target are the same region"},
		{"target of nobody", network(experiment.Partition, experiment.Both, in("b"), ptr(in("mars"))), "target: the selector"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := decide(tc.e, nodes(), stream(1, tc.e, 0))
			if err != nil {
				if !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %s", err, tc.want)
				}
				return
			}
			var got []string
			for _, l := range p.do.links {
				got = append(got, l.from+">"+l.to)
				want, _ := impairment(tc.e)
				if l.impair != want {
					t.Errorf("%s>%s: %+v", l.from, l.to, l.impair)
				}
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// TestLinksAddUp: whatever comes and goes in whatever order, each path is what the rest asks for.
func TestLinksAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := make(recorder)
		l := newLinks(n)
		held := make(map[uint64]wan.Impairment)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				owner := rapid.Uint64Range(1, 4).Draw(t, "owner")
				if _, ok := held[owner]; ok {
					t.Skip("in force")
				}
				im := wan.Impairment{Delay: time.Duration(rapid.IntRange(0, 9).Draw(t, "delay")), Cut: rapid.Bool().Draw(t, "cut"), Loss: rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "loss"),
					Duplicate: rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "duplicate"), Rate: rapid.Int64Range(0, 3).Draw(t, "rate")}
				held[owner] = im
				if err := l.put(owner, []link{{"a", "b", im}}); err != nil {
					t.Fatal(err)
				}
			},
			"take": func(t *rapid.T) {
				owner := rapid.Uint64Range(1, 4).Draw(t, "owner")
				delete(held, owner)
				if err := l.take(owner); err != nil { // also one that is not there
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				var want wan.Impairment
				for _, im := range held {
					want.Delay += im.Delay
					want.Cut = want.Cut || im.Cut
					want.Loss += im.Loss * (1 - want.Loss)
					want.Duplicate += im.Duplicate * (1 - want.Duplicate)
					if im.Rate > 0 && (want.Rate == 0 || im.Rate < want.Rate) { // the narrowest counts
						want.Rate = im.Rate
					}
				}
				if n["a>b"] != want {
					t.Fatalf("got %+v, want %+v", n["a>b"], want)
				}
				if l.any("b", "a") != (len(held) > 0) {
					t.Fatal("any is wrong")
				}
			},
		})
	})
}

// recorder is a network that remembers its impairments.
type recorder map[string]wan.Impairment

func (r recorder) Impair(from, to string, im wan.Impairment) error { r[from+">"+to] = im; return nil }
