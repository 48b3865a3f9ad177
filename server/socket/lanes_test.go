package socket

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/protocol"
)

// stall lets the kernels hold little of a connection. Its client reads when the test does.
func (e *end) stall(t *testing.T) {
	t.Helper()
	client, ok := e.client.NetConn().(*net.TCPConn)
	if !ok {
		t.Fatal("no TCP connection")
	}
	if err := client.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
}

// queued is how many frames wait in a lane.
func (s *Socket) queued(lane protocol.Lane) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.len(lane)
}

// fill sends normal frames until the writer waits for the client, and a few more.
func (e *end) fill(t *testing.T) (sent int) {
	t.Helper()
	f := textFrame(strings.Repeat("f", 16<<10))
	for waiting := 0; waiting < 8; sent++ {
		if !e.socket.Send(protocol.Normal, f) {
			t.Fatal("the socket ended")
		}
		waitFor(t, "the writers to be done, or gone", e.socket.cfg.writers.rest)
		waiting = e.socket.queued(protocol.Normal)
	}
	return sent
}

// rest says whether no writer is at work but those that wait for their peer.
func (w *writers) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active == 0
}

// texts reads messages until one is last, and returns them.
func (e *end) texts(t *testing.T, last string) (all []string) {
	t.Helper()
	for {
		_, message, err := e.client.ReadMessage()
		if err != nil {
			t.Fatalf("%q did not come, after %d messages: %v", last, len(all), err)
		}
		if all = append(all, string(message)); string(message) == last {
			return all
		}
	}
}

// A flood of bulk of many senders at a reader that has stopped: the lane stays in its bounds, and once the
// client reads, what is urgent comes first, then normal, then the newest bulk in its order, and at the end
// how much was shed.
func TestFloodOfBulk(t *testing.T) {
	e := connect(t, Config{}, nil)
	e.stall(t)
	filled := e.fill(t)
	from := &member{name: "photographer"}
	const senders, each = 8, 200
	var flood sync.WaitGroup
	for sender := range senders {
		flood.Go(func() {
			for i := range each {
				e.socket.Offer(textFrame(fmt.Sprintf("bulk %d %d %s", sender, i, strings.Repeat("x", 10_000))), from)
			}
		})
	}
	flood.Wait()
	e.socket.Send(protocol.Normal, textFrame("normal"))
	e.socket.Send(protocol.Urgent, textFrame("urgent"))

	shed := int(testutil.ToFloat64(e.socket.cfg.Metrics.Shed))
	kept := e.socket.queued(protocol.Bulk)
	if kept+shed != senders*each || kept > 1<<20/10_000 {
		t.Errorf("%d frames wait and %d were shed, of %d", kept, shed, senders*each)
	}
	got := e.texts(t, fmt.Sprintf("photographer missed %d", shed))
	var order []string
	next, latest := map[string]int{}, [senders]int{}
	for _, message := range got {
		kind, _, _ := strings.Cut(message, " ")
		kind = strings.TrimRight(kind, "f") // of the frames that filled the buffers nothing is left
		if len(order) == 0 || order[len(order)-1] != kind {
			order = append(order, kind)
		}
		next[kind]++
		if kind == "bulk" {
			var sender, i int
			if _, err := fmt.Sscanf(message, "bulk %d %d", &sender, &i); err != nil || i < latest[sender] {
				t.Fatalf("after number %d of a sender came %.20s: %v", latest[sender], message, err)
			}
			latest[sender] = i
		}
	}
	// What was on the wire before it comes before the urgent one; the rest of the filling is behind it.
	if want := []string{"", "urgent", "", "normal", "bulk", "photographer"}; fmt.Sprint(order) != fmt.Sprint(want) {
		t.Errorf("came in the order %q, want %q", order, want)
	}
	if next["bulk"] != kept || next[""] != filled {
		t.Errorf("%d bulk and %d normal frames came, want %d and %d", next["bulk"], next[""], kept, filled)
	}
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	if e.socket.queue.bulk != nil {
		t.Error("the empty bulk lane is kept")
	}
}

// Bulk that was taken for a socket and will never be written is counted, however the socket ends.
func TestBulkOfAnEndedSocketIsCounted(t *testing.T) {
	for name, finish := range map[string]func(e *end){
		"dropped":  func(e *end) { e.socket.Drop("empty") },
		"overflow": func(e *end) { sendUntilFull(e) },
		"lost":     func(e *end) { e.client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			e := connect(t, Config{NormalFrames: 16, CloseGrace: 20 * time.Millisecond}, nil)
			e.stall(t)
			e.fill(t)
			for range 10 {
				e.socket.Offer(textFrame("bulk"), nil)
			}
			finish(e)
			e.ended(t)
			if got := testutil.ToFloat64(e.socket.cfg.Metrics.Shed); got != 10 {
				t.Errorf("%v frames counted, want 10", got)
			}
			if e.socket.Offer(textFrame("late"), nil) {
				t.Error("an ended socket took a frame")
			}
		})
	}
}

func sendUntilFull(e *end) {
	f := textFrame(strings.Repeat("x", 16<<10))
	for e.socket.Send(protocol.Normal, f) {
		runtime.Gosched()
	}
}

