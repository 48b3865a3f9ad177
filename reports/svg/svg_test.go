package svg

import (
	gocmp "cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
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
		latency := &Latency{Limit: 200, Connected: points.Draw(t, "connected"), Displaced: points.Draw(t, "displaced"), Stalled: points.Draw(t, "stalled"), Lost: []float64{1, 2}}
		answers := &Answers{Limit: 200, OK: points.Draw(t, "ok"), Unanswered: []float64{3}}
		sessions := &Sessions{Regions: []string{"eu", "us"}, Counts: map[string][]Point{"eu": points.Draw(t, "eu")}}
		nodes := &Lines{ID: "n", Title: "Nodes", Label: millis, Trends: []Trend{{Point{1, 2}, Point{3, 4}}}}
		for range rapid.IntRange(0, 8).Draw(t, "nodes") {
			broken := append(points.Draw(t, "values"), Point{V: math.NaN()})
			slices.SortFunc(broken, func(a, b Point) int { return gocmp.Compare(a.T, b.T) })
			nodes.Lines = append(nodes.Lines, Line{Name: "<n>", Group: rapid.SampledFrom([]string{"eu", "us & me"}).Draw(t, "group"), Points: broken})
		}
		for _, draw := range []func() string{
			func() string { return string(latency.Draw(line)) },
			func() string { return string(answers.Draw(line)) },
			func() string { return string(sessions.Draw(line)) },
			func() string { return string(nodes.Draw(line)) },
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

func TestRounds(t *testing.T) {
	for most, want := range map[float64][]float64{0.32: {0, 0.1, 0.2, 0.3}, 1300: {0, 500, 1000}, 3.2: {0, 1, 2, 3}, 75: {0, 20, 40, 60}} {
		got := rounds(most, 3)
		if len(got) != len(want) {
			t.Errorf("%v: %v, want %v", most, got, want)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-12 {
				t.Errorf("%v: %v, want %v", most, got, want)
			}
		}
	}
}

// Half an hour of samples becomes a few points a grain, and none of its peaks is lost.
func TestCoarseKeepsExtremes(t *testing.T) {
	c := newCanvas(150, 30, 30, "t", "", "")
	c.x.to, c.y.to = 1800, 100
	var points []Point
	for i := range 18_000 {
		points = append(points, Point{T: float64(i) / 10, V: float64(40 + i%7)})
	}
	points[9_003].V, points[12_001].V = 99, 3
	line := c.coarse(points)
	low, high := line[0][1], line[0][1]
	for _, p := range line {
		low, high = min(low, p[1]), max(high, p[1])
	}
	if low != c.y.at(99) || high != c.y.at(3) || len(line) > 6*300 {
		t.Errorf("%d points from %v to %v", len(line), low, high)
	}
}

// Labels of faults that follow one another closely do not run into each other, and long runs have minutes.
func TestCrowdedTimeline(t *testing.T) {
	line := &Timeline{From: -2, To: 1800}
	for i := range 10 {
		line.Bands = append(line.Bands, Band{From: float64(30 * i), To: float64(30*i + 5), Proved: math.NaN(), Gone: math.NaN(), Label: fmt.Sprintf("kill number %d", i)})
	}
	drawing := string((&Latency{Limit: 200}).Draw(line))
	if n := strings.Count(drawing, ">kill number"); n != 2 {
		t.Errorf("%d labels are drawn", n)
	}
	if !strings.Contains(drawing, ">5 min<") || strings.Contains(drawing, ">300 s<") {
		t.Error("half an hour is told in seconds")
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
