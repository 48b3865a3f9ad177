package socket

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// member is a source of bulk frames that wants to know what was shed, unless it is silent.
type member struct {
	name   string
	silent bool
}

func (m *member) Shed(frames int64) (Frame, bool) {
	return textFrame(fmt.Sprintf("%s missed %d", m.name, frames)), !m.silent
}

func TestBulkIsTakenLastAndShedFirst(t *testing.T) {
	a, b, silent := &member{name: "a"}, &member{name: "b"}, &member{silent: true}
	var q queue
	shed := 0
	for i := range 4 {
		for _, from := range []Source{a, b, silent, nil} {
			shed += q.offer(textFrame(fmt.Sprintf("round %d", i)), from, limit{frames: 6, bytes: 1000})
		}
	}
	if shed != 10 || q.len(protocol.Bulk) != 6 {
		t.Errorf("%d of 16 were shed and %d stay, want 10 and 6", shed, q.len(protocol.Bulk))
	}
	q.push(protocol.Normal, textFrame("normal"), limit{1, 1})
	q.push(protocol.Urgent, textFrame("urgent"), limit{1, 1})
	var got []string
	buf := make([]byte, 1) // every frame is larger and comes alone
	for q.settle(); !q.empty(); q.settle() {
		got = append(got, string(Frame{q.take(buf)}.Payload()))
	}
	want := []string{"urgent", "normal", "round 2", "round 2", "round 3", "round 3", "round 3", "round 3",
		"a missed 3", "b missed 3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if q.bulk != nil {
		t.Error("an empty bulk lane is kept")
	}
}

func TestLargeBulkFrameIsTakenAlone(t *testing.T) {
	var q queue
	most := limit{frames: 10, bytes: 100}
	large := textFrame(strings.Repeat("x", 500))
	for i, want := range []int{0, 1, 1} { // each pushes the one before out
		if shed := q.offer(large, nil, most); shed != want || q.len(protocol.Bulk) != 1 {
			t.Errorf("offer %d: %d shed, %d there", i, shed, q.len(protocol.Bulk))
		}
	}
	if shed := q.offer(textFrame("small"), nil, most); shed != 1 || q.len(protocol.Bulk) != 1 {
		t.Errorf("a small one after it: %d shed, %d there", shed, q.len(protocol.Bulk))
	}
	if n := q.clear(); n != 1 || q.clear() != 0 {
		t.Errorf("clearing counts %d", n)
	}
}

// Whatever is pushed comes out once, whole, in the order of its lane, and what is more important comes
// before what is less so and in the queue at that time. Only bulk is shed: the oldest first, no more than
// the lane's bounds ask for, and every one is told.
func TestQueueKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var waiting [protocol.Lanes][]Frame
		most := limit{frames: 1 << 20, bytes: 1 << 30}
		mostBulk := limit{rapid.IntRange(1, 8).Draw(t, "bulk frames"), rapid.IntRange(1, 1000).Draw(t, "bulk bytes")}
		buf := make([]byte, rapid.IntRange(16, 300).Draw(t, "batch"))
		from := &member{silent: true}
		owed := 0
		takeAll := func() {
			q.settle()
			if len(waiting[protocol.Bulk]) == 0 {
				owed = 0
			}
			out := q.take(buf)
			for len(out) > 0 {
				var next []byte
				for _, lane := range byImportance {
					if w := waiting[lane]; len(w) > 0 {
						next, waiting[lane] = w[0].bytes, w[1:]
						break
					}
				}
				if next == nil {
					t.Fatalf("took %d bytes that nobody pushed", len(out))
				}
				if !bytes.HasPrefix(out, next) {
					t.Fatalf("took %q, want %q first", out, next)
				}
				out = out[len(next):]
			}
		}
		frame := func(t *rapid.T) Frame {
			return Text(append(Begin(0), rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "payload")...))
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				lane := rapid.SampledFrom([]protocol.Lane{protocol.Normal, protocol.Urgent}).Draw(t, "lane")
				f := frame(t)
				if !q.push(lane, f, most) {
					t.Fatal("refused")
				}
				waiting[lane] = append(waiting[lane], f)
			},
			"offer": func(t *rapid.T) {
				f := frame(t)
				shed := q.offer(f, from, mostBulk)
				w, size := waiting[protocol.Bulk], 0
				for _, other := range w {
					size += other.Len()
				}
				fewest := 0 // that must go for f to fit
				for ; len(w) > 0 && (len(w) >= mostBulk.frames || size+f.Len() > mostBulk.bytes); fewest++ {
					size -= w[0].Len()
					w = w[1:]
				}
				if shed != fewest {
					t.Fatalf("%d shed, want %d", shed, fewest)
				}
				owed += shed
				waiting[protocol.Bulk] = append(w, f)
			},
			"take": func(*rapid.T) { takeAll() },
			"": func(t *rapid.T) {
				for lane, w := range waiting {
					if q.len(protocol.Lane(lane)) != len(w) {
						t.Fatalf("%v: %d frames, want %d", protocol.Lane(lane), q.len(protocol.Lane(lane)), len(w))
					}
				}
				told := 0
				if q.bulk != nil && len(q.bulk.shed) > 0 {
					told = int(q.bulk.shed[0].frames)
				}
				if told != owed {
					t.Fatalf("the word will be about %d frames, %d were shed", told, owed)
				}
			},
		})
		for !q.empty() {
			takeAll()
		}
		for lane, w := range waiting {
			if len(w) > 0 {
				t.Fatalf("%d frames were lost in lane %v", len(w), protocol.Lane(lane))
			}
		}
		if q.lanes[0].bytes != 0 || q.lanes[1].bytes != 0 {
			t.Fatalf("an empty queue counts %d and %d bytes", q.lanes[0].bytes, q.lanes[1].bytes)
		}
	})
}

// The lane of a peer that is always one frame behind never gets empty; it must not grow with what it held.
func TestLanesDoNotGrowWithTime(t *testing.T) {
	var q queue
	f, most := textFrame("x"), limit{frames: 100, bytes: 1000}
	buf := make([]byte, f.Len())
	for range 3 {
		q.push(protocol.Normal, f, most)
	}
	for range 10_000 {
		q.push(protocol.Normal, f, most)
		q.take(buf)
	}
	var b bulk
	for range 10_000 {
		b.push(f, nil, limit{frames: 3, bytes: 1000})
	}
	if n, m := cap(q.lanes[protocol.Normal].frames), cap(b.frames); n > 16 || m > 16 {
		t.Errorf("room for %d and %d frames, where at most 4 and 3 wait", n, m)
	}
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
