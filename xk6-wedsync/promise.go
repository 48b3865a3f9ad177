package xk6wedsync

import (
	"context"

	"github.com/grafana/sobek"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

// promise runs op off the event loop and settles a promise with what it returns. When the iteration is over, it settles
// only after the wedding's sockets are closed: k6 waits for the promise, and so for them. Then, if given, is called on
// the event loop just before.
func (m *module) promise(w *fleet.Wedding, op func(context.Context) (any, error), then ...func()) *sobek.Promise {
	rt := m.vu.Runtime()
	p, resolve, reject := rt.NewPromise()
	settle := m.vu.RegisterCallback() // must be called exactly once
	ctx := m.vu.Context()
	go func() { // owner: the promise, which k6 waits for; ends with op, which ends with ctx; no queue
		result, err := op(ctx)
		if ctx.Err() != nil {
			<-w.Ended()
		}
		settle(func() error {
			for _, f := range then {
				f()
			}
			if err != nil {
				return reject(rt.NewGoError(err))
			}
			return resolve(result)
		})
	}()
	return p
}
