// Package xk6wedsync brings weddings to k6: the JavaScript module k6/x/wedsync and the output wedsync.
//
//	import { Wedding } from 'k6/x/wedsync';
//
// One virtual user plays one wedding. JavaScript tells the story, Go (package fleet) holds the sockets, receives, counts
// and measures; no JavaScript runs per message received. This package is the seam between the two: it reads options
// strictly, turns Go calls into promises, observations into k6 samples, and --out wedsync=DIR into raw/ files.
//
// What k6 asks of an extension, and where it is kept:
//   - JavaScript runs on the virtual user's goroutine only. Everything that waits is a promise (promise.go), and each is
//     settled exactly once, or k6 would wait for it for ever.
//   - When an iteration ends, by itself or by a signal, JavaScript stops at once. The fleet closes the sockets from Go,
//     and a pending promise is settled only after that, so that k6 waits for it.
//   - No sample may follow the end of the test. The collector (collector.go) pushes under the iteration's context.
package xk6wedsync

import (
	"os"

	"go.k6.io/k6/js/common"
	"go.k6.io/k6/js/modules"
	"go.k6.io/k6/output"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

func init() {
	// The output and the modules of all virtual users share one fleet: they are one run.
	shared := fleet.New(fleet.FleetConfig{Control: os.Getenv("WEDSYNC_CONTROL")})
	modules.Register("k6/x/wedsync", New(shared))
	output.RegisterExtension("wedsync", func(p output.Params) (output.Output, error) { return newOutput(p, shared) })
}

// RootModule is the module once per process.
type RootModule struct{ fleet *fleet.Fleet }

var _ modules.Module = &RootModule{}

// New returns the module of a fleet.
func New(f *fleet.Fleet) *RootModule { return &RootModule{fleet: f} }

// module is the module once per virtual user, and for each of the users that k6 only initialises. All of it belongs to
// the user's goroutine.
type module struct {
	vu      modules.VU
	fleet   *fleet.Fleet
	metrics *instruments
	exports modules.Exports
}

// NewModuleInstance is called by k6.
func (r *RootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	m := &module{vu: vu, fleet: r.fleet}
	var err error
	if m.metrics, err = register(vu.InitEnv().Registry); err != nil {
		common.Throw(vu.Runtime(), err)
	}
	m.exports = modules.Exports{Named: map[string]any{"Wedding": m.newWedding, "rehearse": m.rehearse, "wait": m.wait}}
	return m
}

// Exports is called by k6, repeatedly.
func (m *module) Exports() modules.Exports { return m.exports }
