package generator

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 4 && os.Args[1] == "bench" && os.Args[2] == "bare" { // this program is the bare client
		every, err := time.ParseDuration(os.Args[5])
		if err == nil {
			var weddings int
			for _, digit := range os.Args[4] {
				weddings = 10*weddings + int(digit-'0')
			}
			err = Bare(context.Background(), os.Args[3], weddings, every)
		}
		println(err.Error())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// build builds a command of this module into the test's folder.
func build(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", file, "github.com/wedsync/wedsync/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return file
}

// TestRun plays real generators against real servers for a moment: the figures mean little, but all of them are there.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: builds k6 and starts six generators")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Weddings: 4, Few: 1, Every: 50 * time.Millisecond, Settle: 500 * time.Millisecond, Measure: 2 * time.Second, Rounds: 1,
		Server: build(t, "wedsync-server"), K6: build(t, "k6"), Self: self, Progress: t.Output()}
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Measured) != 6 {
		t.Fatalf("%+v", r.Measured)
	}
	for _, f := range r.Measured {
		if f.Messages < f.Expected/2 || f.Messages > 2*f.Expected || f.CPU <= 0 || f.Resident < 1<<20 {
			t.Errorf("%+v", f)
		}
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || strings.Count(table.String(), "\n") < 9 {
		t.Errorf("%v\n%s", err, table.String())
	}
}

// TestEarlyEnd: a generator that cannot work says why.
func TestEarlyEnd(t *testing.T) {
	cfg := Config{Weddings: 2, Few: 1, Every: time.Second, K6: "/bin/false", Self: "/bin/false"}
	p, err := cfg.launch(BareClient, 1, "ws://127.0.0.1:1/socket")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.pause(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("%v", err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	cfg.K6 = filepath.Join(t.TempDir(), "none")
	if _, err := cfg.launch(Fleet, 1, ""); err == nil {
		t.Error("a program that is not there was started")
	}
}

// played is a report of two rounds with round figures.
func played(change func(*Figures)) *Report {
	r := &Report{Weddings: 101, Few: 1, EveryMS: 100}
	for round := 1; round <= 2; round++ {
		for _, g := range []struct {
			name     string
			kib, cpu float64
		}{{Fleet, 20, 20}, {WebSockets, 300, 120}, {BareClient, 16, 16}} {
			for _, weddings := range []int{1, 101} {
				n := vendors(weddings)
				f := Figures{Round: round, Generator: g.name, Vendors: n, Resident: int64(40<<20 + float64(n)*g.kib*1024), Seconds: 10, Expected: float64(n) * 100, Messages: float64(n) * 100}
				f.CPU = f.Messages * g.cpu / 1e6
				if change != nil {
					change(&f)
				}
				r.Measured = append(r.Measured, f)
			}
		}
	}
	return r
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := played(nil).WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	want := `101 weddings of 12 vendors, a message every 100 ms at each

   generator  RSS MiB  KiB per vendor  µs CPU per message  messages of those due
       fleet       64            20.0                20.0                100.0 %
  websockets      395           300.0               120.0                100.0 %
        bare       59            16.0                16.0                100.0 %

MET      memory per vendor, fleet to k6/websockets: 0.067, at most 0.100
MET      CPU per message, fleet to k6/websockets: 0.167, at most 0.200
MET      memory per vendor, fleet to the bare client: 1.250, at most 1.500
MET      CPU per message, fleet to the bare client: 1.250, at most 1.500
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Figures)
		want   []string // how the verdicts begin
	}{
		"all is well": {nil, []string{"MET", "MET", "MET", "MET"}},
		"a fleet that is too fat": {func(f *Figures) {
			if f.Generator == Fleet {
				f.Resident *= 2
			}
		}, []string{"MISSED", "MET", "MISSED", "MET"}},
		"a fleet that is too slow": {func(f *Figures) {
			if f.Generator == Fleet {
				f.CPU *= 2
			}
		}, []string{"MET", "MISSED", "MET", "MISSED"}},
		"another that was sent less": {func(f *Figures) {
			if f.Generator == WebSockets && f.Round == 2 {
				f.Messages *= 0.9
			}
		}, []string{"UNKNOWN", "UNKNOWN", "MET", "MET"}},
		"one that was sent everything twice": {func(f *Figures) {
			if f.Generator == Fleet {
				f.Messages *= 2
			}
		}, []string{"UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN"}},
		"memory that is less with more vendors": {func(f *Figures) {
			if f.Generator == WebSockets {
				f.Resident = int64(1e9) - int64(f.Vendors)
			}
		}, []string{"UNKNOWN", "MET", "MET", "MET"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := played(tt.change)
			missed := 0
			for i, v := range r.Verdicts() {
				if !strings.HasPrefix(v.String(), tt.want[i]) {
					t.Errorf("%s, want %s", v, tt.want[i])
				}
				if !v.Met() {
					missed++
				}
			}
			if err := r.Err(); (err != nil) != (missed > 0) {
				t.Errorf("%v", err)
			}
		})
	}
	if v := (&Report{}).Verdicts()[0]; v.Met() || !strings.HasPrefix(v.String(), "UNKNOWN") {
		t.Errorf("nothing was measured: %s", v)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	err := (&Config{Weddings: 1, Few: 1, Every: time.Millisecond, Settle: time.Minute}).Validate()
	for _, want := range []string{"slope", "timers", "measure must", "heartbeats", "rounds"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not mentioned in %v", want, err)
		}
	}
}

func TestMetric(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("# HELP a b\na{lane=\"x\"} 3\na{lane=\"y\"} 4.5\nab 100\nbroken x\n"))
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if n, err := metric(t.Context(), server.URL, "a"); n != 7.5 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	for _, name := range []string{"c", "broken"} {
		if _, err := metric(t.Context(), server.URL, name); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}
