package journal

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oneCycle is the shortest complete story: a region is killed, comes back, and then an injection
// that was never reverted.
func oneCycle() []Entry {
	life := func(n uint64, ev Event) Entry {
		return Entry{Event: ev, Injection: n, Kind: "PodChaos", Name: "region-kill", Action: "pod-failure",
			SHA256: strings.Repeat("ab", 32), Targets: []string{"ap-southeast-1"}, Regions: []string{"ap-southeast"}}
	}
	with := func(e Entry, detail map[string]any, err string) Entry {
		e.Detail, e.Err = detail, err
		return e
	}
	return []Entry{
		{Event: EventNote, Detail: map[string]any{"seed": "18446744073709551615"}},
		{Event: EventPhase, Phase: PhaseBefore},
		{Event: EventSteady},
		{Event: EventPhase, Phase: PhaseFault, Cycle: 1},
		with(life(1, EventIntent), map[string]any{"hold_ns": "5000000000"}, ""),
		life(1, EventInjected),
		with(life(1, EventProved), map[string]any{"ap-southeast-1": "pid 4711 is gone, connection refused"}, ""),
		{Event: EventProbe, Targets: []string{"eu-west-1"}, Detail: map[string]any{"status": "200"}},
		life(1, EventReverting),
		life(1, EventReverted),
		{Event: EventPhase, Phase: PhaseRecovery, Cycle: 1},
		life(1, EventGone),
		{Event: EventPhase, Phase: PhaseFault, Cycle: 2},
		life(2, EventIntent),
		life(2, EventInjected),
		with(life(2, EventUnproved), nil, "pid 4712 is still there"),
		life(2, EventReverting),
		with(life(2, EventRevertFailed), nil, "starting ap-southeast-1: port in use"),
		{Event: EventGuard, Err: "live targets 0 < 1"},
	}
}

func write(t *testing.T, entries []Entry) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "chaos.jsonl")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	in := oneCycle()
	out, err := ReadFile(write(t, in))
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(in) {
		t.Fatalf("read %d entries, wrote %d", len(out), len(in))
	}
	var phase Phase
	var cycle int
	for i := range out {
		if out[i].T == 0 || out[i].WallNS == 0 || out[i].Seq != uint64(i+1) {
			t.Errorf("entry %d is not stamped: %+v", i, out[i])
		}
		if in[i].Event == EventPhase {
			phase, cycle = in[i].Phase, in[i].Cycle
		}
		want := in[i]
		want.Phase, want.Cycle = phase, cycle
		want.T, want.WallNS, want.Seq = out[i].T, out[i].WallNS, out[i].Seq
		if diff := cmp.Diff(want, out[i]); diff != "" {
			t.Errorf("entry %d (-written +read):\n%s", i, diff)
		}
	}
}

// TestGolden pins the bytes that other programs read: keys, their order, what is left out.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile(write(t, oneCycle()))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := Read(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for i, e := range entries { // times differ from run to run
		got = strings.Replace(got, times(e.T, e.WallNS), times(int64(1000+i), int64(1_800_000_000_000_000_000+i)), 1)
	}
	const golden = "testdata/chaos.jsonl"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Fatalf("the form of the journal changed (-want +got), run with -update if that is meant:\n%s", diff)
	}
	if _, err := ReadFile(golden); err != nil {
		t.Fatal(err)
	}
}

func TestUnreverted(t *testing.T) {
	all := oneCycle()
	third := all[13]
	third.Injection, third.Name = 3, "link-delay"
	for _, tc := range []struct {
		name    string
		entries []Entry
		want    []uint64
	}{
		{"empty", nil, nil},
		{"intent alone", all[:5], []uint64{1}},
		{"injected", all[:6], []uint64{1}},
		{"reverting is not reverted", all[:9], []uint64{1}},
		{"reverted", all[:10], nil},
		{"a failed revert stays open", all, []uint64{2}},
		{"newest first", append(append([]Entry{}, all...), third), []uint64{3, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []uint64
			for _, e := range Unreverted(tc.entries) {
				if e.Event != EventIntent {
					t.Errorf("represented by %s", e.Event)
				}
				got = append(got, e.Injection)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestIntentIsOnTheDisk shows that the lines a crashed drill is judged by are synced before
// Append returns, and that the others do not pay for it.
func TestIntentIsOnTheDisk(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "chaos.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	syncs := 0
	w.sync = func() error { syncs++; return nil }
	for _, e := range oneCycle() {
		before := syncs
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
		must := map[Event]bool{EventIntent: true, EventInjected: true, EventReverting: true, EventReverted: true, EventRevertFailed: true}[e.Event]
		if (syncs > before) != must {
			t.Errorf("%s: synced = %v, want %v", e.Event, syncs > before, must)
		}
	}
}

func TestAppendAfterAFailedSyncFails(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "chaos.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dead := errors.New("device is gone")
	w.sync = func() error { return dead }
	if err := w.Append(oneCycle()[4]); !errors.Is(err, dead) {
		t.Fatalf("intent without a sync: %v", err)
	}
	w.sync = w.f.Sync
	if err := w.Append(Entry{Event: EventNote}); !errors.Is(err, dead) {
		t.Fatalf("the failure did not stick: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	intent := oneCycle()[4]
	without := func(change func(*Entry)) Entry { e := intent; change(&e); return e }
	for _, tc := range []struct {
		name string
		e    Entry
		want string
	}{
		{"unknown event", Entry{Event: "explode"}, "not one that this version knows"},
		{"unknown phase", Entry{Event: EventNote, Phase: "lunch"}, `phase "lunch"`},
		{"phase without a name", Entry{Event: EventPhase}, "must name its phase"},
		{"injected before intent", Entry{Event: EventInjected, Injection: 9}, "has no intent"},
		{"no injection number", without(func(e *Entry) { e.Injection = 0 }), "without an injection number"},
		{"no targets", without(func(e *Entry) { e.Targets = nil }), "at least one target"},
		{"unproved without a reason", Entry{Event: EventUnproved, Injection: 1}, "without an error"},
		{"negative cycle", Entry{Event: EventNote, Phase: PhaseFault, Cycle: -1}, "negative"},
		{"not JSON", Entry{Event: EventNote, Detail: map[string]any{"f": func() {}}}, "encoding"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, err := Create(filepath.Join(t.TempDir(), "chaos.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Append(tc.e); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			// A refused line leaves no trace and breaks nothing.
			if err := w.Append(Entry{Event: EventNote}); err != nil {
				t.Fatal(err)
			}
			if got, err := ReadFile(w.f.Name()); err != nil || len(got) != 1 {
				t.Fatalf("journal holds %d entries, %v", len(got), err)
			}
		})
	}
}

func TestCreateKeepsAnOldJournal(t *testing.T) {
	path := write(t, oneCycle())
	if _, err := Create(path); !errors.Is(err, os.ErrExist) {
		t.Fatalf("got %v, want ErrExist", err)
	}
}

func TestClosedWriter(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "chaos.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Append(Entry{Event: EventNote}); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
}
