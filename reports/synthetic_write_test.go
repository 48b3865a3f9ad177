package reports

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/reports/audit"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// write writes the inputs of the bundle, and seals them in its manifest.
func (s *synthetic) write(t testing.TB, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "raw"), 0o755))
	put := func(name string, text []byte) {
		t.Helper()
		must(os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), text, 0o644))
	}
	put(DrillFile, fmt.Appendf(nil, "apiVersion: wedsync.dev/v1\nkind: Drill\nmetadata: {name: %s}\ntitle: %s\nclaims:%s", s.Manifest.Drill, s.Title, s.Claims))

	s.recount()
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	for i := range s.History {
		_, err := zip.Write(journal.Append(nil, &s.History[i]))
		must(err)
	}
	must(zip.Close())
	put(HistoryFile, zipped.Bytes())

	var lines bytes.Buffer
	for _, e := range s.Chaos {
		must(json.NewEncoder(&lines).Encode(e))
	}
	put(ChaosFile, lines.Bytes())

	if len(s.Nodes) > 0 {
		lines.Reset()
		for _, n := range s.Nodes {
			must(json.NewEncoder(&lines).Encode(n))
		}
		put(NodesFile, lines.Bytes())
	}

	zipped.Reset()
	log := audit.NewWriter(&zipped)
	for _, n := range s.Manifest.Nodes {
		if n.Name != s.Unread {
			must(log.Asked(n.Name, n.Region))
		}
	}
	for _, r := range s.Log {
		must(log.Write(r))
	}
	must(log.Close())
	put(LogFile, zipped.Bytes())
	put(LatencyFile, s.hlog(t))
	must(WriteManifest(dir, s.Manifest))
}

// hlog is a histogram log with one interval that counts the deliveries.
func (s *synthetic) hlog(t testing.TB) []byte {
	n := s.Recorded
	if n < 0 {
		n = 0
		type delivery struct{ vendor, id string }
		seen := map[delivery]bool{}
		for _, r := range s.History {
			for _, us := range r.Got {
				if us >= 0 {
					n++
				}
			}
			if d := (delivery{r.Vendor, r.ID}); r.Kind == journal.Recv && !seen[d] {
				seen[d] = true
				n++
			}
		}
	}
	var text bytes.Buffer
	out := hdrhistogram.NewHistogramLogWriter(&text)
	out.SetBaseTime(synthWall / milli)
	if err := out.OutputLogFormatVersion(); err != nil {
		t.Fatal(err)
	}
	if err := out.OutputLegend(); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"lane=urgent/region=eu-west", ""} {
		h := hdrhistogram.New(1000, 60e9, 3)
		if err := h.RecordValues(50e6, n); err != nil {
			t.Fatal(err)
		}
		h.SetTag(tag)
		h.SetStartTimeMs(synthWall / milli)
		h.SetEndTimeMs(synthWall/milli + 1000)
		if err := out.OutputIntervalHistogram(h); err != nil {
			t.Fatal(err)
		}
	}
	return text.Bytes()
}
