package socket

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/protocol"
)

func textFrame(s string) Frame { return Text(append(Begin(len(s)), s...)) }

func TestUrgentIsTakenFirst(t *testing.T) {
	var q queue
	most := limit{frames: 10, bytes: 1000}
	for _, s := range []string{"n1", "n2"} {
		q.push(protocol.Normal, textFrame(s), most)
	}
	q.push(protocol.Urgent, textFrame("u1"), most)
	q.push(protocol.Urgent, textFrame("u2"), most)
	var got []byte
	buf := make([]byte, 8) // two small frames
	for out := q.take(buf); len(out) > 0; out = q.take(buf) {
		got = append(got, out...)
	}
	var want []byte
	for _, s := range []string{"u1", "u2", "n1", "n2"} {
		want = append(want, textFrame(s).bytes...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("took %q, want %q", got, want)
	}
}

func TestLaneIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		most limit
		size int
		fits int
	}{
		"by frames":              {limit{frames: 3, bytes: 1 << 20}, 10, 3},
		"by bytes":               {limit{frames: 100, bytes: 50}, 10, 4}, // 12 bytes each with the header
		"one always fits":        {limit{frames: 100, bytes: 50}, 500, 1},
		"one fits even in one":   {limit{frames: 1, bytes: 1}, 500, 1},
		"a full lane, then more": {limit{frames: 2, bytes: 1 << 20}, 1, 2},
	} {
		var q queue
		fits := 0
		for range 10 {
			if q.push(protocol.Urgent, textFrame(string(make([]byte, c.size))), c.most) {
				fits++
			}
		}
		if fits != c.fits {
			t.Errorf("%s: %d frames fit, want %d", name, fits, c.fits)
		}
	}
}

// Whatever is pushed comes out once, whole, in the order of its lane, and urgent frames come before
// normal ones that are in the queue at that time.
func TestQueueKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var waiting [2][]Frame
		most := limit{frames: 1 << 20, bytes: 1 << 30}
		buf := make([]byte, rapid.IntRange(16, 300).Draw(t, "batch"))
		takeAll := func() {
			out := q.take(buf)
			for len(out) > 0 {
				lane := protocol.Urgent
				if len(waiting[lane]) == 0 {
					lane = protocol.Normal
				}
				if len(waiting[lane]) == 0 {
					t.Fatalf("took %d bytes that nobody pushed", len(out))
				}
				next := waiting[lane][0].bytes
				waiting[lane] = waiting[lane][1:]
				if !bytes.HasPrefix(out, next) {
					t.Fatalf("took %q, want %q first", out, next)
				}
				out = out[len(next):]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				lane := protocol.Lane(rapid.IntRange(0, 1).Draw(t, "lane"))
				f := Text(append(Begin(0), rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "payload")...))
				if !q.push(lane, f, most) {
					t.Fatal("refused")
				}
				waiting[lane] = append(waiting[lane], f)
			},
			"take": func(*rapid.T) { takeAll() },
		})
		for !q.empty() {
			takeAll()
		}
		if len(waiting[0])+len(waiting[1]) > 0 {
			t.Fatalf("%d frames were lost", len(waiting[0])+len(waiting[1]))
		}
		if q.lanes[0].bytes != 0 || q.lanes[1].bytes != 0 {
			t.Fatalf("an empty queue counts %d and %d bytes", q.lanes[0].bytes, q.lanes[1].bytes)
		}
	})
}

// A frame read by gorilla is what was put in: the header is right at every length class.
func TestFrameHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 0xFFFF, 0x10000} {
		f := Binary(append(Begin(n), make([]byte, n)...))
		if len(f.Payload()) != n || f.IsText() {
			t.Errorf("%d bytes: payload %d, text %v", n, len(f.Payload()), f.IsText())
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	var q queue
	f := textFrame(string(make([]byte, 300)))
	buf := make([]byte, batchBytes)
	most := limit{frames: 4096, bytes: 4 << 20}
	b.ReportAllocs()
	for b.Loop() {
		q.push(protocol.Normal, f, most)
		q.push(protocol.Urgent, f, most)
		q.take(buf)
	}
}
