package local

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// act puts an action into force.
func (w *world) act(a Action) *Injection {
	w.Helper()
	p, err := w.PlanAction(a, 5*time.Second)
	w.must(err)
	i, err := w.Inject(w.Context(), p)
	w.must(err)
	return i
}

// burn keeps a node busy.
func (w *world) burn(name string) {
	w.Helper()
	_, _, err := probe{w.cluster.Network(), wan.Venue, w.node(name)}.ask(w.Context(), "/burn")
	w.must(err)
}

// TestWholeLifeOfActions: every kind, from the plan to the proof that it is gone.
func TestWholeLifeOfActions(t *testing.T) {
	for _, kind := range []wan.Kind{wan.Packet, wan.Proxy} {
		for name, a := range map[string]Action{
			"upgrade of all":    {Kind: Upgrade},
			"upgrade of region": {Kind: Upgrade, Region: "b"},
			"drain":             {Kind: Drain, Node: "c-1"},
			"kill":              {Kind: Kill, Region: "c"},
			"scale":             {Kind: Scale, Region: "a", Nodes: 2},
			"cpu quota":         {Kind: CPUQuota, Region: "b", CPU: 0.25},
		} {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				if kind == wan.Proxy {
					t.Parallel() // there is one packet network at a time
				}
				w := newWorld(t, kind)
				i := w.act(a)
				if a.Kind == CPUQuota {
					w.burn("b-1")
				}
				w.must(i.Prove(w.Context()))
				if members := len(w.cluster.Nodes()); a.Kind == Scale && members != 5 {
					t.Errorf("%d nodes while two more are there", members)
				}
				w.must(i.Revert(w.Context()))
				w.must(i.ProveGone(w.Context()))
				w.must(i.Revert(w.Context())) // once is enough
				w.must(w.RevertAll(w.Context()))
				if got, want := w.events(), "1:intent 1:injected 1:proved 1:reverting 1:reverted 1:gone"; got != want {
					t.Errorf("journal: %s\nwant     %s", got, want)
				}
				if members := len(w.cluster.Nodes()); members != 3 {
					t.Errorf("%d nodes afterwards", members)
				}
				entries, err := journal.ReadFile(w.path)
				w.must(err)
				for _, e := range entries {
					if e.Kind != ActionKind || e.Name != a.Name() || e.Serving != (a.Kind != Kill) || len(e.Targets) == 0 || len(e.Regions) == 0 {
						t.Errorf("journal: %+v", e)
					}
				}
			})
		}
	}
}

func TestUpgradeRunsTheProgramThatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	program := filepath.Join(t.TempDir(), "server")
	self, err := os.ReadFile("/proc/self/exe")
	w.must(err)
	w.must(os.WriteFile(program, append(self, "newer"...), 0o755))
	i := w.act(Action{Kind: Upgrade, Region: "a", Server: program})
	w.must(i.Prove(w.Context()))
	if life, _ := w.node("a-1").Life(); life.Binary != program {
		t.Errorf("a-1 runs %s", life.Binary)
	}
	// The file is another one by now: what runs is not what stands there.
	w.must(os.Rename(program, program+".old"))
	w.must(os.WriteFile(program, self, 0o755))
	w.unproved(i.Prove(w.Context()), "does not run")
	w.must(w.RevertAll(w.Context()))
}

// TestProofsOfActionsFail: each proof in a world in which it must not succeed.
func TestProofsOfActionsFail(t *testing.T) {
	t.Run("a program that does not start", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, wan.Proxy)
		i := w.act(Action{Kind: Upgrade, Server: "/bin/false"})
		w.unproved(i.Prove(w.Context()), "upgrading a-1")
		if n := w.node("b-1"); !n.Alive() {
			t.Error("the next node was touched")
		}
		w.must(i.Revert(w.Context()))
		w.unproved(i.ProveGone(w.Context()), "a-1")
	})
	t.Run("a drain that fails", func(t *testing.T) {
		t.Parallel()
		w := newWorldOf(t, wan.Proxy, "rude")
		i := w.act(Action{Kind: Drain, Region: "a"})
		w.unproved(i.Prove(w.Context()), "exit status 3")
		w.must(i.Revert(w.Context()))
		w.must(i.ProveGone(w.Context()))
	})
	t.Run("a drain that was undone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, wan.Proxy)
		i := w.act(Action{Kind: Drain, Region: "a"})
		w.must(i.fault.(*drained).work.wait(t.Context()))
		w.must(w.node("a-1").Start(t.Context()))
		w.unproved(i.Prove(w.Context()), "a-1: process")
		w.must(i.Revert(w.Context()))
		w.must(w.node("a-1").Kill())
		w.unproved(i.ProveGone(w.Context()), "venue to a-1")
	})
	t.Run("a node that does not leave kindly", func(t *testing.T) {
		t.Parallel()
		w := newWorldOf(t, wan.Proxy, "rude")
		i := w.act(Action{Kind: Scale, Region: "a", Nodes: 1})
		w.must(i.Prove(w.Context()))
		w.must(i.Revert(w.Context())) // it is out all the same
		w.unproved(i.ProveGone(w.Context()), "exit status 3")
	})
	t.Run("more nodes than there is room for", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, wan.Proxy)
		i := w.act(Action{Kind: Scale, Region: "a", Nodes: 3})
		w.unproved(i.Prove(w.Context()), "no more")
		w.must(i.Revert(w.Context()))
		if n := len(w.cluster.Nodes()); n != 3 {
			t.Errorf("%d nodes are left", n)
		}
	})
	t.Run("a limit that nobody reaches", func(t *testing.T) {
		w := newWorld(t, wan.Proxy)
		needCgroups(t)
		p, err := w.PlanAction(Action{Kind: CPUQuota, Region: "b", CPU: 2}, 0)
		w.must(err)
		p.limits.prove = 0
		w.limits.prove = 1500 * time.Millisecond
		i, err := w.Inject(w.Context(), p)
		w.must(err)
		w.unproved(i.Prove(w.Context()), "the limit was never reached")
		w.must(w.RevertAll(w.Context()))
	})
}

