package chaos

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/local"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBad pins every message word for word: they are what a user has in hand at two in the morning.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			exps, err := Load(file)
			var problems Problems
			if !errors.As(err, &problems) || exps != nil {
				t.Fatalf("Load = %d experiments, %v; want Problems", len(exps), err)
			}
			for _, p := range problems {
				if p.File == "" || p.Line < 1 || p.What == "" || p.Do == "" {
					t.Errorf("incomplete: %+v", p)
				}
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".err"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got), run with -update if that is meant:\n%s", diff)
			}
		})
	}
}

// TestGood: what a cluster would take, we take.
func TestGood(t *testing.T) {
	exps, err := Load("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range exps {
		got = append(got, e.Kind+"/"+e.Name)
	}
	want := []string{"PodChaos/kill-eu", "NetworkChaos/cut-eu-us", "NetworkChaos/slow-eu-us", "Schedule/nightly-kill", "Workflow/region-evacuation",
		"NetworkChaos/all-in-one", "NetworkChaos/bw", "StressChaos/cpu", "TimeChaos/skew", "HTTPChaos/hook-500", "IOChaos/slow-disk", "PhysicalMachineChaos/pause-eu"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func load(t *testing.T, text string) []*Experiment {
	t.Helper()
	file := filepath.Join(t.TempDir(), "e.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	exps, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exps {
		e.File = ""
	}
	return exps
}

// TestConvert: every field arrives in the plain form, and what has no plain form is named.
func TestConvert(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       Experiment
	}{
		{"pod", `# a comment
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: p, namespace: w}
spec:
  action: container-kill
  mode: fixed
  value: "2"
  gracePeriod: 3
  containerNames: [server]
  selector:
    labelSelectors: {region: eu}
    expressionSelectors: [{key: tier, operator: NotIn, values: [a, b]}]
    nodes: [n1]
`, Experiment{Line: 2, Kind: "PodChaos", Name: "p", Namespace: "w", Action: "container-kill", GracePeriod: 3 * time.Second, Containers: []string{"server"},
			Selector: experiment.Selector{Mode: experiment.Fixed, Value: 2, Labels: map[string]string{"region": "eu"},
				Expressions: []experiment.Expression{{Key: "tier", Operator: experiment.NotIn, Values: []string{"a", "b"}}}},
			Foreign: []string{"spec.selector.nodes"}}},
		{"network", `
apiVersion: chaos-mesh.org/v1alpha1
kind: NetworkChaos
metadata: {name: net}
spec:
  action: delay
  mode: all
  duration: 1m30s
  selector: {labelSelectors: {region: eu}}
  target: {mode: one, selector: {labelSelectors: {region: us}, fieldSelectors: {a: b}}}
  delay: {latency: 80ms, jitter: 10ms, correlation: "25"}
  loss: {loss: "2.5"}
  externalTargets: [example.org]
`, Experiment{Line: 2, Kind: "NetworkChaos", Name: "net", Action: "delay", Duration: 90 * time.Second, Direction: experiment.To,
			Selector: experiment.Selector{Mode: experiment.All, Labels: map[string]string{"region": "eu"}},
			Target:   &experiment.Selector{Mode: experiment.One, Labels: map[string]string{"region": "us"}},
			Delay:    &experiment.DelayParams{Latency: 80 * time.Millisecond, Jitter: 10 * time.Millisecond},
			Loss:     &experiment.LossParams{Percent: 2.5},
			Foreign:  []string{"spec.delay.correlation", "spec.externalTargets", "spec.loss", "spec.target.selector.fieldSelectors"}}},
		{"packets", `
apiVersion: chaos-mesh.org/v1alpha1
kind: NetworkChaos
metadata: {name: net}
spec:
  action: netem
  mode: all
  selector: {labelSelectors: {region: eu}}
  delay: {latency: 80ms, reorder: {reorder: "25", gap: 3}}
  duplicate: {duplicate: "5", correlation: "10"}
  corrupt: {corrupt: "0.5"}
  bandwidth: {rate: 10mbit, limit: 20000, buffer: 10000, peakrate: 1}
`, Experiment{Line: 2, Kind: "NetworkChaos", Name: "net", Action: "netem", Direction: experiment.To,
			Selector: experiment.Selector{Mode: experiment.All, Labels: map[string]string{"region": "eu"}},
			Delay:    &experiment.DelayParams{Latency: 80 * time.Millisecond, Reorder: 25}, Duplicate: 5, Corrupt: 0.5,
			Bandwidth: &experiment.BandwidthParams{Rate: 1_250_000, Limit: 20_000, Buffer: 10_000},
			Foreign:   []string{"spec.bandwidth.peakrate", "spec.delay.reorder.gap", "spec.duplicate.correlation"}}},
		{"machine", `
apiVersion: chaos-mesh.org/v1alpha1
kind: PhysicalMachineChaos
metadata: {name: m}
spec:
  action: process
  mode: all
  address: [eu-west-1, "http://10.0.0.1:31767"]
  process: {process: wedsync-server, signal: 19, recoverCmd: pkill -CONT wedsync-server}
`, Experiment{Line: 2, Kind: "PhysicalMachineChaos", Name: "m", Action: "process",
			Selector: experiment.Selector{Mode: experiment.All, Addresses: []string{"eu-west-1", "10.0.0.1:31767"}},
			Process:  &experiment.ProcessParams{Name: "wedsync-server", Signal: 19, RecoverCmd: "pkill -CONT wedsync-server"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := load(t, tc.text)[0]
			if len(got.SHA256) != 64 {
				t.Errorf("sha256 %q", got.SHA256)
			}
			got.SHA256 = ""
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFingerprint: the document decides, not its neighbours.
func TestFingerprint(t *testing.T) {
	const a, b = "---\napiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: {name: a}\nspec: {action: pod-kill, mode: all, selector: {}}\n", "---\napiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: {name: b}\nspec: {action: pod-kill, mode: all, selector: {}}\n"
	ab, ba := load(t, a+b), load(t, b+a)
	if ab[0].SHA256 != ba[1].SHA256 || ab[0].SHA256 == ab[1].SHA256 {
		t.Errorf("%s %s %s", ab[0].SHA256, ba[1].SHA256, ab[1].SHA256)
	}
}

// TestGuard: a crash of the upstream validator that no lint foresees is an error, not a crash of ours.
func TestGuard(t *testing.T) {
	var nothing *Experiment
	err := guard(func() error { nothing.Name = "x"; return nil })
	if err == nil || !strings.Contains(err.Error(), "bug in Chaos Mesh") {
		t.Fatal(err)
	}
}

// TestUpstreamStillPanics tells when the lint before the webhook is no longer needed.
func TestUpstreamStillPanics(t *testing.T) {
	for _, kind := range []resource{
		&v1alpha1.Schedule{Spec: v1alpha1.ScheduleSpec{Schedule: "* * * * *", Type: "PodChaos"}},
	} {
		err := guard(func() error { _, err := kind.ValidateCreate(context.Background(), kind); return err })
		if err == nil || !strings.Contains(err.Error(), "crashed") {
			t.Errorf("%T without a body: %v", kind, err)
		}
	}
}

func TestYAMLPath(t *testing.T) {
	for _, tc := range []struct {
		object any
		at     string
		from   string
		want   string
	}{
		{&v1alpha1.NetworkChaos{}, "spec", "Spec.TcParameter.Delay.Latency", "spec.delay.latency"},
		{&v1alpha1.PodChaos{}, "spec.podChaos", "Spec.ContainerSelector.PodSelector.value", "spec.podChaos.value"},
		{&v1alpha1.NetworkChaos{}, "spec", "Spec.Target.value", "spec.target.value"},
		{&v1alpha1.PhysicalMachineChaos{}, "spec", "Spec.spec", "spec"},
		{&v1alpha1.StatusCheck{}, "spec.templates[3].statusCheck", "Spec.EmbedStatusCheck.HTTPStatusCheck.Criteria.StatusCode", "spec.templates[3].statusCheck.http.criteria.statusCode"},
		{&v1alpha1.HTTPChaos{}, "spec", "Spec.PodHttpChaosActions.Patch.Headers[1]", "spec.patch.headers[1]"},
	} {
		if got := yamlPath(tc.at, tc.object, tc.from); got != tc.want {
			t.Errorf("%s at %s: %s, want %s", tc.from, tc.at, got, tc.want)
		}
	}
}

func TestLoadFailures(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"testdata/nowhere.yaml": "no such file",
		t.TempDir():             "holds no *.yaml",
		big:                     "the limit is",
	} {
		_, err := Load(path)
		var problems Problems
		if err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &problems) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// FuzzLoad: no text makes it panic, and every problem says where it is.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "experiments/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		exps, problems := parse("f.yaml", text)
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines {
				t.Errorf("line %d of %d: %s", p.Line, lines, p)
			}
			if strings.Contains(p.What, "crashed") {
				t.Errorf("the upstream validator panicked, a lint should come first: %s", p)
			}
		}
		for _, e := range exps {
			if e.Kind == "" || e.Name == "" {
				t.Errorf("%+v", e)
			}
		}
	})
}

// TestExperiments: those that we ship pass all layers, each file is an experiment of its own name, and
// the local driver takes them for the default cluster, with one node per region or several.
func TestExperiments(t *testing.T) {
	exps, err := Load("experiments")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range exps {
		got = append(got, e.Name)
		if base := strings.TrimSuffix(filepath.Base(e.File), ".yaml"); base != e.Name {
			t.Errorf("%s holds %s", e.File, e.Name)
		}
		for _, perRegion := range []int{1, 2} {
			if e.Workflow != nil || e.Schedule != nil {
				matchInside(t, e, perRegion)
				continue
			}
			hits, err := local.Match(e, cluster.Names(wan.DefaultProfile().Regions, perRegion))
			if err != nil {
				t.Error(err)
			}
			t.Logf("%s hits %s", e.Name, hits)
		}
	}
	want := []string{"bad-afternoon", "container-kill", "link-bandwidth", "link-corrupt", "link-delay", "link-duplicate", "link-loss", "link-reorder",
		"region-freeze", "region-kill", "region-silent", "restless"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// matchInside does with the faults of a workflow or a schedule what is done with others.
func matchInside(t *testing.T, e *experiment.Experiment, perRegion int) {
	t.Helper()
	var faults []*experiment.Experiment
	if e.Workflow != nil {
		faults = e.Workflow.Faults()
	} else {
		faults = e.Schedule.Faults()
	}
	if len(faults) == 0 {
		t.Errorf("%s does nothing", e.Name)
	}
	for _, f := range faults {
		hits, err := local.Match(f, cluster.Names(wan.DefaultProfile().Regions, perRegion))
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s of %s hits %s", f.Name, e.Name, hits)
	}
}

func TestBytesPerSecond(t *testing.T) {
	for text, want := range map[string]int64{"1mbps": 1e6, "10mbit": 1_250_000, "800bit": 100, "1.5kbps": 1500, "2gbps": 2e9, "100bps": 100, "1 mbit": 125_000, "1tbit": 125e9} {
		if got := bytesPerSecond(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
