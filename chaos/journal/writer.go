package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/wedsync/wedsync/internal/clock"
)

// Writer appends entries to a journal file. It is safe for concurrent use.
//
// A failed write sticks: from then on every Append fails with the same error, because a fault
// injected without its line would be a fault that nobody knows about.
type Writer struct {
	mu sync.Mutex
	// mu guards the following.
	f          *os.File
	seq        uint64
	lastT      int64
	injections uint64
	lives      lives
	phase      Phase
	cycle      int
	broken     error
	sync       func() error // f.Sync; tests count it
}

// Create makes a new journal file. A file that is there already is an error: it may be the only
// record of a fault that was never reverted.
func Create(path string) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("creating the chaos journal: %w", err)
	}
	// Without this the name itself could be lost with the power.
	if err := syncDir(filepath.Dir(path)); err != nil {
		f.Close()
		return nil, fmt.Errorf("creating the chaos journal %s: %w", path, err)
	}
	return &Writer{f: f, sync: f.Sync, lives: make(lives)}, nil
}

// NextInjection returns the number of a new injection.
func (w *Writer) NextInjection() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.injections++
	return w.injections
}

// Phase writes a phase line and makes phase and cycle the default of the lines that follow.
func (w *Writer) Phase(phase Phase, cycle int) error {
	return w.Append(Entry{Event: EventPhase, Phase: phase, Cycle: cycle})
}

// Append stamps e and writes it in one write call. It refuses what Read would refuse. When it returns, an intent, injected,
// reverting, reverted or revert-failed line is on the disk.
func (w *Writer) Append(e Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	if e.Phase == "" {
		e.Phase, e.Cycle = w.phase, w.cycle
	}
	if err := cmp.Or(e.check(), w.lives.check(&e)); err != nil {
		return fmt.Errorf("chaos journal: refusing a line: %w", err)
	}
	now := clock.Read()
	e.T, e.WallNS, e.Seq = max(now.MonoNS, w.lastT), now.WallNS, w.seq+1
	var line bytes.Buffer
	enc := json.NewEncoder(&line) // ends the line with a newline
	enc.SetEscapeHTML(false)      // people read this: "targets < 1", not "targets \u003c 1"
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("chaos journal: encoding a %s line: %w", e.Event, err)
	}
	if _, err := w.f.Write(line.Bytes()); err != nil {
		w.broken = fmt.Errorf("chaos journal: writing a %s line (is the disk full?): %w", e.Event, err)
		return w.broken
	}
	if e.Event.durable() {
		if err := w.sync(); err != nil {
			w.broken = fmt.Errorf("chaos journal: bringing a %s line to the disk: %w", e.Event, err)
			return w.broken
		}
	}
	w.seq, w.lastT = e.Seq, e.T
	w.lives.step(&e)
	if e.Event == EventPhase {
		w.phase, w.cycle = e.Phase, e.Cycle
	}
	return nil
}

// Close brings everything to the disk and closes the file. Append fails afterwards.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return nil
	}
	err := w.sync()
	if cerr := w.f.Close(); err == nil {
		err = cerr
	}
	w.f = nil
	if w.broken == nil {
		w.broken = fmt.Errorf("chaos journal: %w", os.ErrClosed)
	}
	if err != nil {
		return fmt.Errorf("closing the chaos journal: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
