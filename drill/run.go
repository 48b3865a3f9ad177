package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wedsync/wedsync/chaos"
	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/chaos/local"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/reports"
)

// Config is what a run needs besides the drill itself.
type Config struct {
	// Network makes the network that connects the regions of a profile.
	Network func(wan.Profile) (wan.Network, error)
	// EvidenceDir receives one bundle per drill, in a directory named after it.
	EvidenceDir string
	// BinDir holds wedsync-server and k6; empty: the directory of this program.
	BinDir string
	// Seed makes the choices of scenario and faults repeatable.
	Seed uint64
	// Flaw breaks the server on purpose (wedsync-server --flaw), to see the drill fail.
	Flaw string
	// Env overrides the scenario's environment.
	Env map[string]string
	// Keep leaves the servers' and the generator's logs and data where they were, and says where.
	Keep bool
	// Command is the command line, for the manifest.
	Command []string

	Out      io.Writer // progress
	Terminal bool      // Out is a terminal
	Logger   *slog.Logger
}

// ErrRevert says that a fault may still be in force.
var ErrRevert = errors.New("a fault could not be reverted")

// steadyFor is how long the steady state must last to count as one.
const steadyFor = 2 * time.Second

// Run runs one drill and returns the directory of its bundle. An error means that there is no
// bundle to judge; whether the claims hold is the bundle's to say.
func Run(ctx context.Context, d *Drill, cfg Config) (bundle string, err error) {
	r, err := prepare(d, cfg)
	if err != nil {
		return "", err
	}
	defer r.lock.Close() // nothing was written to it
	if !cfg.Keep {
		defer os.RemoveAll(r.work) // sockets, data and logs of a cluster that is gone; the bundle is elsewhere
	}
	if err := r.play(ctx); err != nil {
		return "", err
	}
	if cfg.Keep {
		r.progress.note("logs and data are kept in %s", r.work)
	}
	r.progress.note("writing the report")
	if err := reports.WriteManifest(r.bundle, r.manifest); err != nil {
		return "", err
	}
	if err := reports.Write(r.bundle); err != nil {
		return "", fmt.Errorf("writing the report of %s: %w", d.Metadata.Name, err)
	}
	r.progress.end()
	return r.bundle, nil
}

// run is one drill while it runs.
type run struct {
	drill       *Drill
	cfg         Config
	experiments []*experiment.Experiment
	profile     wan.Profile
	serverBin   string
	k6Bin       string
	bundle, raw string   // the bundle and its raw/ directory
	work        string   // cluster data, logs and the control socket
	lock        *os.File // marks work as in use
	manifest    reports.Manifest
	progress    *progress

	cluster   *cluster.Cluster
	control   *control
	generator *generator

	mu    sync.Mutex // guards the following, and manifest.Trouble
	notes []string   // for the manifest

	journal *journal.Writer
	driver  *local.Driver
	sampler *sampler
}

// prepare checks everything that can be checked before anything is started.
func prepare(d *Drill, cfg Config) (*run, error) {
	r := &run{drill: d, cfg: cfg, progress: newProgress(cfg.Out, cfg.Terminal)}
	var err error
	if r.experiments, err = d.experiments(); err != nil {
		return nil, err
	}
	if r.profile, err = d.profile(); err != nil {
		return nil, err
	}
	if r.serverBin, err = binary(cfg.BinDir, "wedsync-server"); err != nil {
		return nil, err
	}
	if r.k6Bin, err = binary(cfg.BinDir, "k6"); err != nil {
		return nil, err
	}
	if err := r.makeWork(); err != nil {
		return nil, err
	}
	r.bundle = filepath.Join(cfg.EvidenceDir, d.Metadata.Name)
	r.raw = filepath.Join(r.bundle, "raw")
	// A bundle is of one run: what an earlier one left is not to be mixed with it.
	if err := os.RemoveAll(r.bundle); err != nil {
		return nil, fmt.Errorf("removing the previous bundle: %w", err)
	}
	if err := os.MkdirAll(r.raw, 0o755); err != nil {
		return nil, fmt.Errorf("making the bundle: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.bundle, "drill.yaml"), d.Source, 0o644); err != nil {
		return nil, fmt.Errorf("keeping the drill in its bundle: %w", err)
	}
	return r, nil
}

// note keeps something that a reader of the report should know.
func (r *run) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, text)
}

