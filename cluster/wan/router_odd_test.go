package wan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// through sends numbered packets from a to b and returns what arrives, until n have or nothing comes for a while.
func through(t *testing.T, ends []*wire, sent, n int) (got []string) {
	t.Helper()
	for i := range sent {
		_, err := unix.Write(ends[1].far, ip(2, fmt.Sprintf("packet %03d", i)))
		must(t, err)
	}
	buf := make([]byte, 2048)
	must(t, unix.SetsockoptTimeval(ends[2].far, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}))
	for len(got) < n {
		size, err := unix.Read(ends[2].far, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("after %d packets of %d: %v", len(got), n, err)
		}
		got = append(got, string(buf[20:size]))
	}
	return got
}

// counted waits for a counter of the path, which is written just after the packet.
func counted(t *testing.T, r *Router, ok func(PathCounters) bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); !ok(r.Counters().Path("a", "b")); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r.Counters().Path("a", "b"))
		}
	}
}

func TestRouterDuplicates(t *testing.T) {
	r, ends := wires(t, near())
	must(t, r.Impair("a", "b", Impairment{Duplicate: 1}))
	got := through(t, ends, 50, 100)
	for i := range 50 {
		if got[2*i] != got[2*i+1] || got[2*i] != fmt.Sprintf("packet %03d", i) {
			t.Fatalf("%d: %q, %q", i, got[2*i], got[2*i+1])
		}
	}
	counted(t, r, func(c PathCounters) bool { return c.Duplicated == 50 && c.Forwarded == 100 })
}

func TestRouterDamagesOneBit(t *testing.T) {
	r, ends := wires(t, near())
	must(t, r.Impair("a", "b", Impairment{Corrupt: 1}))
	for i, text := range through(t, ends, 50, 50) {
		bits := 0
		for k, want := range []byte(fmt.Sprintf("packet %03d", i)) {
			for d := text[k] ^ want; d != 0; d &= d - 1 {
				bits++
			}
		}
		if bits != 1 {
			t.Errorf("%q: %d bits are wrong", text, bits)
		}
	}
	counted(t, r, func(c PathCounters) bool { return c.Corrupted == 50 })
}

func TestRouterReorders(t *testing.T) {
	r, ends := wires(t, near())
	must(t, r.Impair("a", "b", Impairment{Delay: 100 * time.Millisecond, Reorder: 0.25}))
	got := through(t, ends, 200, 200)
	c := r.Counters().Path("a", "b")
	// Those that overtake, and those that are overtaken, are each in order.
	early, late := got[:c.Reordered], got[c.Reordered:]
	if c.Reordered < 20 || c.Reordered > 90 || !slices.IsSorted(early) || !slices.IsSorted(late) || slices.IsSorted(got) {
		t.Errorf("%d overtook: %v", c.Reordered, got)
	}
}

func TestRouterShapes(t *testing.T) {
	r, ends := wires(t, near())
	must(t, r.Impair("a", "b", Impairment{Rate: 30_000, Burst: 300, Queue: 2000}))
	begun := time.Now()
	got := through(t, ends, 50, 50) // 30 bytes each: 10 at once, the others a millisecond each
	if took := time.Since(begun); took < 38*time.Millisecond || !slices.IsSorted(got) {
		t.Errorf("took %v, in order: %v", took, slices.IsSorted(got))
	}
	counted(t, r, func(c PathCounters) bool { return c.Shaped >= 38 && c.Queue == 0 })
	must(t, r.Impair("a", "b", Impairment{Rate: 30_000, Burst: 300, Queue: 300}))
	got = through(t, ends, 50, 15)
	counted(t, r, func(c PathCounters) bool { return c.Queue > 10 })
	if got[0] != "packet 000" {
		t.Errorf("%v", got)
	}
}

// TestImpairmentsTogether: nothing is forgotten, and a path that is healed does nothing more.
func TestImpairmentsTogether(t *testing.T) {
	r, ends := wires(t, near())
	im := Impairment{Delay: time.Millisecond, Duplicate: 0.5, Corrupt: 0.1, Reorder: 0.2, Rate: 1e6, Burst: 3000, Queue: 1e6}
	must(t, r.Impair("a", "b", im))
	if got, err := r.Path("a", "b"); err != nil || got != im {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, r.Impair("a", "b", Impairment{}))
	before := r.Counters().Path("a", "b")
	got := through(t, ends, 20, 20)
	after := r.Counters().Path("a", "b")
	if !slices.IsSorted(got) || after.Duplicated != before.Duplicated || after.Corrupted != before.Corrupted || after.Shaped != before.Shaped {
		t.Errorf("%v, %+v", got, after)
	}
}

func TestImpairmentErrors(t *testing.T) {
	for want, im := range map[string]Impairment{
		"shares":        {Duplicate: 1.5},
		"needs a delay": {Reorder: 0.5},
		"negative":      {Rate: -1},
	} {
		if err := im.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", im, err, want)
		}
	}
	if err := Carries(Proxy, Impairment{Duplicate: 0.1}); err == nil {
		t.Error("a byte stream is said to come twice")
	}
	if err := errors.Join(Carries(Proxy, Impairment{Rate: 1}), Carries(Packet, Impairment{Duplicate: 0.1})); err != nil {
		t.Error(err)
	}
}
