package drill

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"github.com/wedsync/wedsync/reports"
)

// calmGC makes servers collect garbage a quarter as often: with five processes on few cores, each
// collection stalls somebody. For the minutes of a drill they stay far below 200 MB.
const calmGC = 400

// rareGC is for the generator: while a collection marks, whoever allocates has to help, and the schedule of the
// messages stands still. A flood fills its heap fastest; that stays below a gigabyte.
const rareGC = "GOGC=1000"

func (r *run) startCluster(ctx context.Context) error {
	network, err := r.cfg.Network(r.profile)
	if err != nil {
		return err
	}
	r.manifest.Network = describe(network, r.profile)
	r.progress.note("starting %d regions (%s)", len(r.drill.Topology.Regions), network.Describe())
	args, err := r.serverArgs()
	if err != nil {
		return errors.Join(err, network.Close())
	}
	topology := r.drill.Topology
	r.cluster, err = cluster.Start(ctx, cluster.Config{
		ExtraArgs: args, Regions: topology.Regions, NodesPerRegion: topology.Nodes, MaxNodesPerRegion: topology.MaxNodes, Profile: r.profile, Network: network,
		Dir: r.work, ServerBinary: r.serverBin, JWTSecret: secret(), ClusterSecret: secret(), Flaw: r.cfg.Flaw,
		Env: []string{fmt.Sprintf("GOGC=%d", cmp.Or(topology.GC, calmGC))}, Logger: r.cfg.Logger,
	})
	if err != nil {
		return errors.Join(err, network.Close())
	}
	if err := r.cluster.WaitReady(ctx); err != nil {
		return errors.Join(err, r.cluster.Close())
	}
	return nil
}

// serverArgs are the flags of the servers, the drill's own last: the last one counts.
func (r *run) serverArgs() ([]string, error) {
	args := slices.Clone(cluster.Unlimited)
	if file := r.drill.Topology.Scaling; file != "" {
		path, err := filepath.Abs(r.drill.path(file))
		if err != nil {
			return nil, fmt.Errorf("finding the scaling policy: %w", err)
		}
		args = append(args, "--scaling", path)
	}
	return append(args, r.drill.Topology.Args...), nil
}

// secret returns a fresh secret: each run has its own, so none is worth stealing.
func secret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (r *run) startLoad(ctx context.Context) (err error) {
	socket := filepath.Join(r.work, "control.sock")
	if r.control, err = listenControl(ctx, socket); err != nil {
		return err
	}
	env := make(map[string]string, len(r.drill.Scenario.Env))
	for _, from := range []map[string]string{r.drill.Scenario.Env, r.cfg.Env} {
		for k, v := range from {
			env[k] = v
		}
	}
	token, err := r.cluster.Token("authenticated")
	if err != nil {
		return errors.Join(err, r.control.close())
	}
	r.generator, err = startGenerator(ctx, r.cluster.Network(), generatorConfig{
		Binary: r.k6Bin, Script: r.drill.path(r.drill.Scenario.Script), Env: env, Nodes: r.cluster.Places(),
		Token: token, Control: socket, OutDir: r.bundle,
		LogFile: filepath.Join(r.work, "k6.log"), Duration: r.drill.Longest(), Seed: r.cfg.Seed,
	})
	if err != nil {
		return errors.Join(err, r.control.close())
	}
	return nil
}

// stopLoad makes sure that the generator is gone and takes its exit code.
func (r *run) stopLoad(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.drill.Phases.Drain)+20*time.Second)
	defer cancel()
	// If it cannot be told, it has gone already or is killed below.
	_ = r.control.tell(command{Stop: true})
	code, err := r.generator.wait(ctx)
	r.manifest.GeneratorExit = code
	return errors.Join(err, r.control.close())
}

func (r *run) revertAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := r.driver.RevertAll(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrRevert, err)
	}
	return nil
}

// describe puts the network into the manifest.
func describe(n wan.Network, p wan.Profile) reports.Network {
	m := reports.Network{Kind: string(n.Kind()), Description: n.Describe(), Profile: p.Name, Source: p.Source,
		AccessNS: int64(p.Access), Facts: n.Facts()}
	for i, a := range p.Regions {
		for _, b := range p.Regions[i+1:] {
			m.RoundTrips = append(m.RoundTrips, reports.RoundTrip{A: a, B: b, NS: int64(p.RoundTrip(a, b))})
		}
	}
	return m
}
