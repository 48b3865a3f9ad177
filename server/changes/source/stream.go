package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/server/changes/source/pgoutput"
)

const (
	// reportEvery is how often PostgreSQL hears what is confirmed; a quarter of ReleaseAfter if that is less.
	reportEvery = 500 * time.Millisecond
	// silent is how long PostgreSQL, which answers every report, may be silent, in ReleaseAfter. By then
	// it has given the slot to another reader, if it does not hear us either.
	silent = 5
	// asking is how many questions to Known may be under way.
	asking = 16
	// retryMost is the longest pause before a change is published, or asked for, again.
	retryMost = time.Second
	// overhead of a change in memory, beside its values.
	overhead = 256
)

// stream follows the slot over one line:
//
//	PostgreSQL ──> receive ──> window ──> queue ──> publish ──> hold (one per change) ──> window
//	           <── report  <── confirmed ────────────────────────────────────────────────────┘
//
// When publishing is slow the window is full and receive stops; report goes on.
type stream struct {
	cfg    *Config
	log    *slog.Logger
	m      *metrics
	line   *line
	window *window
	rows   *assembly
	queue  chan item     // as long as the window: sending to it never blocks
	report chan struct{} // of length 1: PostgreSQL wants a report at once
	bound  uint64        // transactions that committed before this may have had another reader
	asked  chan struct{} // of length asking: who asks Known puts one in

	publishing sync.Mutex // held while Publish is called
	troubled   atomic.Bool
}

// item is a change on its way.
type item struct {
	seq    uint64
	change *Change
	known  <-chan bool // nil: certainly not
}

func newStream(cfg *Config, log *slog.Logger, m *metrics, l *line, cat *catalog, bound uint64) *stream {
	return &stream{
		cfg: cfg, log: log, m: m, line: l, bound: bound,
		window: newWindow(cfg.Window, cfg.WindowBytes), rows: newAssembly(cfg.Slot, cat.describe),
		queue: make(chan item, cfg.Window), report: make(chan struct{}, 1), asked: make(chan struct{}, asking),
	}
}

// run returns what ended the stream. If that is ctx, everything under way is given time to be held,
// and PostgreSQL is told what is.
func (s *stream) run(ctx context.Context) error {
	life, end := context.WithCancelCause(ctx)
	defer end(nil)
	// What is published lives longer than life; nobody waits for it once the line is lost.
	afterlife, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer drop()
	reporting, stopReporting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReporting()

	var work, reports sync.WaitGroup
	work.Go(func() { end(s.receiveAll(life, &work)) })       // ends with life, interrupted below
	work.Go(func() { s.publishAll(life, afterlife, &work) }) // ends with life, within Publish with afterlife
	reports.Go(func() { end(s.reportAll(reporting)) })       // ends when all the work has
	<-life.Done()
	s.line.interrupt()
	orderly := ctx.Err() != nil
	if orderly {
		defer time.AfterFunc(s.cfg.Grace, drop).Stop()
	} else {
		drop()
	}
	work.Wait()
	stopReporting()
	reports.Wait()
	if !orderly {
		return context.Cause(life)
	}
	if _, open := s.window.oldest(); open {
		s.log.Info("changes were read and not held in time; the next reader publishes them again")
	}
	if err := s.line.finish(s.window.position()); err != nil {
		s.log.Debug("the last report may not have reached PostgreSQL; the next reader passes over what is known", "error", err)
	}
	return context.Cause(life)
}

// receiveAll reads messages until the line fails or is interrupted.
func (s *stream) receiveAll(ctx context.Context, work *sync.WaitGroup) error {
	for {
		m, err := s.line.receive()
		if err != nil {
			return err
		}
		if m.data == nil {
			s.keepalive(m)
			continue
		}
		msg, err := pgoutput.Decode(bytes.Clone(m.data)) // the change keeps it
		if err != nil {
			return fmt.Errorf("decoding the changes of slot %s: %w", s.cfg.Slot, err)
		}
		change, end, err := s.rows.take(ctx, m.lsn, msg)
		if err != nil {
			return fmt.Errorf("following slot %s: %w", s.cfg.Slot, err)
		}
		if end != 0 {
			s.window.mark(end)
		}
		if change == nil {
			continue
		}
		seq, err := s.window.admit(ctx, len(m.data)+overhead, change.CommitTime)
		if err != nil {
			return err
		}
		it := item{seq: seq, change: change}
		if change.LSN < s.bound {
			it.known = s.ask(ctx, change.ID, work)
		}
		s.queue <- it
	}
}

// keepalive moves the slot of an idle database on: what PostgreSQL has passed had nothing for us.
func (s *stream) keepalive(m received) {
	if !s.rows.open {
		s.window.mark(m.lsn)
	}
	if m.reply {
		select {
		case s.report <- struct{}{}:
		default: // one is coming
		}
	}
}

