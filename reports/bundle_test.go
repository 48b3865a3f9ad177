package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/reports/claim"
	"github.com/wedsync/wedsync/reports/nodes"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// written writes a small bundle with its report and an EVIDENCE.md beside it, and returns both paths.
func written(t testing.TB) (dir, evidence string) {
	t.Helper()
	root := t.TempDir()
	dir, evidence = filepath.Join(root, "evidence", "region-kill"), filepath.Join(root, "EVIDENCE.md")
	small().write(t, dir)
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := UpdateEvidence(evidence, dir); err != nil {
		t.Fatal(err)
	}
	return dir, evidence
}

// TestGolden pins every derived file of a small bundle, but for the hashes of its inputs, which depend on the
// version of the compressor. After a wanted change: go test ./reports -run Golden -update, and look at the difference.
func TestGolden(t *testing.T) {
	dir, evidenceFile := written(t)
	s, err := Analyze(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Inputs = []File{{Path: HistoryFile, Bytes: 12345, SHA256: strings.Repeat("ab", 32)}}
	all, err := render(s)
	if err != nil {
		t.Fatal(err)
	}
	if all["EVIDENCE.md"], err = evidence(s, evidenceFile, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{SummaryFile, ReportFile, JUnitFile, "urgent.hgrm", "urgent-displaced.hgrm", "EVIDENCE.md"} {
		golden := filepath.Join("testdata", name)
		if *update {
			put(t, golden, all[name])
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if err := compare(name, all[name], want); err != nil {
			t.Error(err)
		}
	}
}

func TestVerifyAcceptsWhatWriteWrote(t *testing.T) {
	dir, evidence := written(t)
	s, err := Verify(dir, evidence)
	if err != nil {
		t.Fatal(err)
	}
	if s.Verdict != claim.Pass {
		t.Errorf("verdict %s", s.Verdict)
	}
	before, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the same bundle was drawn in two ways")
	}
}

// TestVerifyFindsOneChangedByte changes one byte in every file of a bundle, in several places, and restores it.
func TestVerifyFindsOneChangedByte(t *testing.T) {
	dir, evidence := written(t)
	all, err := files(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 12 {
		t.Fatalf("only %d files: %q", len(all), all)
	}
	for _, name := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []int{0, len(text) / 2, len(text) - 1} {
			changed := bytes.Clone(text)
			changed[place] ^= 1
			put(t, path, changed)
			if _, err := Verify(dir, evidence); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, byte %d: %v", name, place, err)
			}
		}
		put(t, path, text)
	}
	if _, err := Verify(dir, evidence); err != nil {
		t.Fatalf("after restoring everything: %v", err)
	}
}

// TestVerifyIsNotFooledByHashes changes raw data and then makes every hash agree again: the figures do not.
func TestVerifyIsNotFooledByHashes(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "b")
	s := small()
	s.write(t, dir)
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	s.connectedUrgent().T += 50 * milli
	s.write(t, dir) // hashes of the inputs included
	text, err := sums(dir)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, SumsFile), text)
	if _, err := Verify(dir, ""); err == nil || !strings.Contains(err.Error(), SummaryFile) || !strings.Contains(err.Error(), ReportFile) {
		t.Errorf("got %v", err)
	}
}

// TestVerifyFindsEveryChangedFigure changes each digit of the evidence in turn.
func TestVerifyFindsEveryChangedFigure(t *testing.T) {
	dir, evidence := written(t)
	s, err := Analyze(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(evidence)
	if err != nil {
		t.Fatal(err)
	}
	from, to, err := sectionOf(text, "region-kill")
	if err != nil {
		t.Fatal(err)
	}
	figures := regexp.MustCompile(`[0-9]`).FindAllIndex(text[from:to], -1)
	if len(figures) < 100 {
		t.Fatalf("only %d digits", len(figures))
	}
	for _, f := range figures {
		changed := bytes.Clone(text)
		at := from + f[0]
		changed[at] = '0' + (changed[at]-'0'+1)%10
		put(t, evidence, changed)
		if err := verifyEvidence(s, evidence, dir); err == nil {
			t.Fatalf("unnoticed: %s", excerpt(string(changed[at-10:at+10]), ""))
		}
	}
}

func TestVerifyNotices(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(t *testing.T, dir, evidence string)
		want string
	}{
		"a file too many":     {func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "notes.txt"), []byte("hello")) }, "notes.txt: not in the manifest"},
		"a raw file too many": {func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "raw", "x"), nil) }, "raw/x: not in SHA256SUMS"},
		"a curve too many":    {func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "urgent-best.hgrm"), nil) }, "urgent-best.hgrm: the raw data gives no such file"},
		"a missing report":    {func(t *testing.T, dir, _ string) { remove(t, filepath.Join(dir, ReportFile)) }, "report.html: missing"},
		"missing raw data":    {func(t *testing.T, dir, _ string) { remove(t, filepath.Join(dir, "raw", "latency.hlog")) }, "raw/latency.hlog: missing"},
		"no hashes":           {func(t *testing.T, dir, _ string) { remove(t, filepath.Join(dir, SumsFile)) }, "SHA256SUMS: missing"},
		"no manifest":         {func(t *testing.T, dir, _ string) { remove(t, filepath.Join(dir, ManifestFile)) }, "reading the manifest"},
		"a link":              {func(t *testing.T, dir, _ string) { link(t, filepath.Join(dir, "raw", "more")) }, "not a regular file"},
		"no evidence":         {func(t *testing.T, _, evidence string) { remove(t, evidence) }, "reading the evidence"},
		"evidence without it": {func(t *testing.T, _, evidence string) { put(t, evidence, []byte("# Evidence\n")) }, "has no section of region-kill"},
		"evidence cut in the middle": {func(t *testing.T, _, evidence string) {
			text, _ := os.ReadFile(evidence)
			put(t, evidence, text[:len(text)-40])
		}, "markers of region-kill do not match"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, evidence := written(t)
			tt.do(t, dir, evidence)
			if _, err := Verify(dir, evidence); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestEvidenceKeepsTheRest has people write around the sections, and a second drill.
func TestEvidenceKeepsTheRest(t *testing.T) {
	dir, evidence := written(t)
	text, err := os.ReadFile(evidence)
	if err != nil {
		t.Fatal(err)
	}
	put(t, evidence, []byte("Before.\n\n"+string(text)+"\nAfter, by hand.\n"))
	other := filepath.Join(filepath.Dir(dir), "steady")
	s := small()
	s.Manifest.Drill, s.Title = "steady", "Nothing breaks | really"
	s.write(t, other)
	if err := Write(other); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := UpdateEvidence(evidence, dir, other); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(evidence)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Before.\n\n# Evidence", "After, by hand.\n", "begin region-kill", "begin steady", `Nothing breaks \| really`} {
		if n := strings.Count(string(got), want); n != 1 {
			t.Errorf("%q is there %d times", want, n)
		}
	}
	for _, bundle := range []string{dir, other} {
		if _, err := Verify(bundle, evidence); err != nil {
			t.Error(err)
		}
	}
}

