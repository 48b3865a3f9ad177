package svg

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// wellFormed checks that a drawing is XML without a number that is none, and that all of it lies within.
func wellFormed(t interface{ Fatalf(string, ...any) }, drawing string) {
	if strings.Contains(drawing, "NaN") || strings.Contains(drawing, "Inf") {
		t.Fatalf("not a number in %s", drawing)
	}
	dec := xml.NewDecoder(strings.NewReader(drawing))
	for {
		if _, err := dec.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, drawing)
		}
	}
}

// Whatever the data, the drawings are well formed and the same twice.
func TestDrawings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point {
			return Point{T: rapid.Float64Range(-2, 60).Draw(t, "t"), V: rapid.Float64Range(0, 1e6).Draw(t, "v")}
		}), 0, 30)
		line := &Timeline{From: -2, To: rapid.Float64Range(-1, 1000).Draw(t, "to"),
			Phases: []Phase{{"before", 0, 8}, {"fault", 8, 16}, {"drain", 16, 90}},
			Bands:  []Band{{8, 15, 8.2, math.NaN(), `<a & "b">`, "tip"}, {80, 2000, math.NaN(), math.NaN(), "", ""}}}
		latency := &Latency{Limit: 200, Connected: points.Draw(t, "connected"), Displaced: points.Draw(t, "displaced"), Lost: []float64{1, 2}}
		answers := &Answers{Limit: 200, OK: points.Draw(t, "ok"), Unanswered: []float64{3}}
		sessions := &Sessions{Regions: []string{"eu", "us"}, Counts: map[string][]Point{"eu": points.Draw(t, "eu")}}
		for _, draw := range []func() string{
			func() string { return string(latency.Draw(line)) },
			func() string { return string(answers.Draw(line)) },
			func() string { return string(sessions.Draw(line)) },
		} {
			drawing := draw()
			wellFormed(t, drawing)
			if draw() != drawing {
				t.Fatalf("drawn in two ways")
			}
		}
	})
}

func TestPercentilesEnd(t *testing.T) {
	for name, d := range map[string]Distribution{
		"nothing":  {},
		"one":      {Values: []float64{5}},
		"all lost": {Lost: 3},
		"one lost": {Values: []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, Lost: 1},
	} {
		p := Percentiles{Limit: 200, Series: []Distribution{d}}
		drawing := string(p.Draw())
		wellFormed(t, drawing)
		if got, want := strings.Contains(drawing, ">lost<"), d.Lost > 0; got != want {
			t.Errorf("%s: the drawing speaks of loss: %v", name, got)
		}
	}
}

func TestTicks(t *testing.T) {
	if diff := cmp.Diff([]float64{10, 20, 50, 100, 200, 500}, ticks(8, 600)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0, 500, 1000}, steps(1300, 3)); diff != "" {
		t.Error(diff)
	}
}

func TestScale(t *testing.T) {
	log := scale{from: 1, to: 1000, start: 300, end: 0, log: true}
	for v, want := range map[float64]float64{1: 300, 10: 200, 1000: 0, 0.01: 300} {
		if got := log.at(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v at %v, want %v", v, got, want)
		}
	}
	if got := (scale{from: 5, to: 5, start: 7}).at(5); got != 7 {
		t.Errorf("an empty scale: %v", got)
	}
}