// trouble keeps something that went wrong with the drill itself, and costs it its PASS.
func (r *run) trouble(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifest.Trouble = append(r.manifest.Trouble, fmt.Sprintf(format, args...))
}

func (d *Drill) experiments() ([]*experiment.Experiment, error) {
	if d.Experiment == "" {
		return nil, nil
	}
	return chaos.Load(d.path(d.Experiment))
}

func (d *Drill) profile() (wan.Profile, error) {
	profile := wan.DefaultProfile()
	if d.Topology.WAN != "" {
		var err error
		if profile, err = wan.LoadProfile(d.path(d.Topology.WAN)); err != nil {
			return wan.Profile{}, err
		}
	}
	return profile.Only(d.Topology.Regions...)
}

func binary(dir, name string) (string, error) {
	if dir == "" {
		return sibling(name)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not in %s: run `make build`: %w", name, dir, err)
	}
	return path, nil
}

// play starts everything, plays the phases, and takes everything down again, whatever happens.
func (r *run) play(ctx context.Context) (err error) {
	begun := time.Now()
	r.manifest = reports.NewManifest(reports.Run{
		Drill: r.drill.Metadata.Name, Seed: r.cfg.Seed, Command: r.cfg.Command, Flaw: r.cfg.Flaw, Start: clock.Read(), K6: r.k6Bin,
	})
	r.progress.begin(r.drill.Metadata.Name, begun.Add(r.drill.Longest()+time.Duration(r.drill.Phases.Drain)+10*time.Second))

	if err := r.startCluster(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.cluster.Close()) }()

	if r.journal, err = journal.Create(filepath.Join(r.raw, "chaos.jsonl")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.journal.Close()) }()
	r.driver = local.New(r.cluster, r.journal, r.cfg.Seed)
	if r.sampler, err = startSampler(ctx, filepath.Join(r.raw, "nodes.jsonl"), r.cluster.Ever); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.sampler.close()) }()
	stopScaling, err := r.scale(ctx)
	if err != nil {
		return err
	}
	defer stopScaling()

	if slices.ContainsFunc(r.drill.Actions, func(a Action) bool { return a.Kind == local.CPUQuota }) {
		r.note("processor time was limited by " + local.QuotaMechanism())
	}
	if err := r.startLoad(ctx); err != nil {
		return err
	}
	// On every way out, and also when ctx has ended: faults first, then the load.
	defer func() { err = errors.Join(err, r.stopLoad(context.WithoutCancel(ctx))) }()
	defer func() { err = errors.Join(err, r.revertAll(context.WithoutCancel(ctx))) }()

	if err := r.phases(ctx); err != nil {
		return err
	}
	if err := r.drain(ctx); err != nil {
		return err
	}
	stopScaling()
	if err := r.sampler.close(); err != nil {
		return err
	}
	if err := r.audit(ctx); err != nil {
		return err
	}
	if c := r.cluster.Network().Counters(); c.Late > 0 || c.Overrun > 0 {
		r.note(fmt.Sprintf(
			"the machine was busy: the network delivered %d packets over 5 ms late, the worst by %v, and lost %d before it could look at them",
			c.Late, c.MaxLate.Round(time.Millisecond), c.Overrun))
	}
	for _, n := range r.cluster.Ever() {
		r.manifest.Nodes = append(r.manifest.Nodes, reports.Node{Name: n.Name, Region: n.Region})
	}
	r.manifest.End = clock.Read()
	r.manifest.Notes = r.notes
	return nil
}
