package xk6wedsync

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.k6.io/k6/metrics"
	"go.k6.io/k6/output"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
	"github.com/wedsync/wedsync/xk6-wedsync/journal"
)

// lastGoodbye bounds how long the output waits for weddings whose script forgot to leave.
const lastGoodbye = 10 * time.Second

// out is --out wedsync=DIR: it opens the books, the weddings write into them. k6's own samples pass it by.
type out struct {
	fleet *fleet.Fleet
	dir   string
	seed  uint64
	books fleet.Books
	abort func(error)
	watch *output.PeriodicFlusher
}

var _ output.WithTestRunStop = &out{}

func newOutput(p output.Params, f *fleet.Fleet) (output.Output, error) {
	if p.ConfigArgument == "" {
		return nil, errors.New("the output wedsync needs a folder: --out wedsync=DIR")
	}
	o := &out{fleet: f, dir: p.ConfigArgument}
	if s := p.Environment["SEED"]; s != "" {
		var err error
		if o.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			return nil, fmt.Errorf("SEED=%s should be a whole number: %w", s, err)
		}
	}
	return o, nil
}

// Description is shown by k6.
func (o *out) Description() string { return fmt.Sprintf("wedsync (%s/%s)", o.dir, journal.HistoryFile) }

// SetTestRunStopCallback is called by k6 before Start.
func (o *out) SetTestRunStopCallback(stop func(error)) { o.abort = stop }

// Start opens the books.
func (o *out) Start() error {
	history, err := journal.Open(o.dir, o.seed)
	if err != nil {
		return err
	}
	latency, err := journal.OpenLatency(o.dir)
	if err != nil {
		return errors.Join(err, history.Close())
	}
	o.books = fleet.Books{History: history, Latency: latency}
	if err := o.fleet.Open(&o.books); err != nil {
		return errors.Join(err, history.Close(), latency.Close())
	}
	o.watch, err = output.NewPeriodicFlusher(time.Second, o.check)
	return err
}

// check ends a run that loses its history: it could prove nothing any more.
func (o *out) check() {
	if n := o.books.History.Dropped(); n > 0 && o.abort != nil {
		o.abort(fmt.Errorf("the journal in %s lost %d records: the disk is slower than the run", o.dir, n))
	}
}

// AddMetricSamples is called by k6; nothing of it is evidence.
func (o *out) AddMetricSamples([]metrics.SampleContainer) {}

// Stop closes the books when every wedding has ended.
func (o *out) Stop() error {
	o.watch.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), lastGoodbye)
	defer cancel()
	return errors.Join(o.fleet.Shut(ctx), o.books.History.Close(), o.books.Latency.Close())
}
