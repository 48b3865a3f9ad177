package receipt

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

func benchLedger(b *testing.B, members int) (*Ledger, *backbone.Clock) {
	clock := backbone.NewClock(time.Now)
	l, err := New(Config{Node: "n0", Clock: clock.Now, Gossip: func(string, []byte) {}, EscalateAfter: DefaultEscalateAfter,
		Escalate: func(context.Context, Escalation) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	for i := range members {
		l.Join(fmt.Sprint("private:wedding:", i/12), keyOf(i%12))
	}
	return l, clock
}

func keyOf(i int) string { return fmt.Sprint("vendor-", i) }

// One receipt of one of the twelve vendors of a wedding, among 10,000 messages that are kept.
func BenchmarkReceipt(b *testing.B) {
	const messages, vendors = 10_000, 12
	l, clock := benchLedger(b, 1200)
	rooms, ids, keys := make([]string, messages), make([]string, messages), make([]string, vendors)
	for i := range messages {
		rooms[i], ids[i] = fmt.Sprint("private:wedding:", i%100), fmt.Sprint("m", i)
		l.Published(&backbone.Event{ID: ids[i], Room: rooms[i], HLC: clock.Now(), Origin: "n0"})
	}
	for i := range vendors {
		keys[i] = keyOf(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m := i / vendors % messages
		l.Receipt(rooms[m], ids[m], keys[i%vendors], "eu-west")
	}
}

// What the path of an urgent message pays.
func BenchmarkPublished(b *testing.B) {
	l, clock := benchLedger(b, 1200)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Published(&backbone.Event{ID: fmt.Sprint("m", i), Room: "private:wedding:7", HLC: clock.Now(), Origin: "n0"})
	}
}

// What a join and a leave pay.
func BenchmarkJoinEnd(b *testing.B) {
	l, _ := benchLedger(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		l.Join("private:wedding:7", "latecomer")
		l.End("private:wedding:7", "latecomer", true)
	}
}

// What a scrape pays, with 10,000 open messages of twelve vendors who have all confirmed.
func BenchmarkUntold(b *testing.B) {
	l, clock := benchLedger(b, 1200)
	for i := range 10_000 {
		room, id := fmt.Sprint("private:wedding:", i%100), fmt.Sprint("m", i)
		l.Published(&backbone.Event{ID: id, Room: room, HLC: clock.Now(), Origin: "n0"})
		for k := range 12 {
			l.Receipt(room, id, keyOf(k), "eu-west")
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := l.untold(); n != 0 {
			b.Fatal(n)
		}
	}
}
