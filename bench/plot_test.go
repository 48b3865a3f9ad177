package bench

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// curveReport is a run of two rounds at each size. Figures fall with the number of connections, as base costs are shared.
func curveReport() *Report {
	r := &Report{Environment: Environment{At: time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC), CPUs: 2, Arch: "amd64", GoVersion: "go1.26", Kernel: "Linux 6.18"}}
	for _, n := range []int{1000, 2000, 5000, 10000} {
		for number := range 2 {
			for subject, times := range map[string]float64{OwnName: 1.3, FloorName: 1} {
				wobble := times * (1 + 0.05*float64(number))
				idle := &Round{Benchmark: CurveName, Case: fmt.Sprintf(curveIdle, n), Subject: subject, Number: number + 1}
				idle.add(figureMemory, "KiB", wobble*(8+1000/float64(n)))
				load := &Round{Benchmark: CurveName, Case: fmt.Sprintf(curveLoad, n), Subject: subject, Number: number + 1}
				load.add(figureCPU, "s", wobble*(14+5000/float64(n)))
				load.add("urgent p99", "ms", 3)
				load.add("urgent p99.9", "ms", 4.25)
				r.Rounds = append(r.Rounds, idle, load)
			}
		}
	}
	return r
}

// The drawing of a report that went through JSON is the one in testdata; look at it after a wanted change:
// go test ./bench -run TestWriteCost -update
func TestWriteCost(t *testing.T) {
	var text, drawing, table bytes.Buffer
	if err := curveReport().WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	r, err := ReadReport(&text)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteCost(&drawing); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "cost.svg")
	if *update {
		if err := os.WriteFile(golden, drawing.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(drawing.Bytes(), want) {
		t.Errorf("the drawing differs from %s", golden)
	}
	for dec := xml.NewDecoder(&drawing); ; {
		if _, err := dec.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.WriteCostTable(&table); err != nil {
		t.Fatal(err)
	}
	if want := "| 10000 | 10.8 | 8.30 | 19.3 | 14.9 | 1.30 | 0.37 | 3.00 / 4.25 |\n"; !strings.HasSuffix(table.String(), want) {
		t.Errorf("the table is\n%swant at its end %s", &table, want)
	}
}

// What was not measured is not drawn.
func TestWriteCostRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		bend func(r *Report)
		want string
	}{
		"a quick run":            {func(r *Report) { r.Quick = true }, "measures nothing"},
		"no curve":               {func(r *Report) { r.Rounds = nil }, "run `wedsync bench --only curve --json FILE`"},
		"invalid rounds":         {func(r *Report) { r.each("5000", OwnName, func(o *Round) { o.spoil("late") }) }, "5000 connections of wedsync: no valid round"},
		"half of a size":         {func(r *Report) { r.each("2000 connections, idle", FloorName, func(o *Round) { o.Figures = nil }) }, "2000 connections of floor: only half was measured"},
		"no floor":               {func(r *Report) { r.each("", FloorName, func(o *Round) { o.Subject = "other" }) }, "1000 connections of floor: no valid round"},
		"a case of another name": {func(r *Report) { r.each("1000 ", "", func(o *Round) { o.Case = "many" }) }, `case "many" does not say`},
	} {
		r := curveReport()
		tt.bend(r)
		var out bytes.Buffer
		err := r.WriteCost(&out)
		if err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if other := r.WriteCostTable(&out); other == nil || out.Len() > 0 {
			t.Errorf("%s: a table is written all the same", name)
		}
	}
	for _, bad := range []string{"", "[]", `{"rounds":[null]}`} {
		if _, err := ReadReport(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func (r *Report) each(part, subject string, bend func(*Round)) {
	for _, one := range r.Rounds {
		if strings.HasPrefix(one.Case, part) && (subject == "" || one.Subject == subject) {
			bend(one)
		}
	}
}

// The curve is played when it is asked for, and only then. Both subjects are the floor here: it is the loads that are
// tried.
func TestCurve(t *testing.T) {
	own := FloorSubject(os.Args[0], "floor")
	own.Name = OwnName
	report, err := Run(t.Context(), Config{Subjects: []Subject{own, FloorSubject(os.Args[0], "floor")}, Only: []string{CurveName}, Rounds: 1, Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * len(curveCases(true)); len(report.Rounds) != want {
		t.Fatalf("%d rounds, want %d", len(report.Rounds), want)
	}
	for _, r := range report.Rounds {
		if r.Delivered != r.Expected || r.Expected == 0 || r.Benchmark != CurveName {
			t.Errorf("%v: %d of %d delivered", r, r.Delivered, r.Expected)
		}
	}
	report.Quick = false // as if it had measured something
	for _, r := range report.Rounds {
		r.Invalid = nil // a busy machine is no matter here
	}
	if _, _, err := report.costs(); err != nil {
		t.Error(err)
	}
	for _, one := range (&Config{}).cases() {
		if one.Benchmark == CurveName {
			t.Error("the curve is played unasked")
		}
	}
}

// Every case of the curve has exactly as many connections as its name says.
func TestCurveSizes(t *testing.T) {
	for _, one := range curveCases(false) {
		n := 0
		if _, err := fmt.Sscanf(one.Name, "%d connections", &n); err != nil || n != one.sockets {
			t.Errorf("%q: %v", one.Name, err)
		}
		if load, ok := one.load.(broadcastLoad); ok && load.sockets() != n {
			t.Errorf("%q has %d connections", one.Name, load.sockets())
		}
	}
}
