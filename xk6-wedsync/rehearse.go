package xk6wedsync

import (
	"context"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"

	"github.com/wedsync/wedsync/xk6-wedsync/rehearsal"
)

// rehearse(name, …) opens a stand-in for the servers in this very process, one region per name, until the iteration
// ends. It returns what new Wedding takes as regions: a script can be tried without any server.
func (m *module) rehearse(call sobek.FunctionCall) sobek.Value {
	rt := m.vu.Runtime()
	if m.vu.State() == nil {
		common.Throw(rt, common.NewInitContextError(
			"rehearse() opens sockets: call it in a scenario's function, not at the top of the script"))
	}
	var names []string
	for _, v := range call.Arguments {
		names = append(names, v.String())
	}
	if len(names) == 0 {
		names = []string{"eu-west", "us-east", "ap-southeast"}
	}
	s, err := rehearsal.Start(names...)
	if err != nil {
		common.Throw(rt, err)
	}
	context.AfterFunc(m.vu.Context(), s.Close)
	regions := rt.NewObject()
	urls := s.URLs()
	for _, name := range names {
		if err := regions.Set(name, urls[name]); err != nil {
			common.Throw(rt, err)
		}
	}
	return regions
}
