package room

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/socket"
	"github.com/wedsync/wedsync/server/telemetry"
)

// wire is the client's side of a connection, read without the runtime's poller and once per message, so
// that the clients of a benchmark cost little.
type wire struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool // takes what has come
	got  int                   // bytes
	err  error
}

func (w *wire) init(conn syscall.Conn, buf []byte) (err error) {
	w.raw, err = conn.SyscallConn()
	w.read = func(fd uintptr) bool {
		n, err := syscall.Read(int(fd), buf)
		w.got += max(0, n)
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR) {
			w.err = err
		}
		return true
	}
	return err
}

// sockets joins real sockets to rooms of a size and returns their clients' sides.
func sockets(b *testing.B, h *Hub, m *telemetry.Metrics, n, perRoom int) []wire {
	cfg := socket.Config{Logger: slog.New(slog.DiscardHandler), Metrics: m, CloseGrace: time.Millisecond}.WithDefaults()
	if err := cfg.Validate(); err != nil {
		b.Fatal(err)
	}
	joined := make(chan struct{})
	up := websocket.Upgrader{ReadBufferSize: socket.ReadBuffer, WriteBufferPool: &sync.Pool{}}
	i := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		s := socket.New(ws, &cfg)
		h.Join(roomName(i/perRoom), &Member{Sink: s, Version: protocol.V2}, func() {})
		i++ // one connects after the other
		joined <- struct{}{}
		s.Run(func(bool, []byte) {})
	}))
	b.Cleanup(server.Close)
	wires, buf := make([]wire, n), make([]byte, 64<<10) // one thread reads them all
	for i := range wires {
		client, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { client.Close() })
		<-joined
		tcp, ok := client.NetConn().(*net.TCPConn)
		if !ok {
			b.Fatal("no TCP connection")
		}
		if err := wires[i].init(tcp, buf); err != nil {
			b.Fatal(err)
		}
	}
	return wires
}

// cpu is the time that this process, or the calling thread, has been on a processor.
func cpu(b *testing.B, who int) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(who, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// read takes what has come until every wire has had so many bytes, and returns what that cost.
func read(b *testing.B, wires []wire, due int) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := cpu(b, unix.RUSAGE_THREAD)
	for waiting := true; waiting; {
		waiting = false
		time.Sleep(200 * time.Microsecond)
		for i := range wires {
			if w := &wires[i]; w.got < due {
				if err := errors.Join(w.raw.Read(w.read), w.err); err != nil {
					b.Error(err)
					return 0
				}
				waiting = waiting || w.got < due
			}
		}
	}
	return cpu(b, unix.RUSAGE_THREAD) - begin
}

// BenchmarkFanoutToSockets is a delivery with everything below it: queue, writer, system call, and the
// loopback of the kernel. What the clients cost is taken out.
func BenchmarkFanoutToSockets(b *testing.B) {
	for _, shape := range []struct{ sockets, perRoom int }{{1000, 1000}, {1000, 10}} {
		b.Run(fmt.Sprintf("%d rooms of %d", shape.sockets/shape.perRoom, shape.perRoom), func(b *testing.B) {
			m, err := telemetry.New(prometheus.NewRegistry(), "n", "r")
			if err != nil {
				b.Fatal(err)
			}
			h := NewHub(m, Flaw{})
			wires := sockets(b, h, m, shape.sockets, shape.perRoom)
			ev := textEvent(`{"type":"broadcast","event":"timeline","payload":{"slot":"first-dance","eta":95,"text":"` + strings.Repeat("x", 200) + `"}}`)
			// Rooms are called 00 and so on, so all frames have one size.
			frame, _ := Live(protocol.WireTopic("wed:00"), "", protocol.V2, ev)
			due, turn, clients := 0, make(chan int), make(chan time.Duration)
			go func() { // ends with turn
				for due := range turn {
					clients <- read(b, wires, due)
				}
			}()
			defer close(turn)
			deliveries, before := 0, cpu(b, unix.RUSAGE_SELF)
			b.ReportAllocs()
			for b.Loop() {
				for i := range shape.sockets / shape.perRoom {
					next := *ev
					next.Room = roomName(i)
					deliveries += h.Deliver(&next, nil)
				}
				due += frame.Len()
				turn <- due
				before += <-clients
			}
			b.ReportMetric(float64(cpu(b, unix.RUSAGE_SELF)-before)/float64(deliveries), "cpu-ns/delivery")
		})
	}
}

func roomName(i int) string { return fmt.Sprintf("public:wed:%02d", i) }
