package drill

import (
	"context"
	"fmt"

	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/cluster"
)

// scale lets the servers decide how many of them there are, if the drill has a policy for that. It returns what ends
// this; it may be called again.
func (r *run) scale(ctx context.Context) (stop func(), err error) {
	if r.drill.Topology.Scaling == "" {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	scaler, err := cluster.NewScaler(cluster.ScalerConfig{Cluster: r.cluster, Changed: func(c cluster.Change) { r.scaled(ctx, c) }, Logger: r.cfg.Logger})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("following the servers' wishes: %w", err)
	}
	done := make(chan struct{})
	go func() { // ended by stop
		defer close(done)
		scaler.Run(ctx)
	}()
	return func() { cancel(); <-done }, nil
}

// scaled notes a change. A node that could not be added, or that had to be killed, costs the drill its PASS.
func (r *run) scaled(ctx context.Context, c cluster.Change) {
	r.progress.note("scaling: %s", c)
	entry := journal.Entry{Event: journal.EventNote, Regions: []string{c.Region}, Detail: map[string]any{"text": "scaling: " + c.String()}}
	if c.Err != nil && ctx.Err() == nil {
		r.trouble("scaling: %s", c)
	}
	if err := r.journal.Append(entry); err != nil {
		r.trouble("scaling: %s: not in the journal: %v", c, err)
	}
}
