package auth

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/wedsync/wedsync/server/watch"
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
	var inForce atomic.Pointer[rules]
	inForce.Store(&first)
	f := watch.File{Path: path, Kind: "policy", Limit: maxPolicy, Every: pollEvery, Logger: logger,
		Use: func(text []byte) error {
			rs, err := parseRules(path, text)
			if err != nil {
				return err
			}
			inForce.Store(&rs)
			changed()
			return nil
		}}
	// Owner: the context of Watch; ends with it.
	go f.Run(ctx, text)
	return func(claims *Claims, topic string, ext Extension, act Action) bool {
		return inForce.Load().allows(claims, topic, ext, act)
	}, nil
}