func needCgroups(t *testing.T) {
	t.Helper()
	if _, err := findCgroups(); err != nil {
		t.Skip("SKIPPED: " + err.Error())
	}
}

// TestInterruptedActionsAreReverted: in the middle of a drain, an upgrade, a change of scale. What was under way ends.
func TestInterruptedActionsAreReverted(t *testing.T) {
	for _, a := range []Action{{Kind: Drain, Region: "a"}, {Kind: Upgrade}, {Kind: Scale, Region: "a", Nodes: 2}} {
		t.Run(a.Kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, wan.Proxy)
			ctx, cancel := context.WithCancel(t.Context())
			p, err := w.PlanAction(a, 0)
			w.must(err)
			_, err = w.Inject(ctx, p)
			w.must(err)
			cancel()
			w.must(w.RevertAll(t.Context()))
			if n := len(w.cluster.Nodes()); n != 3 {
				t.Errorf("%d nodes", n)
			}
			w.must(w.cluster.WaitReady(t.Context()))
		})
	}
}

func TestActionsThatMakeNoSense(t *testing.T) {
	three := cluster.Names([]string{"a", "b", "c"}, 1)
	for _, c := range []struct {
		a    Action
		want string
	}{
		{Action{Kind: "explode"}, "is not one of upgrade, drain"},
		{Action{Kind: Drain}, "needs a region or a node"},
		{Action{Kind: Drain, Region: "a", Node: "a-1"}, "name one of them"},
		{Action{Kind: Drain, Node: "a-2"}, "there is no node a-2; there are a-1, b-1, c-1"},
		{Action{Kind: Kill, Region: "d"}, "there is no node d"},
		{Action{Kind: Scale, Node: "a-1", Nodes: 1}, "scale needs a region"},
		{Action{Kind: Scale, Region: "a"}, "how many to add"},
		{Action{Kind: Kill, Region: "a", Nodes: 1}, "nodes is for scale"},
		{Action{Kind: CPUQuota, Region: "a"}, "from 0.05"},
		{Action{Kind: Kill, Region: "a", CPU: 1}, "cpu is for cpu-quota"},
		{Action{Kind: Kill, Region: "a", Server: "x"}, "server is for upgrade"},
	} {
		if _, err := MatchAction(c.a, three); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want it to say %q", c.a, err, c.want)
		}
	}
	if _, err := MatchAction(Action{Kind: Kill, Region: "a"}, three[:2]); err == nil || !strings.Contains(err.Error(), "only 1 would be left") {
		t.Errorf("one region would be left: %v", err)
	}
	effect, err := MatchAction(Action{Kind: Upgrade, Server: "new"}, three)
	if err != nil || !strings.Contains(effect, "a-1, b-1, c-1 replaced one after the other") || !strings.Contains(effect, "new") {
		t.Errorf("%q, %v", effect, err)
	}
	if d := (Action{Kind: Upgrade}).Longest(three); d < 3*cluster.DrainGrace {
		t.Errorf("an upgrade of three nodes takes %v at the longest", d)
	}
}

