package xk6wedsync

import (
	"context"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

// promise runs op off the event loop and settles a promise with what it returns. When the iteration is over, it settles
// only after the sockets of the wedding, if it is about one, are closed: k6 waits for the promise, and so for them. Then, if given, is called on
// the event loop just before.
func (m *module) promise(w *fleet.Wedding, op func(context.Context) (any, error), then ...func()) *sobek.Promise {
	rt := m.vu.Runtime()
	p, resolve, reject := rt.NewPromise()
	settle := m.vu.RegisterCallback() // must be called exactly once
	ctx := m.vu.Context()
	go func() { // owner: the promise, which k6 waits for; ends with op, which ends with ctx; no queue
		result, err := op(ctx)
		if w != nil && ctx.Err() != nil {
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

// wait(duration) resolves to true after that time, or to false as soon as the drill says stop: unlike sleep() it lets the
// drill end a script between two weddings.
func (m *module) wait(call sobek.FunctionCall) sobek.Value {
	rt := m.vu.Runtime()
	if m.vu.State() == nil {
		common.Throw(rt, common.NewInitContextError("wait() belongs into a scenario's function, not at the top of the script"))
	}
	d, err := duration(call.Argument(0))
	if err != nil {
		common.Throw(rt, fmt.Errorf("wait: the time %w", err))
	}
	return rt.ToValue(m.promise(nil, func(ctx context.Context) (any, error) { return m.fleet.Wait(ctx, d), nil }))
}