// What a reader that has stopped costs is what its lanes hold, however much is sent to it.
func TestStalledSocketIsBounded(t *testing.T) {
	e := connect(t, Config{WriteTimeout: patience}, nil)
	e.stall(t)
	e.fill(t)
	before := heap()
	for range 10_000 { // 100 MB, each frame with bytes of its own
		e.socket.Offer(textFrame(strings.Repeat("x", 10_000)), nil)
	}
	bulk := heap() - before
	for e.socket.queued(protocol.Normal) < 400 {
		e.socket.Send(protocol.Normal, textFrame(strings.Repeat("x", 10_000)))
	}
	all := heap() - before
	t.Logf("%d KiB with a full bulk lane, %d KiB with a full normal lane too", bulk>>10, all>>10)
	if most := int64(3 << 19); bulk > most || all > most+4<<20 {
		t.Error("that is more than the lanes may hold")
	}
}

// heap is the bytes in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A slow reader that reads on after the overflow is told why it is closed: code 1013 and a reason.
func TestSlowReaderIsToldWhy(t *testing.T) {
	e := connect(t, Config{NormalFrames: 16, CloseGrace: patience}, nil)
	e.stall(t)
	sendUntilFull(e)
	defer e.client.Close()
	for {
		_, _, err := e.client.ReadMessage()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, CloseTryLater) || !strings.Contains(err.Error(), "reconnect and resume from the last id") {
			t.Errorf("ended by %v", err)
		}
		return
	}
}

// Peers that do not read hold up nobody: many more of them than there are writers, and one that reads still
// gets its frames; and then all that is left of them is what their lanes hold.
func TestStalledPeersHoldUpNobody(t *testing.T) {
	cfg := Config{WriteTimeout: patience}.WithDefaults()
	stalled := make([]*end, 4*runtime.GOMAXPROCS(0))
	for i := range stalled {
		stalled[i] = connectShared(t, &cfg)
		stalled[i].stall(t)
		stalled[i].fill(t)
	}
	e := connectShared(t, &cfg)
	for i := range 100 {
		for _, s := range stalled {
			s.socket.Send(protocol.Urgent, textFrame("urgent"))
		}
		text := fmt.Sprint("message ", i)
		begin := time.Now()
		e.socket.Send(protocol.Urgent, textFrame(text))
		e.texts(t, text)
		if took := time.Since(begin); took > time.Second {
			t.Fatalf("message %d took %s", i, took)
		}
	}
	cfg.writers.mu.Lock()
	defer cfg.writers.mu.Unlock()
	if n := cfg.writers.active; n < 0 || n > cfg.writers.most {
		t.Errorf("%d writers are at work, want at most %d", n, cfg.writers.most)
	}
}

// Whoever has the least time to write serves those first who have urgent things to write.
func TestWritersServeUrgentFirst(t *testing.T) {
	w := &writers{} // nobody works
	a, b, c, d := &Socket{}, &Socket{}, &Socket{}, &Socket{}
	w.list(a, protocol.Bulk)
	w.list(b, protocol.Normal)
	w.list(c, protocol.Normal)
	w.list(d, protocol.Urgent)
	w.active = 1
	for i, want := range []*Socket{d, b, c, a, nil} {
		if got, _ := w.pick(); got != want {
			t.Errorf("pick %d is another socket", i)
		}
	}
	if w.active != 0 {
		t.Errorf("%d at work after the last pick", w.active)
	}
}

// A frame of 5 MB for a slow reader: an urgent one behind it waits for it, but those for others do not.
func TestLargeFrameDelaysItsOwnSocketAlone(t *testing.T) {
	cfg := Config{NormalBytes: 16 << 20, WriteTimeout: patience}.WithDefaults()
	slow, other := connectShared(t, &cfg), connectShared(t, &cfg)
	slow.stall(t)
	large := strings.Repeat("x", 5_000_000)
	slow.socket.Send(protocol.Normal, textFrame(large))
	waitFor(t, "the large frame to be begun", func() bool { return slow.socket.queued(protocol.Normal) == 0 })
	slow.socket.Send(protocol.Urgent, textFrame("urgent"))
	slow.socket.Send(protocol.Normal, textFrame("normal"))
	for i := range 50 {
		text := fmt.Sprint("message ", i)
		other.socket.Send(protocol.Urgent, textFrame(text))
		other.texts(t, text)
	}
	got := slow.texts(t, "normal")
	if len(got) != 3 || got[0] != large || got[1] != "urgent" {
		t.Errorf("%d messages came, the second is %.10q", len(got), got[1])
	}
}

// A reader that is slow but does read is not taken for one that is gone, however long one frame takes.
func TestSlowLinkIsNotAStall(t *testing.T) {
	t.Parallel()
	const writeTimeout = 500 * time.Millisecond
	e := connect(t, Config{WriteTimeout: writeTimeout}, nil)
	e.stall(t)
	const size = 1 << 20
	e.socket.Send(protocol.Normal, textFrame(strings.Repeat("x", size)))
	begin := time.Now()
	buf := make([]byte, 32<<10)
	for read := 0; read < size; {
		n, err := e.client.NetConn().Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes and %s: %v", read, time.Since(begin), err)
		}
		read += n
		time.Sleep(time.Duration(n) * writeTimeout / (4 * pieceBytes)) // the speed of the link
	}
	if took := time.Since(begin); took < 2*writeTimeout {
		t.Errorf("took %s, which shows nothing", took)
	}
}

// An idle socket is one allocation of this size, whether or not it ever sees bulk.
func TestSocketIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Socket{}); size > 240 {
		t.Errorf("a socket has %d bytes: the allocator rounds what is over 240 up", size)
	}
}
