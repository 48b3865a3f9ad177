package drill

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/chaos/experiment"
)

func TestWhom(t *testing.T) {
	nodes := (&Drill{Topology: Topology{Regions: []string{"eu-west", "us-east"}, Nodes: 2, MaxNodes: 2}}).nodes()
	for url, want := range map[string]string{
		"http://wedsync-server-eu-west.wedsync:4000/readyz":          "eu-west-1 /readyz",
		"http://us-east/healthz?x=1":                                 "us-east-1 /healthz?x=1",
		"http://wedsync-server-us-east-2.wedsync.svc.cluster.local/": "us-east-2 /",
		"http://example.com/":                                        "no node or region",
		"http://%zz":                                                 "the URL of the status check",
	} {
		node, path, err := whom(url, nodes)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = node.Name + " " + path
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		codes  string
		status int
		want   bool
	}{{"200", 200, true}, {"200", 204, false}, {"200-299", 299, true}, {"200-299", 300, false}, {"all", 200, false}, {"", 200, false}} {
		if got := within(tt.codes, tt.status); got != tt.want {
			t.Errorf("%q, %d: %v", tt.codes, tt.status, got)
		}
	}
}

// TestAsk asks a real process.
func TestAsk(t *testing.T) {
	c := smallCluster(t)
	hands := &course{run: &run{cluster: c}}
	region := c.Nodes()[0].Region
	ask := func(path, codes string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return hands.Ask(ctx, &experiment.StatusCheck{URL: "http://wedsync-server-" + region + ":4000" + path, Method: "GET", Status: codes})
	}
	if err := ask("/readyz", "200-299"); err != nil {
		t.Error(err)
	}
	if err := ask("/readyz", "503"); err == nil || !strings.Contains(err.Error(), "status 200, expected 503") {
		t.Errorf("%v", err)
	}
	if err := c.Nodes()[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := ask("/readyz", "200"); err == nil {
		t.Error("a dead node answers")
	}
}

func TestPlanOfWorkflows(t *testing.T) {
	for file, want := range map[string]string{
		"bad-afternoon.yaml": `  experiment Workflow bad-afternoon, 1 time(s)
             at the same time, at most 1m0s:
               ask http://wedsync-server-eu-west.wedsync:4000/readyz every 1s, at most 34s
               one after the other, at most 50s:
                 NetworkChaos slow-link (delay) on eu-west-1 for 8s
                 wait 3s
                 PodChaos region-dies (pod-failure) on ap-southeast-1 for 8s
                 wait 5s
                 NetworkChaos lossy-link (loss) on eu-west-1 for 8s
`,
		"restless.yaml": `  experiment Schedule restless, 1 time(s)
             on "@every 10s":
               PodChaos restless (pod-kill) on 1 of us-east-1, ap-southeast-1
`,
	} {
		d, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Plan(d, &out); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(out.String(), "  experiment ")
		got, _, _ = strings.Cut("  experiment "+got, "  phases ")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// TestLongestCountsTheWorkflow, since the generator must outlive it.
func TestLongestCountsTheWorkflow(t *testing.T) {
	d, err := Load("bad-afternoon.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := d.Phases
	if got, want := d.Longest(), time.Duration(p.Warmup+p.Before+p.cycle())+34*time.Second; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestPlanRefuses workflows that cannot be played here.
func TestPlanRefuses(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "chaos", "experiments", "bad-afternoon.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.ReadFile("bad-afternoon.yaml")
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("..", "scenarios", "wedding-day.js"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ old, new, want string }{
		"a check of somebody else": {"wedsync-server-eu-west.wedsync", "example.com", "no node or region of this cluster"},
		"a Task": {"    - {name: breath, templateType: Suspend, deadline: 3s}", `    - name: breath
      templateType: Task
      task: {container: {name: c, image: busybox}}`, "a Task"},
		"a region that is not there": {"topology.kubernetes.io/region: ap-southeast", "topology.kubernetes.io/region: mars", "matches no node"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bent := strings.Replace(string(text), tt.old, tt.new, 1)
			drill := strings.NewReplacer("../chaos/experiments/bad-afternoon.yaml", "workflow.yaml", "../scenarios/wedding-day.js", script).Replace(string(base))
			for file, text := range map[string]string{"workflow.yaml": bent, "drill.yaml": drill} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			d, err := Load(filepath.Join(dir, "drill.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Plan(d, &out); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
