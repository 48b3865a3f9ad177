package client

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// BenchmarkIdleClient says what one joined client with one home costs, socket buffers of the
// kernel aside: heap and stacks of this process per client. The server's side is a handshake and a
// join reply written by hand, and costs it one connection without a goroutine.
func BenchmarkIdleClient(b *testing.B) {
	const clients = 1000
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan net.Conn, clients)
	go func() { // ends with ln
		for {
			conn, err := ln.Accept()
			if err != nil {
				close(served)
				return
			}
			acceptOnce(b, conn)
			served <- conn
		}
	}()
	cfg := Config{Endpoints: []Endpoint{{"a", "ws://" + ln.Addr().String() + "/socket"}}, Topic: testTopic,
		HeartbeatInterval: time.Hour, SilenceLimit: 2 * time.Hour}
	hurry, now := context.WithCancel(b.Context()) // the server does not answer a goodbye
	now()
	for b.Loop() {
		before := memoryInUse()
		all := make([]*Client, clients)
		for i := range all {
			c, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			connect(b, c)
			all[i] = c
		}
		after := memoryInUse()
		b.ReportMetric(float64(after-before)/clients/1024, "KiB/client")
		for _, c := range all { // before their sockets are closed, or they come back
			_ = c.Close(hurry)
		}
		for range all {
			_ = (<-served).Close()
		}
	}
	_ = ln.Close()
	for conn := range served {
		_ = conn.Close()
	}
}

func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC() // the first one empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// acceptOnce answers the handshake and the join that follows, and reads no more.
func acceptOnce(b *testing.B, conn net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		b.Error(err)
		return
	}
	key := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(key[:]))
	reply := `["1","1","realtime:` + testTopic + `","phx_reply",{"status":"ok","response":{}}]`
	_, _ = conn.Write(append([]byte{0x81, byte(len(reply))}, reply...))
}
