package auth

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Watch reads a policy file, and again whenever its content changes, until ctx ends. The policy that
// it returns is always the newest valid one: while the file is broken or gone, the rules of before
// stay in force, which is logged as an error. After each change of the rules it calls changed, from a
// goroutine of its own, so that rights that were granted can be asked for again.
//
// An error means that the file cannot be used now; then nothing is watched.
func Watch(ctx context.Context, path string, logger *slog.Logger, changed func()) (Policy, error) {
	first, text, err := loadRules(path)
	if err != nil {
		return nil, err
	}
	w := &watcher{path: path, log: logger, changed: changed, text: text}
	w.rules.Store(&first)
	// Owner: the context of Watch; ends with it.
	go w.run(ctx)
	return func(claims *Claims, topic string, ext Extension, act Action) bool {
		return w.rules.Load().allows(claims, topic, ext, act)
	}, nil
}

type watcher struct {
	path    string
	log     *slog.Logger
	changed func()
	rules   atomic.Pointer[rules]

	// Owned by run.
	text    []byte // of the rules in force
	half    []byte // what the file held when it was looked at last, if that was something else
	problem string // why the file cannot be used, "" if it can
}

func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
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

// look reads the file, which is small: its content is a surer sign of a change than its times. New
// content counts when it has been found twice, because half of a file that is being written can be
// valid, and say something else than the whole.
func (w *watcher) look() {
	text, err := readFile(w.path, maxPolicy)
	if err != nil {
		w.complain(err)
		return
	}
	if bytes.Equal(text, w.text) {
		if w.problem != "" {
			w.problem = ""
			w.log.Info("the policy file is again what it was", "policy", w.path)
		}
		w.half = nil
		return
	}
	if w.half == nil || !bytes.Equal(text, w.half) {
		w.half = text
		return
	}
	rs, err := parseRules(w.path, text)
	if err != nil {
		w.complain(err)
		return
	}
	w.text, w.half, w.problem = text, nil, ""
	w.rules.Store(&rs)
	w.log.Info("the policy has changed", "policy", w.path, "rules", len(rs))
	w.changed()
}

// complain says once what is wrong with the file.
func (w *watcher) complain(err error) {
	if w.problem == err.Error() {
		return
	}
	w.problem = err.Error()
	w.log.Error("THE NEW POLICY IS NOT USED, the rules of before stay in force: correct the file", "policy", w.path, "err", err)
}