// TestPulse: the mechanism that needs nothing of the machine.
func TestPulse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wan.Proxy)
	n := w.node("b-1")
	p := &pulse{node: n}
	w.must(p.lift()) // before a limit there is nothing to take back
	w.must(p.limit(0.5))
	text, err := p.bites(t.Context())
	if err != nil || !strings.Contains(text, "is stopped for") {
		t.Errorf("%s, %v", text, err)
	}
	// It still serves, slowly.
	if _, err := (probe{w.cluster.Network(), wan.Venue, n}).within(t.Context(), lookFor); err != nil {
		t.Error(err)
	}
	w.must(p.lift())
	w.must(p.lift())
	if text, err := p.lifted(t.Context()); err != nil {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := p.bites(t.Context()); err == nil {
		t.Error("a limit that was lifted was proved")
	}
	w.must(n.Signal(syscall.SIGSTOP))
	if _, err := p.lifted(t.Context()); err == nil {
		t.Error("a process that is stopped was called free")
	}
	w.must(n.Signal(syscall.SIGCONT))
	// A process that is replaced meanwhile is left alone, and a dead one is no reason to fail.
	w.must(p.limit(0.5))
	w.must(n.Kill())
	<-p.work.done
	w.must(p.lift())
	if _, err := p.lifted(t.Context()); err == nil {
		t.Error("a dead process was called free")
	}
}

func TestFindingCgroups(t *testing.T) {
	const v1 = `25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
27 25 0:24 /box /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
`
	const v2 = "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	for _, c := range []struct {
		mounts, own, want string
		version           int
	}{
		{v1, "4:cpuset:/\n3:cpu,cpuacct:/box/a\n", "/sys/fs/cgroup/cpu,cpuacct/a", 1},
		{v2, "0::/user.slice/x\n", "/sys/fs/cgroup/user.slice/x", 2},
		{v2, "3:cpu:/elsewhere\n", "/sys/fs/cgroup", 2},
	} {
		found := cpuHierarchies(c.mounts)
		if len(found) != 1 || found[0].version != c.version || found[0].path(found[0].of(c.own)) != c.want {
			t.Errorf("%s\n%s: found %+v, want %s", c.mounts, c.own, found, c.want)
		}
	}
	if found := cpuHierarchies("garbage\n1 2 - cgroup\n - - -\n"); len(found) != 0 {
		t.Errorf("found %+v in nothing", found)
	}
}

// TestLimitsInFiles pins what is written, for both versions of cgroups.
func TestLimitsInFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cpu.max", "cpu.cfs_period_us", "cpu.cfs_quota_us"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(cgroups{version: 1}.write(dir, 0.5), cgroups{version: 2}.write(dir, 0.05)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cpu.max": "1000 20000", "cpu.cfs_period_us": "5000", "cpu.cfs_quota_us": "2500"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v; want %q", name, text, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.stat"), []byte("nr_periods 10\nnr_throttled 4\nthrottled_usec 2500\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := (&cgroup{dir: dir}).stalls(); err != nil || s.String() != "held up in 4 of 10 periods, for 3ms" {
		t.Errorf("%v, %v", s, err)
	}
	if (cgroups{version: 2, dir: filepath.Join(dir, "none")}).usable() {
		t.Error("a directory that is not there is usable")
	}
}

// TestJanitor: the group goes when its maker is killed, which looks like the end of a pipe.
func TestJanitor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "group")
	j, err := hireJanitor(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := j.dismiss(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group is left: %v", err)
	}
}

func TestLimitThatFailsLeavesNoGroup(t *testing.T) {
	needCgroups(t)
	w := newWorld(t, wan.Proxy)
	tree, err := findCgroups()
	w.must(err)
	g := newCgroup(tree, w.node("b-1"), 99)
	w.must(os.Mkdir(g.dir, 0o755)) // somebody was faster
	if err := g.limit(0.5); err == nil {
		t.Error("a group that was there already was taken")
	}
	w.must(g.lift())
	if groups, _ := filepath.Glob(filepath.Join(tree.dir, "*-99-b-1")); len(groups) > 0 {
		t.Errorf("left: %v", groups)
	}
	w.must(w.node("b-1").Kill())
	if err := g.limit(0.5); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("of a dead process: %v", err)
	}
	w.must(g.lift())
}

// TestDetailOfALimit: the journal says what limited, how hard, and what came of it.
func TestDetailOfALimit(t *testing.T) {
	needCgroups(t)
	w := newWorld(t, wan.Proxy)
	i := w.act(Action{Kind: CPUQuota, Node: "b-1", CPU: 0.1})
	w.burn("b-1")
	w.must(i.Prove(w.Context()))
	w.must(i.Revert(w.Context()))
	w.must(i.ProveGone(w.Context()))
	entries, err := journal.ReadFile(w.path)
	w.must(err)
	text, err := json.Marshal(entries)
	w.must(err)
	for _, want := range []string{"of a core", "cgroup v", "held up in", "is free again"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the journal does not say %q:\n%s", want, text)
		}
	}
}
