package journal

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/internal/clock"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// evening is one record of each kind and variant: the golden file.
var evening = []Record{
	{Kind: Run, Schema: Schema, T: 1000, WallNS: 1763873000000000000, Seed: 18446744073709551615},
	{Kind: Vendor, T: 1001, Wedding: "w001", Vendor: "w001/planner-1", Type: "planner", Homes: 2},
	{Kind: Vendor, T: 1002, Wedding: "w001", Vendor: "w001/florist-1", Type: "florist", Homes: 1},
	{Kind: Session, T: 1003, Vendor: "w001/planner-1", Session: 1, Region: "eu-west", State: Dialing},
	{Kind: Session, T: 1004, Vendor: "w001/planner-1", Session: 1, Region: "eu-west", State: Joined},
	{Kind: Arrived, T: 1004, Vendor: "w001/planner-1"},
	{Kind: Arrived, T: 1005, Vendor: "w001/florist-1"},
	{Kind: Pub, T: 2000, ID: "r1/w001/planner-1/u1", Wedding: "w001", Vendor: "w001/planner-1", Lane: Urgent, Sched: 1990},
	{Kind: Recv, T: 2010, Vendor: "w001/florist-1", Session: 1, ID: "r1/w001/planner-1/u1", Via: "us-east"},
	{Kind: Done, T: 2020, ID: "r1/w001/planner-1/u1", Out: OK, Via: "eu-west", Held: []string{"eu-west", "us-east"}},
	{Kind: Dup, T: 2030, Vendor: "w001/florist-1", Session: 2, ID: "r1/w001/planner-1/u1", Via: "eu-west", Replayed: true},
	{Kind: Dup, T: 2031, Vendor: "w001/florist-1", Session: 2, ID: "r1/w001/planner-1/u1", Via: "eu-west", Same: true},
	{Kind: Lag, T: 2500, MaxNS: 120000},
	{Kind: Pub, T: 3000, ID: "r1/w001/planner-1/n1", Wedding: "w001", Vendor: "w001/planner-1", Lane: Normal, Sched: 3000},
	{Kind: Done, T: 3010, ID: "r1/w001/planner-1/n1", Out: Info, Why: "no answer: \"timeout\"\n\\ 花 \x01"},
	{Kind: Stall, T: 3011, Vendor: "w001/florist-1", On: true},
	{Kind: Session, T: 3020, Vendor: "w001/florist-1", Session: 1, Region: "us-east", State: Closed, Why: "1006"},
	{Kind: Stall, T: 3021, Vendor: "w001/florist-1"},
	{Kind: Bulk, T: 3015, ID: "r1/w001/florist-1/b1", Wedding: "w001", Vendor: "w001/florist-1", Sched: 3014, Bytes: 20000,
		Done: 3019, Out: OK, Via: "us-east", Copies: 1, Got: []int64{4210, -1}},
	{Kind: Recv, T: 3030, Vendor: "w001/florist-1", Session: 3, ID: "r1/w001/planner-1/n1", Via: "eu-west", Replayed: true},
	{Kind: Leaving, T: 4000, Vendor: "w001/florist-1"},
	{Kind: End, T: 5000, WallNS: 1763873000000004000, Pubs: 2, Dones: 2, Recvs: 2, Dups: 2, Bulks: 1},
}

func text(records []Record) []byte {
	var b []byte
	for i := range records {
		b = Append(b, &records[i])
	}
	return b
}