// TestReportIsSelfContained looks for anything that would need a network or a script.
func TestReportIsSelfContained(t *testing.T) {
	for name, tt := range map[string]struct {
		run      *synthetic
		drawings int
	}{"a fault": {small(), 4}, "with nodes, bulk and actions": {eventful(), 9}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tt.run.write(t, dir)
			if err := Write(dir); err != nil {
				t.Fatal(err)
			}
			selfContained(t, filepath.Join(dir, ReportFile), tt.drawings)
		})
	}
}

func selfContained(t *testing.T, file string, drawings int) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "http://", "https://", "url(", "@import", " style=", " onload=", "ZgotmplZ", "NaN", "Inf"} {
		if bytes.Contains(text, []byte(bad)) {
			t.Errorf("the report contains %q", bad)
		}
	}
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.Strict, dec.AutoClose, dec.Entity = false, []string{"meta", "br"}, xml.HTMLEntity
	open := 0
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("tags do not match: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "svg" {
			open++
		}
	}
	if open != drawings {
		t.Errorf("%d drawings, want %d", open, drawings)
	}
}

// TestReportEscapes plants markup in everything that a run can name.
func TestReportEscapes(t *testing.T) {
	s := small()
	const evil = `<img src=x onerror=alert(1)>"'&`
	s.Title = `"<b>bold</b>"`
	s.Manifest.Machine.CPU, s.Manifest.Notes, s.Manifest.Trouble, s.Manifest.Command = evil, []string{evil}, []string{evil}, []string{evil}
	s.Manifest.Network.Description = evil
	for i := range s.Chaos {
		if len(s.Chaos[i].Regions) > 0 {
			s.Chaos[i].Name, s.Chaos[i].Action = evil, evil
		}
	}
	s.watch()
	s.eachSample("us-east-0", 0, func(n *nodes.Sample) { n.Node = evil })
	s.act(evil, evil, evil)
	r := *s.connectedUrgent()
	r.ID = evil
	s.History[len(s.History)-2] = r // an invented message
	dir := t.TempDir()
	s.write(t, dir)
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ReportFile, JUnitFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("<img")) || bytes.Contains(text, []byte("<b>bold")) {
			t.Errorf("%s contains what a run named as markup", name)
		}
	}
	evidence := filepath.Join(t.TempDir(), "EVIDENCE.md")
	if err := UpdateEvidence(evidence, dir); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(evidence); bytes.Contains(text, []byte("<img")) {
		t.Error("EVIDENCE.md contains what a run named as markup")
	}
}

func TestJUnitIsRead(t *testing.T) {
	s := small()
	s.connectedUrgent().T += 300 * milli
	sum := s.analyze(t)
	text, err := junit(sum)
	if err != nil {
		t.Fatal(err)
	}
	var read junitSuites
	if err := xml.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if read.Tests != len(sum.Claims)+len(sum.Checks) || read.Failures != 2 || read.Errors != 0 {
		t.Errorf("%d tests, %d failures, %d errors", read.Tests, read.Failures, read.Errors)
	}
}

func TestCanonical(t *testing.T) {
	a, err := canonical(map[string]any{"b": 1 << 60, "a": map[string]int{"z": 1, "y": 2}, "c": "<&>"})
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": {\n    \"y\": 2,\n    \"z\": 1\n  },\n  \"b\": 1152921504606846976,\n  \"c\": \"<&>\"\n}\n"
	if diff := cmp.Diff(want, string(a)); diff != "" {
		t.Error(diff)
	}
	if !json.Valid(a) {
		t.Error("not JSON")
	}
}

func TestReadRecordedRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "words": "hello\n", "half a line": "0.000,1.000,5.0\n", "a tag with a comma": "Tag=a,b,0.0,1.0,5.0,HISTFAAA\n",
		"not a histogram": "0.000,1.000,5.0,HISTFAAA\n",
	} {
		if _, err := readRecorded(strings.NewReader(in)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNewManifest(t *testing.T) {
	m := NewManifest(Run{Drill: "steady", Seed: 7})
	if m.Schema != ManifestSchema || m.Machine.Cores == 0 || m.Machine.Kernel == "" || m.Versions.Go == "" || !strings.HasSuffix(m.RunID, "-seed7") {
		t.Errorf("%+v", m)
	}
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, path string) {
	t.Helper()
	if err := os.Symlink("latency.hlog", path); err != nil {
		t.Fatal(err)
	}
}
