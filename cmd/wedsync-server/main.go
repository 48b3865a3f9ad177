// Command wedsync-server runs one node of the reference server: a realtime service that stock
// @supabase/realtime-js clients can use, with an urgent lane that survives the loss of a region.
//
// One node on a laptop:
//
//	wedsync-server --dev
//
// Exit codes: 0 the node was asked to stop and did, 1 it failed, 2 the command line was wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/changes"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/telemetry"
)

// Exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

// description is the head of --help.
const description = `One node of the wedsync reference server.

Clients connect to ws://HOST:PORT/socket (or http://HOST:PORT/realtime/v1) with @supabase/realtime-js
or any client of the protocol. /healthz, /readyz and /metrics are on the same port.

Exit codes: 0 stopped as asked (SIGTERM or SIGINT), 1 failed while starting or running, 2 wrong usage.`

// cli is the command line.
type cli struct {
	Node      string   `help:"Unique name of this node, for example eu-west-1." placeholder:"NAME"`
	Region    string   `help:"Region of this node, for example eu-west." placeholder:"NAME"`
	Listen    string   `help:"Address for clients (HTTP and WebSocket), 127.0.0.1:4000 by default." placeholder:"HOST:PORT"`
	LogListen string   `help:"Address for the other nodes. With --dev a free port by default." placeholder:"HOST:PORT"`
	Peer      []string `help:"Another node; repeat for each." sep:"none" placeholder:"NODE@REGION=nats://HOST:PORT"`
	PeersFile string   `help:"File with further nodes, one NODE@REGION=nats://HOST:PORT in a line; # begins a comment. It is read again as it changes, so that nodes can come and go." placeholder:"FILE" type:"path"`
	Data      string   `help:"Directory of the log, kept over restarts. With --dev a temporary one by default." placeholder:"DIR" type:"path"`

	JWTSecret     string `name:"jwt-secret" help:"HMAC secret of the clients' tokens, at least 16 bytes. Better given in the environment." env:"WEDSYNC_JWT_SECRET" placeholder:"SECRET"`
	JWKS          string `name:"jwks" help:"File or URL of a JSON Web Key Set whose keys sign tokens too (RS, PS, ES, EdDSA, HS). It is read again as it changes." placeholder:"FILE|URL"`
	Policy        string `help:"File that says who may do what on private channels; see server/auth/default-policy.yaml for the default and the language. It is read again as it changes." placeholder:"FILE" type:"path"`
	PrivateOnly   bool   `help:"Refuse public channels."`
	ClusterSecret string `help:"Secret that the nodes share." env:"WEDSYNC_CLUSTER_SECRET" placeholder:"SECRET"`
	Dev           bool   `help:"Development on your own machine: secrets may be missing, and then any client is let in."`

	SupabaseLocal bool `help:"Stand in for a local Supabase: 127.0.0.1:54321 and :4100, its documented secret and keys, /auth/v1 with accounts in memory, everything allowed. Never listens on anything but the loopback."`

	Hierarchy             []string `help:"First segment of the topics that are trees: whoever joins one receives what is published below it. \"none\" for none." default:"wedding" placeholder:"NAME"`
	Database              string   `help:"PostgreSQL whose changes clients can subscribe to; logical decoding must be on." env:"WEDSYNC_DATABASE" placeholder:"URL"`
	DatabaseSlot          string   `help:"Replication slot, shared by all nodes." default:"wedsync" placeholder:"NAME"`
	DatabasePublication   string   `help:"Publication with the tables that can be subscribed to." default:"supabase_realtime" placeholder:"NAME"`
	InstallRealtimeSchema bool     `help:"Create what broadcasts from the database need in it (schema realtime, its functions, the roles), then start."`

	EscalateAfter time.Duration `help:"How long the members of a room have to confirm an urgent message before an escalation is published; 0: never." default:"30s"`
	Scaling       string        `help:"Policy of how many nodes each region should have (docs/scaling.md). It is read again as it changes." placeholder:"FILE" type:"path"`

	limits `embed:""`

	Sync             string        `help:"When the log is on disk: always (before every ok) or interval (soon after; faster, a power cut can lose it)." enum:"always,interval" default:"always"`
	LogMaxAge        time.Duration `help:"How long the log keeps an event, for those who come back; at least 10m." default:"72h"`
	LogMaxBytes      int64         `help:"Bytes that the log of the urgent and of the ordinary lane may have, each. The oldest tenth goes when it is nearly full. Every event in the log costs about 150 bytes of memory." default:"1073741824"`
	ErrorBackoff     time.Duration `help:"How long a refused connection waits for its answer." default:"2s"`
	JoinErrorBackoff time.Duration `help:"How long a refused join waits for its answer." default:"5s"`
	DrainBatch       int           `help:"Sockets that are sent elsewhere at once when the node stops." default:"100"`
	DrainPause       time.Duration `help:"Pause between two batches." default:"100ms"`
	ShutdownGrace    time.Duration `help:"How long a stop may take: to move the clients, hand the log over and end in order. Whoever stops the node should wait somewhat longer before it kills." default:"25s"`
	LogFormat        string        `help:"Format of the log lines on standard error: json or text." enum:"json,text" default:"text"`
	LogLevel         slog.Level    `help:"Least level that is logged: DEBUG, INFO, WARN or ERROR." default:"INFO"`
	Flaw             string        `help:"Misbehave on purpose, to see a checker fail: drop-urgent:1000, delay-urgent:1000:300ms, twice-urgent:1000 or ack-early." placeholder:"SPEC"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything that it touches as parameters.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	left := -1 // set when kong wants to exit, as it does after --help
	parser, err := kong.New(&c, kong.Name("wedsync-server"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { left = code }))
	if err != nil {
		fmt.Fprintln(stderr, "wedsync-server:", err)
		return exitFailure
	}
	_, err = parser.Parse(args)
	if left >= 0 {
		return left
	}
	var cfg server.Config
	if err == nil {
		cfg, err = c.config(stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wedsync-server: %v\nRun wedsync-server --help for the flags.\n", err)
		return exitUsage
	}
	if cfg.Dir == "" && (c.Dev || c.SupabaseLocal) {
		if cfg.Dir, err = os.MkdirTemp("", "wedsync-dev-"); err != nil {
			fmt.Fprintln(stderr, "wedsync-server: making a temporary data directory:", err)
			return exitFailure
		}
		defer os.RemoveAll(cfg.Dir) // best effort: it is a temporary directory
	}
	if c.InstallRealtimeSchema {
		if err := install(ctx, cfg.Database); err != nil {
			fmt.Fprintln(stderr, "wedsync-server:", err)
			return exitFailure
		}
	}
	node, err := server.New(cfg)
	if err != nil {
		fmt.Fprintf(stderr, "wedsync-server: %v\nRun wedsync-server --help for the flags.\n", err)
		return exitUsage
	}
	if err := node.Run(ctx); err != nil {
		fmt.Fprintln(stderr, "wedsync-server:", err)
		return exitFailure
	}
	return exitOK
}

// config turns the command line into a node's configuration. What is missing is said by server.New.
func (c *cli) config(stderr io.Writer) (server.Config, error) {
	var errs []error
	logger, err := telemetry.NewLogger(stderr, c.LogFormat, c.LogLevel)
	errs = append(errs, err)
	flaw, err := room.ParseFlaw(c.Flaw)
	errs = append(errs, err)
	cfg := server.Config{
		Node: c.Node, Region: c.Region, Listen: c.Listen, LogListen: c.LogListen, PeersFile: c.PeersFile, Dir: c.Data,
		EscalateAfter: c.EscalateAfter, ScalingFile: c.Scaling,
		JWTSecret: c.JWTSecret, JWKS: c.JWKS, PolicyFile: c.Policy, PrivateOnly: c.PrivateOnly,
		ClusterSecret: c.ClusterSecret, Dev: c.Dev, Flaw: flaw, Limits: c.limits.limits(), Hierarchies: room.Tree{},
		Database: c.Database, Slot: c.DatabaseSlot, Publication: c.DatabasePublication,
		DrainBatch: c.DrainBatch, DrainPause: c.DrainPause, ShutdownGrace: c.ShutdownGrace,
		SyncInterval: c.Sync == "interval", LogMaxAge: c.LogMaxAge, LogMaxBytes: c.LogMaxBytes, ErrorBackoff: c.ErrorBackoff, JoinErrorBackoff: c.JoinErrorBackoff,
		Logger: logger,
	}
	for _, spec := range c.Peer {
		peer, err := server.ParsePeer(spec)
		if err != nil {
			errs = append(errs, fmt.Errorf("--peer %w", err))
		}
		cfg.Peers = append(cfg.Peers, peer)
	}
	for _, kind := range c.Hierarchy {
		if kind != "none" {
			cfg.Hierarchies = append(cfg.Hierarchies, kind)
		}
	}
	if c.InstallRealtimeSchema && c.Database == "" {
		errs = append(errs, errors.New("--install-realtime-schema needs a database: set --database"))
	}
	if c.SupabaseLocal {
		errs = append(errs, c.supabaseLocal(&cfg))
	}
	cfg.Listen = orElse(cfg.Listen, "127.0.0.1:4000")
	if c.Dev {
		cfg.Node, cfg.Region = orElse(cfg.Node, "dev-1"), orElse(cfg.Region, "dev")
		cfg.LogListen = orElse(cfg.LogListen, "127.0.0.1:0")
	}
	return cfg, errors.Join(errs...)
}

// install prepares the database.
func install(ctx context.Context, database string) error {
	if err := changes.Install(ctx, database); err != nil {
		return fmt.Errorf("installing the schema realtime: %w", err)
	}
	return nil
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