func TestGolden(t *testing.T) {
	const path = "testdata/evening.jsonl"
	if *update {
		if err := os.WriteFile(path, text(evening), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text(evening))); diff != "" {
		t.Errorf("the format changed (-golden +now):\n%s", diff)
	}
	var got []Record
	if err := Read(bytes.NewReader(want), func(r Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(evening, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// TestReadRefuses shows each strictness firing.
func TestReadRefuses(t *testing.T) {
	run, end := string(text(evening[:1])), `{"e":"end","t":9,"wall_ns":9,"pubs":0,"dones":0,"recvs":0,"dups":0,"dropped":0}`+"\n"
	for name, c := range map[string]struct{ in, want string }{
		"empty":                {"", ErrTruncated.Error()},
		"no end":               {run, ErrTruncated.Error()},
		"cut in a line":        {run + end[:20], ErrTruncated.Error()},
		"no run":               {end, "line 1: the first line"},
		"two runs":             {run + run + end, "line 2: the first line"},
		"after the end":        {run + end + end, "line 3: a record after the end"},
		"half after the end":   {run + end + `{"e`, "line 3: something follows"},
		"other schema":         {strings.Replace(run, "/2", "/9", 1) + end, `"wedsync.history/9" is not one of`},
		"unknown kind":         {run + `{"e":"gossip","t":1}` + "\n" + end, `line 2: unknown kind of record "gossip"`},
		"unknown key":          {run + `{"e":"arrived","t":1,"v":"a","x":1}` + "\n" + end, "line 2: arrived record: expected its end"},
		"missing key":          {run + `{"e":"arrived","t":1}` + "\n" + end, `expected "v"`},
		"keys out of order":    {run + `{"e":"arrived","v":"a","t":1}` + "\n" + end, `expected "t"`},
		"space":                {run + `{"e":"arrived", "t":1,"v":"a"}` + "\n" + end, `expected "t"`},
		"unknown state":        {run + `{"e":"session","t":1,"v":"a","s":1,"region":"r","state":"asleep","why":""}` + "\n" + end, "not one of dialing"},
		"unknown lane":         {run + `{"e":"pub","t":1,"id":"i","w":"w","v":"v","lane":"slow","sched":1}` + "\n" + end, "not one of urgent"},
		"unknown outcome":      {run + `{"e":"done","t":1,"id":"i","out":"maybe","via":"","held":[],"why":""}` + "\n" + end, "not one of ok"},
		"fraction":             {run + `{"e":"lag","t":1.5,"max_ns":1}` + "\n" + end, "line 2"},
		"leading zero":         {run + `{"e":"lag","t":01,"max_ns":1}` + "\n" + end, "expected a number"},
		"out of range":         {run + `{"e":"lag","t":9223372036854775808,"max_ns":1}` + "\n" + end, "out of range"},
		"replayed false":       {run + `{"e":"recv","t":1,"v":"a","s":1,"id":"i","via":"r","replayed":false}` + "\n" + end, "only when true"},
		"needless escape":      {run + `{"e":"arrived","t":1,"v":"\u0041"}` + "\n" + end, "not needed"},
		"not UTF-8":            {run + "{\"e\":\"arrived\",\"t\":1,\"v\":\"\xff\"}\n" + end, "not UTF-8"},
		"open string":          {run + `{"e":"arrived","t":1,"v":"a` + "\n" + end, "without its end"},
		"the end lies":         {run + strings.Replace(end, `"recvs":0`, `"recvs":1`, 1), "counts 1 recv records, the file holds 0"},
		"a very long line":     {run + strings.Repeat("x", maxLine+1), "token too long"},
		"held is not a list":   {run + `{"e":"done","t":1,"id":"i","out":"ok","via":"","held":"eu","why":""}` + "\n" + end, "expected a list"},
		"no bulks":             {run + strings.Replace(end, `"dropped"`, `"bulks":0,"dropped"`, 1), "only when there are any"},
		"the end lies of bulk": {run + strings.Replace(end, `"dropped"`, `"bulks":1,"dropped"`, 1), "counts 1 bulk records, the file holds 0"},
		"got is not a list":    {run + `{"e":"bulk","t":1,"id":"i","w":"w","v":"v","sched":1,"bytes":1,"done":1,"out":"ok","via":"","why":"","copies":0,"got":1}` + "\n" + end, "expected a list"},
		"held without commas":  {run + `{"e":"done","t":1,"id":"i","out":"ok","via":"","held":["a""b"],"why":""}` + "\n" + end, "expected , or ]"},
		"same is not a bool":   {run + `{"e":"dup","t":1,"v":"a","s":1,"id":"i","via":"r","same":1}` + "\n" + end, "expected true or false"},
		"minus zero":           {run + `{"e":"lag","t":-0,"max_ns":1}` + "\n" + end, "not a number"},
		"damaged compression":  {"\x1f\x8bnothing", "opening the compressed stream"},
		"control in a string":  {run + "{\"e\":\"arrived\",\"t\":1,\"v\":\"a\tb\"}\n" + end, "control character"},
		"control after escape": {run + "{\"e\":\"arrived\",\"t\":1,\"v\":\"\\\"\tb\"}\n" + end, "control character"},
		"half an escape":       {run + `{"e":"arrived","t":1,"v":"\u00` + "\n" + end, "half an escape"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Read(strings.NewReader(c.in), func(Record) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestReadPassesOnTheCallersError(t *testing.T) {
	mine := errors.New("enough")
	if err := Read(bytes.NewReader(text(evening)), func(Record) error { return mine }); err != mine {
		t.Fatalf("got %v", err)
	}
}

// TestRoundTrip: whatever is written is read back the same, for any strings and numbers.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{Kind: Kind(rapid.IntRange(0, int(kinds)-1).Draw(t, "kind"))}
		for _, k := range layouts[r.Kind] {
			switch {
			case k < kSchema:
				*r.integer(k) = rapid.Int64().Draw(t, keyText[k])
			case k < kSeed:
				any := rapid.String()
				if w := words(k); w != nil {
					any = rapid.SampledFrom(w)
				}
				*r.text(k) = any.Draw(t, keyText[k])
			case k == kSeed:
				r.Seed = rapid.Uint64().Draw(t, "seed")
			case k == kSame:
				r.Same = rapid.Bool().Draw(t, "same")
			case k == kReplayed:
				r.Replayed = rapid.Bool().Draw(t, "replayed")
			case k == kOn:
				r.On = rapid.Bool().Draw(t, "on")
			case k == kGot:
				if got := rapid.SliceOf(rapid.Int64()).Draw(t, "got"); len(got) > 0 {
					r.Got = got
				}
			case k == kHeld:
				if held := rapid.SliceOf(rapid.String()).Draw(t, "held"); len(held) > 0 {
					r.Held = held
				}
			}
		}
		line := Append(nil, &r)
		got, err := Parse(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatalf("%s\n%s", line, diff)
		}
	})
}

// FuzzParse: no line makes the parser fall, and an accepted line has exactly one spelling.
func FuzzParse(f *testing.F) {
	for line := range bytes.Lines(text(evening)) {
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Parse(line)
		if err != nil {
			return
		}
		if again := Append(nil, &r); string(again) != string(line)+"\n" {
			t.Fatalf("%q was accepted and reads %q", line, again)
		}
	})
}

func TestWriterKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(dir, 7)
	if err != nil {
		t.Fatal(err)
	}
	const vendors, each = 8, 500
	var all sync.WaitGroup
	for range vendors {
		all.Go(func() {
			for i := range each {
				w.Recv(int64(i), "w001/florist-1", 1, "x", "eu-west", false)
				w.Dup(int64(i), "w001/florist-1", 2, "x", "us-east", false, true)
			}
		})
	}
	w.Vendor(1, "w001", "w001/florist-1", "florist", 2)
	w.Session(2, "w001/florist-1", 1, "eu-west", Joined, "")
	w.Arrived(2, "w001/florist-1")
	w.Pub(3, "x", "w001", "w001/florist-1", Urgent, 3)
	w.Done(4, "x", OK, "eu-west", []string{"eu-west"}, "")
	w.Bulk(Record{T: 4, ID: "y", Wedding: "w001", Vendor: "w001/florist-1", Out: Info, Got: []int64{-1}})
	w.Stall(4, "w001/florist-1", true)
	w.Lag(5, time.Millisecond)
	w.Leaving(6, "w001/florist-1")
	all.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil {
		t.Error("a second Close did not say so")
	}
	n := map[Kind]int{}
	file, err := os.Open(filepath.Join(dir, HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := Read(file, func(r Record) error { n[r.Kind]++; return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[Kind]int{Run: 1, Vendor: 1, Session: 1, Arrived: 1, Leaving: 1, Pub: 1, Done: 1, Bulk: 1, Stall: 1, Lag: 1, End: 1,
		Recv: vendors * each, Dup: vendors * each}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if _, err := Open(dir, 7); err == nil || !strings.Contains(err.Error(), "folder of its own") {
		t.Errorf("a history was overwritten: %v", err)
	}
}

// TestKilledRunIsReadable reads the file of a writer that never got to its end.
func TestKilledRunIsReadable(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(dir, 7)
	if err != nil {
		t.Fatal(err)
	}
	w.Arrived(clock.Now(), "w001/florist-1")
	n := 0
	for deadline := time.Now().Add(10 * time.Second); n < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(dir, HistoryFile))
		if err != nil {
			t.Fatal(err)
		}
		n = 0
		if err := Read(bytes.NewReader(b), func(Record) error { n++; return nil }); len(b) > 10 && !errors.Is(err, ErrTruncated) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	}
	if n != 2 {
		t.Errorf("the killed run left %d records, want 2", n)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullWriterFailsTheRun fills the queue while nobody empties it.
func TestFullWriterFailsTheRun(t *testing.T) {
	w := &Writer{pending: make([]byte, maxPending+1), stop: make(chan struct{}), done: make(chan error, 1)}
	w.Lag(1, 1)
	if w.Dropped() != 1 {
		t.Fatalf("dropped %d, want 1", w.Dropped())
	}
	w.done <- nil
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "lacks 1 records") {
		t.Fatalf("Close said %v", err)
	}
}

func TestFullDiskFailsTheRun(t *testing.T) {
	w, err := Open(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close() // the disk is gone
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "writing the history") {
		t.Fatalf("Close said %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	r := Record{Kind: Recv, T: 123456789012345, Vendor: "w001/photographer-1", Session: 2, ID: "k3f9a2x1/w001/planner-1/u17", Via: "ap-southeast"}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], &r)
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkWriter is what a socket reader pays, compression on the other goroutine included.
func BenchmarkWriter(b *testing.B) {
	w, err := Open(b.TempDir(), 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	t := clock.Now()
	for n := 0; b.Loop(); n++ {
		if n%(maxPending/200) == 0 {
			b.StopTimer()
			for w.waiting() > wakeAt {
				time.Sleep(time.Millisecond)
			}
			b.StartTimer()
		}
		t += 1000
		w.Recv(t, "w001/photographer-1", 2, "k3f9a2x1/w001/planner-1/u17", "ap-southeast", false)
	}
	b.StopTimer()
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

func (w *Writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

func BenchmarkRead(b *testing.B) {
	var plain []byte
	plain = Append(plain, &evening[0])
	for i := range 1000 {
		plain = Append(plain, &Record{Kind: Recv, T: 123456789012345 + int64(i), Vendor: "w001/photographer-1", Session: 2, ID: "k3f9a2x1/w001/planner-1/u17", Via: "ap-southeast"})
	}
	plain = Append(plain, &Record{Kind: End, Recvs: 1000})
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(plain); err != nil {
		b.Fatal(err)
	}
	w.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := Read(bytes.NewReader(z.Bytes()), func(Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1002, "ns/record")
}

// TestReadsVersionOne: the bundles of earlier runs stay readable.
func TestReadsVersionOne(t *testing.T) {
	old := strings.Replace(string(text(evening[:1])), Schema, schemaV1, 1) + `{"e":"end","t":9,"wall_ns":9,"pubs":0,"dones":0,"recvs":0,"dups":0,"dropped":0}` + "\n"
	if err := Read(strings.NewReader(old), func(Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
