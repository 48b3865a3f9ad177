package generator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/protocol"
)

// Bare plays weddings with nothing but sockets, until ctx ends: it is the third generator, in a process of its own.
func Bare(ctx context.Context, server string, weddings int, every time.Duration) error {
	b := &bare{every: every, latencies: hdrhistogram.New(1, 60_000_000, 3)}
	u, err := url.Parse(server)
	if err != nil {
		return fmt.Errorf("the address of the server: %w", err)
	}
	u = u.JoinPath("websocket")
	u.RawQuery = "vsn=2.0.0"
	b.dialer = websocket.Dialer{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{}, HandshakeTimeout: 30 * time.Second}
	all, ctx := errgroup.WithContext(ctx)
	connecting := make(chan struct{}, 64) // at a time
	for i := range vendors(weddings) {
		all.Go(func() error { // owned by this call, which waits for it; ends with ctx; one per vendor
			return b.vendor(ctx, u.String(), i, connecting)
		})
	}
	if err := all.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

type bare struct {
	every  time.Duration
	dialer websocket.Dialer

	mu        sync.Mutex // guards the following
	latencies *hdrhistogram.Histogram
}

func (b *bare) vendor(ctx context.Context, url string, i int, connecting chan struct{}) error {
	select {
	case connecting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	ws, _, err := b.dialer.DialContext(ctx, url, nil)
	<-connecting
	if err != nil {
		return fmt.Errorf("connecting vendor %d: %w", i, err)
	}
	defer ws.Close()
	stop := context.AfterFunc(ctx, func() { ws.NetConn().Close() }) // ends the reading below
	defer stop()
	topic := protocol.WireTopic(fmt.Sprintf("wedding:w%d", i/VendorsPerWedding))
	join := protocol.Join{}
	err = ws.WriteMessage(websocket.TextMessage, protocol.AppendTextPush(nil, protocol.V2, &protocol.Frame{
		JoinRef: protocol.StringRef("1"), Ref: protocol.StringRef("1"), Topic: topic, Event: protocol.EventJoin, Payload: join.Append(nil)}))
	if err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	var heard bytes.Buffer
	for first := true; ; first = false {
		_, r, err := ws.NextReader()
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		heard.Reset()
		if _, err := heard.ReadFrom(r); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		b.note(heard.Bytes())
		if first && i%VendorsPerWedding == 0 {
			speaking, end := context.WithCancel(ctx)
			defer end()
			go b.speak(speaking, ws, topic) // ends with the vendor
		}
	}
}

// note records the age of a message.
func (b *bare) note(frame []byte) {
	const key = `"at":`
	i := bytes.Index(frame, []byte(key))
	if i < 0 {
		return
	}
	digits := frame[i+len(key):]
	end := 0
	for end < len(digits) && '0' <= digits[end] && digits[end] <= '9' {
		end++
	}
	at, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	if err != nil {
		return
	}
	age := max(1, time.Since(time.UnixMilli(at)).Microseconds())
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.latencies.RecordValue(age) // a minute and more is left out
}

func (b *bare) speak(ctx context.Context, ws *websocket.Conn, topic string) {
	tick := time.NewTicker(b.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		said := fmt.Appendf(nil, `{"at":%d,"n":%d,"note":"The ceremony moves to 4 PM because of the rain: please confirm."}`, time.Now().UnixMilli(), n)
		u := protocol.UserBroadcast{Event: "note", Payload: said}
		push := protocol.AppendTextPush(nil, protocol.V2, &protocol.Frame{JoinRef: protocol.StringRef("1"), Ref: protocol.StringRef(strconv.Itoa(n)), Topic: topic,
			Event: protocol.EventBroadcast, Payload: protocol.AppendUserBroadcast(nil, &u)})
		if ws.WriteMessage(websocket.TextMessage, push) != nil {
			return // whose socket is gone is found out by its reader
		}
	}
}
