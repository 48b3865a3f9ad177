// Package watch follows a small file that people or programs edit while a node runs.
//
// The file is looked at again and again; its content is a surer sign of a change than its times. New
// content counts when it has been found twice, because half of a file that is being written can be
// valid, and say something else than the whole; and it counts if whoever uses the file accepts it.
// Otherwise what was in use stays in use, and the log says so, once.
package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// File is a file to follow. All fields are needed.
type File struct {
	Path  string
	Kind  string        // what the file is, for the log: "policy"
	Limit int64         // bytes; a larger file cannot be used
	Every time.Duration // how often it is looked at
	// Use is given new content, by the goroutine of Run. An error leaves that of before in use.
	Use    func(text []byte) error
	Logger *slog.Logger
}

// Run follows the file until ctx ends. inUse is what it held when it was read first.
func (f *File) Run(ctx context.Context, inUse []byte) {
	w := watcher{File: f, text: inUse}
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look()
		}
	}
}

// watcher is what Run remembers.
type watcher struct {
	*File
	text    []byte // in use
	half    []byte // what the file held when it was looked at last, if that was something else
	problem string // why the file cannot be used, "" if it can
}

func (w *watcher) look() {
	text, err := Read(w.Path, w.Limit)
	if err != nil {
		w.complain(err)
		return
	}
	if bytes.Equal(text, w.text) {
		if w.problem != "" {
			w.problem = ""
			w.Logger.Info("the file of the "+w.Kind+" is again what it was", "file", w.Path)
		}
		w.half = nil
		return
	}
	if w.half == nil || !bytes.Equal(text, w.half) {
		w.half = text
		return
	}
	if err := w.Use(text); err != nil {
		w.complain(err)
		return
	}
	w.text, w.half, w.problem = text, nil, ""
	w.Logger.Info("the "+w.Kind+" has changed", "file", w.Path)
}

// complain says once what is wrong with the file.
func (w *watcher) complain(err error) {
	if w.problem == err.Error() {
		return
	}
	w.problem = err.Error()
	w.Logger.Error("THE NEW "+strings.ToUpper(w.Kind)+" IS NOT USED, that of before stays in force: correct the file", "file", w.Path, "err", err)
}

var errTooLarge = errors.New("it is too large")

// Read reads a file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, errTooLarge, limit)
	}
	return text, err
}
