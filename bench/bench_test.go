package bench

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"go.uber.org/goleak"
)

// TestMain is the floor if it is asked to.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "floor" {
		l, err := net.Listen("tcp", os.Args[2])
		if err != nil {
			panic(err)
		}
		if err := Floor(context.Background(), l); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// Every benchmark runs against both subjects, loses nothing, and can be written in all forms.
func TestQuick(t *testing.T) {
	dir := t.TempDir()
	server := filepath.Join(dir, "wedsync-server")
	if out, err := exec.Command("go", "build", "-o", server, "../cmd/wedsync-server").CombinedOutput(); err != nil {
		t.Fatalf("building the server: %v\n%s", err, out)
	}
	var progress bytes.Buffer
	report, err := Run(t.Context(), Config{
		Subjects: []Subject{Wedsync(server), FloorSubject(os.Args[0], "floor")}, Rounds: 1, Quick: true, Progress: &progress,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	if want := 2 * len(cases(true)); len(report.Rounds) != want || len(report.Skipped) > 0 {
		t.Fatalf("%d rounds, want %d; skipped: %v", len(report.Rounds), want, report.Skipped)
	}
	for _, r := range report.Rounds {
		if r.Delivered != r.Expected || r.Expected == 0 {
			t.Errorf("%v: %d of %d delivered", r, r.Delivered, r.Expected)
		}
		for _, f := range r.Figures {
			if f.Value < 0 {
				t.Errorf("%s: %s is %v", r.Key(), f.Name, f.Value)
			}
		}
	}
	if err := report.WriteHistograms(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range Names {
		log, err := os.Open(filepath.Join(dir, name+".hlog"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		h, err := hdr.NewHistogramLogReader(log).NextIntervalHistogram()
		if err != nil || h == nil || h.TotalCount() == 0 || !strings.HasPrefix(h.Tag(), "subject=wedsync/case=") {
			t.Errorf("%s.hlog: %v, %v", name, h, err)
		}
	}
}

// A subject that cannot serve is said to be one, with what it said.
func TestSubjectThatEnds(t *testing.T) {
	broken := Subject{Name: "broken", Command: func(string, string) []string { return []string{"sh", "-c", "echo no licence; exit 3"} }}
	_, err := Run(t.Context(), Config{Subjects: []Subject{broken, FloorSubject(os.Args[0], "floor")}, Only: []string{"connect"}, Quick: true})
	if err == nil || !strings.Contains(err.Error(), "no licence") || !strings.Contains(err.Error(), "broken") {
		t.Fatalf("got %v", err)
	}
}

// Whenever a run is interrupted, it ends soon and leaves neither processes nor files behind.
func TestInterruptStopsEverything(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 60 * time.Millisecond, 90 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		begin := time.Now()
		_, err := Run(ctx, Config{Subjects: []Subject{FloorSubject(os.Args[0], "floor")}, Only: []string{"wedding"}, Quick: true, Rounds: 5})
		cancel()
		if took := time.Since(begin); err == nil || took > after+time.Second {
			t.Errorf("interrupted after %v, it ended after %v: %v", after, took, err)
		}
		if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "wedsync-bench-*")); len(left) > 0 {
			t.Errorf("interrupted after %v, it left %v behind", after, left)
		}
	}
}

func TestValidate(t *testing.T) {
	floor := FloorSubject("floor")
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no floor":          {Config{Subjects: []Subject{{Name: "a"}}, Rounds: 1}, "no floor"},
		"twice":             {Config{Subjects: []Subject{floor, {Name: "a"}, {Name: "a"}}, Rounds: 1}, `called "a"`},
		"unknown benchmark": {Config{Subjects: []Subject{floor}, Rounds: 1, Only: []string{"fan"}}, "choose from connect, fanout, wedding, storm, curve"},
		"no rounds":         {Config{Subjects: []Subject{floor}, Rounds: -1}, "at least one"},
	} {
		if err := c.config.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestLimitsSayWhatIsMissing(t *testing.T) {
	l := limits{files: 20000, ports: 1000}
	for n, want := range map[int]string{5000: "", 30000: "ulimit -Hn", 9000: "ip_local_port_range"} {
		if got := l.lacks(n); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%d sockets: %q, want %q", n, got, want)
		}
	}
}
