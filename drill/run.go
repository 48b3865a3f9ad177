package drill

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/chaos"
	"github.com/wedsync/wedsync/chaos/experiment"
	"github.com/wedsync/wedsync/chaos/journal"
	"github.com/wedsync/wedsync/chaos/local"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
	"github.com/wedsync/wedsync/internal/clock"
	"github.com/wedsync/wedsync/reports"
	"github.com/wedsync/wedsync/reports/audit"
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

// calmGC makes servers collect garbage a quarter as often: with five processes on few cores, each
// collection stalls somebody. They stay far below 200 MB.
const calmGC = "GOGC=400"

// rareGC is for the generator: while a collection marks, whoever allocates has to help, and the schedule of the
// messages stands still. A flood fills its heap fastest; that stays below a gigabyte.
const rareGC = "GOGC=1000"

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

// memory is where Linux keeps files in memory, and memoryNeeded what a drill leaves there at the most, with room to spare.
const (
	memory       = "/dev/shm"
	memoryNeeded = 512 << 20
)

// makeWork makes the directory of the cluster's data, in memory if the drill asks for it and there is enough.
func (r *run) makeWork() (err error) {
	where := ""
	if r.drill.Topology.Data == "memory" {
		var fs unix.Statfs_t
		if err := unix.Statfs(memory, &fs); err == nil && int64(fs.Bavail)*fs.Bsize >= memoryNeeded {
			where = memory
			r.note("the servers' logs are kept in memory, since all regions share this machine's disk: this run shows nothing about disks or power failures")
		} else {
			r.note("the servers' logs are on this machine's one disk, because " + memory + " is too small: a slow fsync stalls all regions at once")
		}
	}
	if where == "" {
		where = os.TempDir()
	}
	if err := removeAbandoned(where); err != nil {
		return err
	}
	prefix := workPrefix
	if r.cfg.Keep {
		prefix = keptPrefix
	}
	if r.work, err = os.MkdirTemp(where, prefix); err != nil {
		return fmt.Errorf("making a working directory: %w", err)
	}
	r.lock, err = lockWork(r.work)
	return err
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
		Env: []string{calmGC}, Logger: r.cfg.Logger,
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

// audit keeps what the log of every node holds at the end.
func (r *run) audit(ctx context.Context) (err error) {
	token, err := r.cluster.Token("service_role")
	if err != nil {
		return err
	}
	w, err := audit.Create(filepath.Join(r.raw, "log.jsonl.gz"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := r.recall(ctx); err != nil {
		return err
	}
	return auditLogs(ctx, r.cluster.Ever(), token, w)
}

// recall starts the nodes again that were removed: what their logs held, and since when, counts too.
func (r *run) recall(ctx context.Context) error {
	for {
		members := r.cluster.Nodes()
		i := slices.IndexFunc(r.cluster.Ever(), func(n *cluster.Node) bool { return !slices.Contains(members, n) })
		if i < 0 {
			return nil
		}
		if _, err := r.cluster.Add(ctx, r.cluster.Ever()[i].Region); err != nil {
			return fmt.Errorf("starting a removed node again, to read its log: %w", err)
		}
	}
}

// Plan says what a run would do, for --dry-run.
func Plan(d *Drill, out io.Writer) error {
	experiments, err := d.experiments()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s\n", d.Metadata.Name, d.Title)
	fmt.Fprintf(out, "  topology   %v, %d node(s) each\n", d.Topology.Regions, d.Topology.Nodes)
	fmt.Fprintf(out, "  scenario   %s %v\n", d.Scenario.Script, d.Scenario.Env)
	if d.Topology.MaxNodes > d.Topology.Nodes {
		fmt.Fprintf(out, "             up to %d per region\n", d.Topology.MaxNodes)
	}
	if len(d.Topology.Args) > 0 {
		fmt.Fprintf(out, "  servers    %s\n", strings.Join(d.Topology.Args, " "))
	}
	if d.Topology.Scaling != "" {
		fmt.Fprintf(out, "  scaling    as the servers ask by %s\n", d.Topology.Scaling)
	}
	if !d.faulty() {
		fmt.Fprintln(out, "  fault      none")
	}
	nodes := d.nodes()
	for _, e := range experiments {
		targets, err := local.Match(e, nodes)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  experiment %s %s (%s) on %s, %d time(s)\n", e.Kind, e.Name, e.Action, targets, d.Repeat)
	}
	for _, a := range d.Actions {
		effect, err := local.MatchAction(d.local(a), nodes)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  action     %s after %v: %s, %d time(s)\n", d.local(a).Name(), time.Duration(a.Delay), effect, d.Repeat)
	}
	fmt.Fprintf(out, "  phases     warmup <=%v, before %v, (fault %v, recovery <=%v, after %v) x %d, drain <=%v\n",
		time.Duration(d.Phases.Warmup), time.Duration(d.Phases.Before), time.Duration(d.Phases.Fault), time.Duration(d.Phases.Recovery),
		time.Duration(d.Phases.After), d.Repeat, time.Duration(d.Phases.Drain))
	for _, c := range d.Claims {
		fmt.Fprintf(out, "  claim      %s: %s\n", c.ID, c.Says)
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