// ask finds out ahead whether a change is known, while those before it are being published.
func (s *stream) ask(ctx context.Context, id string, work *sync.WaitGroup) <-chan bool {
	answer := make(chan bool, 1)
	select {
	case s.asked <- struct{}{}:
	case <-ctx.Done():
		return answer
	}
	work.Go(func() { // ends with its answer or ctx; as many as s.asked is long
		defer func() { <-s.asked }()
		for pause := newPause(retryMost); ; {
			known, err := s.cfg.Known(ctx, id)
			if err == nil {
				answer <- known
				return
			}
			if ctx.Err() == nil {
				s.trouble("asking the own log for a change", id, err)
			}
			if !sleep(ctx, pause.NextBackOff()) {
				return
			}
		}
	})
	return answer
}

// publishAll publishes what is queued, in order, until ctx ends.
func (s *stream) publishAll(ctx, afterlife context.Context, work *sync.WaitGroup) {
	for {
		var it item
		select {
		case it = <-s.queue:
		case <-ctx.Done():
			return
		}
		known := false
		if it.known != nil {
			select {
			case known = <-it.known:
			case <-ctx.Done():
				return
			}
		}
		if known {
			s.m.known.Inc()
			s.window.hold(it.seq)
			continue
		}
		wait, err := s.publish(ctx, afterlife, it.change)
		switch {
		case errors.Is(err, ErrUnpublishable):
			s.refused(it, err)
		case err != nil:
			return
		default:
			s.m.published.Inc()
			work.Go(func() { s.hold(afterlife, it, wait) }) // ends when held, or with afterlife; as many as the window has room for
		}
	}
}

// publish calls Publish until it takes the change. It gives up with ctx, or if the change never can
// be published; Publish itself, and what it starts, has the longer life.
func (s *stream) publish(ctx, longer context.Context, c *Change) (wait func(context.Context) error, err error) {
	for pause := newPause(retryMost); ; {
		s.publishing.Lock()
		wait, err = s.cfg.Publish(longer, c)
		s.publishing.Unlock()
		if err == nil && wait == nil {
			wait = heldAlready
		}
		if err == nil || errors.Is(err, ErrUnpublishable) {
			return wait, err
		}
		if ctx.Err() == nil {
			s.trouble("publishing a change", c.ID, err)
		}
		if !sleep(ctx, pause.NextBackOff()) {
			return nil, err
		}
	}
}

func heldAlready(context.Context) error { return nil }

// hold waits until a published change is held, publishing it again whenever that fails. Those behind
// it have been published before it then, but nobody is given it twice: subscribers had it the first
// time.
func (s *stream) hold(ctx context.Context, it item, wait func(context.Context) error) {
	for pause := newPause(retryMost); ; {
		err := wait(ctx)
		if err == nil {
			if s.troubled.CompareAndSwap(true, false) {
				s.log.Info("changes are held again")
			}
			s.window.hold(it.seq)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, ErrUnpublishable) {
			s.trouble("holding a change", it.change.ID, err)
			if !sleep(ctx, pause.NextBackOff()) {
				return
			}
			s.m.repeated.Inc()
			wait, err = s.publish(ctx, ctx, it.change)
		}
		switch {
		case errors.Is(err, ErrUnpublishable):
			s.refused(it, err)
			return
		case err != nil:
			return
		}
	}
}

// refused passes over a change that can never be published.
func (s *stream) refused(it item, err error) {
	s.log.Error("a change of the database cannot be published and is not delivered", "id", it.change.ID,
		"schema", it.change.Schema, "table", it.change.Table, "type", it.change.Type, "error", err)
	s.m.refused.Inc()
	s.window.hold(it.seq)
}

// trouble logs the first of a row of errors.
func (s *stream) trouble(doing, id string, err error) {
	level := slog.LevelDebug
	if s.troubled.CompareAndSwap(false, true) {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, doing+" failed; trying again", "id", id, "error", err)
}

// reportAll keeps the line alive and PostgreSQL informed.
func (s *stream) reportAll(ctx context.Context) error {
	tick := time.NewTicker(min(reportEvery, s.cfg.ReleaseAfter/4))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.report:
		case <-ctx.Done():
			return nil
		}
		lag := 0.0
		if commit, ok := s.window.oldest(); ok {
			lag = max(0, time.Since(commit).Seconds())
		}
		s.m.lag.Set(lag)
		if silence := s.line.silence(); silence > silent*s.cfg.ReleaseAfter {
			return fmt.Errorf("PostgreSQL has been silent for %v", silence.Round(time.Second))
		}
		if err := s.line.report(s.window.position()); err != nil {
			return err
		}
	}
}
