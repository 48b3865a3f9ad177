package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

func TestLatencyIsReadByTheLibrary(t *testing.T) {
	dir := t.TempDir()
	started := time.Now()
	l, err := OpenLatency(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{"eu-west", "us-east"} {
		s, err := l.Series(Tag(Urgent, region))
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := l.Series(Tag(Urgent, region)); again != s {
			t.Fatal("the same tag gave another series")
		}
		for i := range 100 {
			s.Record(time.Duration(i+1) * time.Millisecond)
		}
		s.Record(-time.Second) // sent ahead of its time
		s.Record(time.Hour)    // beyond the range
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, LatencyFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "2 values above 60000000000 ns") {
		t.Errorf("values beyond the range are not told:\n%.300s", b)
	}
	counts := map[string]int64{}
	for r := hdr.NewHistogramLogReader(bytes.NewReader(b)); ; {
		h, err := r.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		counts[h.Tag()] += h.TotalCount()
		if off := h.StartTimeMs() - started.UnixMilli(); off < -5 || off > 5000 {
			t.Errorf("an interval starts %d ms after the run did: the base time lost its milliseconds", off)
		}
		if p := h.ValueAtPercentile(50); p < 49e6 || p > 52e6 {
			t.Errorf("%q: median %d ns, want about 50 ms", h.Tag(), p)
		}
	}
	want := map[string]int64{"lane=urgent/region=eu-west": 102, "lane=urgent/region=us-east": 102, "": 204}
	for tag, n := range want {
		if counts[tag] != n {
			t.Errorf("tag %q: %d values, want %d", tag, counts[tag], n)
		}
	}
}

func TestLatencyRefusesTagsThatBreakTheLog(t *testing.T) {
	l, err := OpenLatency(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tag := range []string{"", ",", "a,", "a b", "a\n", "ü"} {
		if _, err := l.Series(tag); err == nil {
			t.Errorf("tag %q was accepted", tag)
		}
	}
}

// TestHistogramLibrary pins what the pitfalls above were verified with.
func TestHistogramLibrary(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Skip("no build information")
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/HdrHistogram/hdrhistogram-go" && m.Version < "v1.4.0" {
			t.Errorf("%s %s writes other times into its log: use v1.4.0 or later", m.Path, m.Version)
		}
	}
}

func BenchmarkLatencyRecord(b *testing.B) {
	l, err := OpenLatency(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	s, err := l.Series(Tag(Urgent, "eu-west"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	d := time.Millisecond
	for b.Loop() {
		d = (d*7 + 12345) % (200 * time.Millisecond)
		s.Record(d)
	}
}
