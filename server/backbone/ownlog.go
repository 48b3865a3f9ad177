package backbone

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// How the own log is kept below its limit, and how much of its end is recalled when a node starts.
const (
	trimEvery  = 10 * time.Second
	recallSpan = 2 * time.Minute
	recallMax  = 1 << 15 // events
)

// ownLog follows the end of the own log of a lane. Whatever is appended to it, by whom ever, is
// made known to repair and told to the receiver. Live copies come faster; this path
// makes sure that stored means delivered.
type ownLog struct {
	cfg      *Config
	lane     protocol.Lane
	link     *link
	known    *known
	cursors  *cursors
	receiver func() Receiver // nil while nobody is attached
	log      *slog.Logger
	m        *metrics
	kicked   chan struct{}
	adopting sync.Mutex // one repair at a time writes

	mu          sync.Mutex // guards the following, and the order of reading
	reader      *reader
	incarnation time.Time
	seq         uint64   // read up to here
	early       []*Event // what came before a receiver was attached, without payloads; bound: recallMax
	recalled    bool     // there has been one: nothing is early any more

	answered atomic.Int64 // when the log answered last, nanoseconds after base
}

// open starts at the present end of the log, after a look at the minutes before it.
func (o *ownLog) open(ctx context.Context) error {
	conn := o.link.get()
	info, err := openStream(ctx, conn, o.cfg, o.lane)
	if err != nil {
		return err
	}
	r, err := newReader(conn, o.lane)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reader, o.incarnation, o.seq = r, info.Created, info.State.LastSeq
	o.cursors.own(o.lane, place{o.incarnation, o.seq})
	start := time.Now().Add(-recallSpan)
	if err := o.read(ctx, query{Start: &start}); err != nil {
		return fmt.Errorf("recalling the end of the own log: %w", err)
	}
	return nil
}

// run follows the log until ctx ends: at once when kicked, else every Config.Poll.
func (o *ownLog) run(ctx context.Context) {
	poll := time.NewTicker(o.cfg.Poll)
	defer poll.Stop()
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-o.kicked:
			err = o.follow(ctx)
		case <-poll.C:
			err = o.follow(ctx)
		case <-trim.C:
			err = o.trim(ctx)
		}
		if err != nil && ctx.Err() == nil {
			o.log.Error("own log", "lane", o.lane, "err", err)
		}
	}
}

// kick makes run look now.
func (o *ownLog) kick() {
	select {
	case o.kicked <- struct{}{}:
	default:
	}
}

// follow reads to the end of the log. When it returns without error, everything that was stored
// when it was called is known and has been told.
func (o *ownLog) follow(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ctx, end := o.link.during(ctx)
	defer end()
	from := o.seq
	if err := o.read(ctx, query{Seq: o.seq + 1}); err != nil {
		return fmt.Errorf("following the own log: %w", err)
	}
	if o.seq != from {
		o.cursors.own(o.lane, place{o.incarnation, o.seq})
	}
	return nil
}

// read tells everything from a place on. Called with the lock held.
func (o *ownLog) read(ctx context.Context, q query) error {
	for {
		left, err := o.reader.batch(ctx, q, func(r record) error {
			o.seq = r.seq
			o.tell(r)
			return nil
		})
		if err != nil {
			return err
		}
		o.answered.Store(int64(time.Since(base)))
		if left == 0 {
			return nil
		}
		q = query{Seq: o.seq + 1}
	}
}

func (o *ownLog) tell(r record) {
	ev, err := Decode(r.data)
	if err != nil {
		o.m.malformed.Inc()
		o.log.Error("own log holds what cannot be read", "lane", o.lane, "seq", r.seq, "err", err)
		return
	}
	o.known.add(key(ev))
	receiver := o.receiver()
	switch {
	case receiver != nil:
		receiver.Stored(ev)
	case !o.recalled:
		ev.Payload = nil
		if len(o.early) >= recallMax {
			o.early = append(o.early[:0], o.early[recallMax/2:]...)
		}
		o.early = append(o.early, ev)
	}
}

// recall hands out what was early, for the only time. Called with the lock held.
func (o *ownLog) recall(each func(*Event)) {
	for _, ev := range o.early {
		each(ev)
	}
	o.early, o.recalled = nil, true
}

// alive tells whether the log has answered lately.
func (o *ownLog) alive(within time.Duration) bool {
	return time.Since(base)-time.Duration(o.answered.Load()) < within
}

// trim removes the oldest tenth when the log is nearly full. The log itself would refuse what is
// new instead, because it may not replace an id; for a wedding the newest events are the ones that
// count.
func (o *ownLog) trim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trimEvery)
	defer cancel()
	conn := o.link.get()
	info, err := streamInfo(ctx, conn, o.lane)
	if err != nil {
		return err
	}
	state := info.State
	if state.Bytes < uint64(o.cfg.MaxBytes)/10*9 || state.Msgs == 0 {
		return nil
	}
	upTo := state.FirstSeq + (state.LastSeq-state.FirstSeq)/10 + 1
	o.m.trimmed.Inc()
	o.log.Warn("own log is nearly full: removing its oldest tenth; raise the limit, or keep events for a shorter time",
		"lane", o.lane, "bytes", state.Bytes, "limit", o.cfg.MaxBytes, "oldest", state.FirstTime)
	return purgeBefore(ctx, conn, o.lane, upTo)
}
