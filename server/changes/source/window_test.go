package source

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestWindowConfirmsWhatIsHeld(t *testing.T) {
	w := newWindow(8, 1000)
	admit := func() uint64 {
		seq, ok := w.tryAdmit(1, time.Unix(int64(w.next)+1, 0))
		if !ok {
			t.Fatal("no room")
		}
		return seq
	}
	expect := func(want uint64) {
		t.Helper()
		if _, got := w.position(); got != want {
			t.Fatalf("confirmed %d, want %d", got, want)
		}
	}
	expect(0)
	w.mark(10)
	expect(10) // nothing is open
	a, b := admit(), admit()
	w.mark(20)
	c := admit()
	w.mark(30)
	w.mark(31) // the same place among the changes
	w.hold(b)
	expect(10)
	if at, ok := w.oldest(); !ok || at != time.Unix(1, 0) {
		t.Errorf("oldest %v %v", at, ok)
	}
	w.hold(a)
	expect(20)
	w.hold(c)
	expect(31)
	w.mark(5) // a mark that goes back is none
	expect(31)
	if _, ok := w.oldest(); ok {
		t.Error("something is open")
	}
}

func TestWindowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(3, 100)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := w.admit(ctx, 1000, time.Time{}); err != nil { // alone it may be larger than all
			t.Fatal(err)
		}
		first := make(chan uint64)
		go func() { // ends when there is room
			seq, _ := w.admit(ctx, 1, time.Time{})
			first <- seq
		}()
		synctest.Wait()
		select {
		case <-first:
			t.Fatal("more bytes than allowed")
		default:
		}
		w.hold(0)
		if seq := <-first; seq != 1 {
			t.Fatalf("number %d", seq)
		}
		for range 2 {
			if _, err := w.admit(ctx, 1, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		w.hold(2) // not the oldest: no room comes of it
		if _, err := w.admit(ctx, 1, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a fourth change: error %v", err)
		}
	})
}

// TestWindowAgainstModel: whatever the order of holds, confirmed is the last mark with nothing open before it.
func TestWindowAgainstModel(t *testing.T) {
	type point struct{ after, lsn uint64 } // a mark, and how many changes were before it
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		w := newWindow(limit, 1<<30)
		open := map[uint64]bool{}
		var marks []point
		var next, lsn uint64
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"admit", "hold", "mark"}).Draw(t, "op") {
			case "admit":
				room := true
				for seq := range open {
					room = room && next-seq < uint64(limit)
				}
				seq, ok := w.tryAdmit(1, time.Time{})
				if ok != room || ok && seq != next {
					t.Fatalf("admitted %v as %d, want %v as %d", ok, seq, room, next)
				}
				if ok {
					open[next] = true
					next++
				}
			case "hold":
				var seqs []uint64
				for seq := range next {
					if open[seq] {
						seqs = append(seqs, seq)
					}
				}
				if len(seqs) > 0 {
					seq := rapid.SampledFrom(seqs).Draw(t, "seq")
					delete(open, seq)
					w.hold(seq)
				}
			case "mark":
				lsn += uint64(rapid.IntRange(0, 3).Draw(t, "lsn"))
				marks = append(marks, point{next, lsn})
				w.mark(lsn)
			}
			want := uint64(0)
			for _, m := range marks {
				all := true
				for seq := range m.after {
					all = all && !open[seq]
				}
				if all {
					want = m.lsn
				}
			}
			if received, got := w.position(); got != want || received != lsn {
				t.Fatalf("confirmed %d of %d, want %d of %d", got, received, want, lsn)
			}
			if len(w.marks) > limit+1 {
				t.Fatalf("%d marks for %d changes", len(w.marks), limit)
			}
		}
	})
}
