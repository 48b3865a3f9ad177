package nodes

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const second = int64(1e9)

// at makes a line of a node that is up.
func at(mono int64, node string, pid, connections int, cpu float64) Sample {
	return Sample{Mono: mono, Wall: 1e18 + mono, Node: node, Up: true, PID: pid, RSS: 50 << 20, Goroutines: 100, Connections: connections, CPU: cpu}
}

func down(mono int64, node string) Sample { return Sample{Mono: mono, Wall: 1e18 + mono, Node: node} }

func written(t testing.TB, samples ...Sample) string {
	var text strings.Builder
	for _, s := range samples {
		if err := json.NewEncoder(&text).Encode(s); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

func read(t testing.TB, samples ...Sample) []Node {
	t.Helper()
	all, err := Read(strings.NewReader(written(t, samples...)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The line of the package comment is read as it stands there.
func TestReadTheDocumentedLine(t *testing.T) {
	all, err := Read(strings.NewReader(`{"mono":5000000000000,"wall":1795464000000000000,"node":"eu-west-1","up":true,"pid":4711,"rss":73400320,"goroutines":214,"connections":400,"cpu_s":12.31,"draining":false}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Node{{"eu-west-1", []Sample{{Mono: 5e12, Wall: 1795464e12, Node: "eu-west-1", Up: true, PID: 4711, RSS: 70 << 20, Goroutines: 214, Connections: 400, CPU: 12.31}}}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	good := strings.TrimSpace(written(t, at(5*second, "a", 7, 1, 1)))
	for name, tt := range map[string]struct{ text, want string }{
		"words":             {"hello\n", "line 1: not a sample"},
		"an unknown key":    {`{"mono":1,"node":"a","heap":3}` + "\n", `unknown field "heap"`},
		"no node":           {`{"mono":1}` + "\n", "names no node"},
		"no time":           {`{"node":"a"}` + "\n", "no time"},
		"a negative figure": {`{"mono":1,"node":"a","rss":-1}` + "\n", "negative"},
		"a fraction":        {`{"mono":1,"node":"a","rss":1.5}` + "\n", "not a sample"},
		"up without a pid":  {`{"mono":1,"node":"a","up":true}` + "\n", "has a pid"},
		"two on a line":     {good + good + "\n", "more than one"},
		"an empty line":     {"\n", "line 1"},
		"cut off":           {good + "\n" + good[:30], "line 2 has no end"},
		"twice":             {good + "\n" + good + "\n", "a has two samples at 5000000000"},
		"an endless line":   {strings.Repeat(" ", maxLine+1), "longer than"},
	} {
		if _, err := Read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	if all, err := Read(strings.NewReader("")); err != nil || len(all) != 0 {
		t.Errorf("an empty file: %v, %v", all, err)
	}
}

// A node that is slow to answer has its line written late.
func TestReadSorts(t *testing.T) {
	all := read(t, at(2*second, "b", 1, 1, 1), at(3*second, "a", 1, 1, 1), at(1*second, "a", 1, 1, 1))
	if len(all) != 2 || all[0].Name != "a" || all[0].Samples[0].Mono != second || all[1].Name != "b" {
		t.Errorf("%+v", all)
	}
}

func TestProcesses(t *testing.T) {
	n := read(t, at(1*second, "a", 7, 1, 1), at(2*second, "a", 7, 1, 1.5), down(3*second, "a"), at(4*second, "a", 9, 1, 0.25), at(6*second, "a", 9, 1, 1.25), at(7*second, "a", 9, 1, 0))[0]
	all := n.Processes(1*second, 7*second)
	if len(all) != 2 || all[0].PID != 7 || len(all[0].Samples) != 2 || all[1].PID != 9 || len(all[1].Samples) != 2 {
		t.Fatalf("%+v", all)
	}
	if got := n.Processes(5*second, 6*second); len(got) != 0 {
		t.Errorf("a stretch without samples: %+v", got)
	}
	p := n.Processes(0, 8*second)[1]
	if diff := cmp.Diff([]Rate{{6 * second, 0.5}}, p.Rates()); diff != "" {
		t.Errorf("a CPU time that was not read is no rate: %s", diff)
	}
}

func TestCounts(t *testing.T) {
	unread := at(6*second, "a", 1, 0, 1)
	unread.Goroutines = 0
	all := read(t,
		at(1*second, "a", 1, 10, 1), at(3*second, "a", 1, 10, 1), at(4*second, "a", 1, 20, 1), unread, at(9*second, "a", 1, 30, 1), at(12*second, "a", 1, 30, 1),
		at(3*second+1, "b", 2, 5, 1), down(4*second+1, "b"), at(9*second+1, "b", 3, 0, 1))
	want := []Count{
		{3 * second, 1, 10}, // the sample at 1 s only fills in
		{3*second + 1, 2, 15},
		{4 * second, 2, 25},
		{4*second + 1, 1, 20},
		{6 * second, 1, 20}, // not read: as it was
		{9 * second, 1, 30},
		{9*second + 1, 2, 30},
		{12 * second, 2, 30},
	}
	if diff := cmp.Diff(want, Counts(all, 0, 13*second)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A stretch in the middle knows what was before it.
	if diff := cmp.Diff(want[2:4], Counts(all, 4*second, 6*second)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// b is not looked at any more: whether it is up is not known, so it does not count.
	if got := Counts(append(read(t, at(10*second, "a", 1, 1, 1), at(15*second+2, "a", 1, 1, 1)), all[1]), 15*second, 16*second); len(got) != 1 || got[0].Up != 1 {
		t.Errorf("%+v", got)
	}
	if got := Counts(nil, 0, second); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// What can be read can be written and read again; nothing panics; every node has samples, in the order of time.
func FuzzRead(f *testing.F) {
	f.Add(written(f, at(second, "a", 1, 1, 1), down(second, "b"), at(2*second, "a", 2, 0, 0)))
	f.Add(`{"mono":1,"node":"a","cpu_s":1e308}` + "\n" + `{"mono":2,"node":"a","cpu_s":1e-320,"up":true,"pid":1}` + "\n")
	f.Add("{}\n{")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		var again []Sample
		for i := range all {
			for k, s := range all[i].Samples {
				if k > 0 && s.Mono <= all[i].Samples[k-1].Mono {
					t.Fatalf("%s: out of order", s.Node)
				}
				again = append(again, s)
			}
			for _, p := range all[i].Processes(0, 1<<62) {
				for _, r := range p.Rates() {
					if r.CPU < 0 {
						t.Fatalf("negative rate %v", r)
					}
				}
			}
		}
		Counts(all, 0, 1<<62)
		if diff := cmp.Diff(all, read(t, again...)); diff != "" {
			t.Fatal(diff)
		}
	})
}
