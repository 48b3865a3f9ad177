package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/socket"
)

// Config is one node. Sizes and counts that are zero mean their defaults; durations are taken as
// they are unless a default is named.
type Config struct {
	Node   string // unique name, 1..64 of A-Z a-z 0-9 _ -
	Region string // where the node is

	Listen    string          // HTTP and WebSocket, host:port
	Also      []string        // further addresses like Listen
	LogListen string          // the log server that the peers connect to, host:port
	Peers     []backbone.Peer // every other node of the system; this one may be among them
	PeersFile string          // further peers, read again as it changes; see peers.go
	Dir       string          // the node's data; the log survives in it
	// SyncInterval lets the log be written to disk every few minutes instead of before every ok:
	// faster, and an acknowledged event survives a killed process, but not a power cut of two regions.
	SyncInterval bool
	LogMaxAge    time.Duration // how long an event is kept; default 72 h
	LogMaxBytes  int64         // of the log of a lane; default 1 GiB

	JWTSecret     string // HMAC secret of the clients' tokens
	JWKS          string // file or URL of a JSON Web Key Set with further keys; read again as it changes
	ClusterSecret string // what nodes show each other; the same everywhere
	Dev           bool   // development: secrets may be missing, and then any token is accepted
	Flaw          room.Flaw

	// Which topics are trees (room.Tree): default those that begin with "wedding". Empty and not nil: none.
	Hierarchies room.Tree
	Limits      limit.Limits // 0: no limit, for each of them; limit.Default() has the documented ones
	PrivateOnly bool         // refuse public channels

	// Postgres changes: none without a database.
	Database    string // postgres://…; its user may replicate
	Slot        string // replication slot that the nodes share; default "wedsync"
	Publication string // default "supabase_realtime"

	ScalingFile string // policy of how many nodes there should be (see docs/scaling.md), read again as it changes; none: nothing is said

	// Accounts serves /auth/v1 with accounts that are kept in memory. For --supabase-local.
	Accounts bool

	ErrorBackoff     time.Duration // before a refused handshake is answered; 0: at once
	JoinErrorBackoff time.Duration // before a refused join is answered; 0: at once
	HoldDeadline     time.Duration // for two regions to hold an event; default 2 s
	ShutdownGrace    time.Duration // for clients to move, the log to be handed over and everything to end in order; default 25 s
	DrainBatch       int           // sockets that are told to go elsewhere at once when the node stops; default 100
	DrainPause       time.Duration // between two batches; default 100 ms
	EscalateAfter    time.Duration // for all members to confirm an urgent message; 0: nothing is escalated

	MaxInFlight int // publishes of one socket that wait for their hold; default 256
	MaxReplay   int // events sent again to one resuming member; default 10,000

	Socket socket.Config // Logger, Metrics, and what is zero of FrameLimit and IdleTimeout (from Limits) are filled in
	// Policy says who may do what on private channels. PolicyFile is the same as a file, which is read
	// again as it changes. Default auth.DefaultPolicy.
	Policy     auth.Policy
	PolicyFile string
	Logger     *slog.Logger
}

// Defaults.
const (
	defaultInFlight   = 256
	defaultReplay     = 10_000
	defaultDrainBatch = 100

	// DefaultErrorBackoff slows down a client that tries to connect with a bad token.
	DefaultErrorBackoff = 2 * time.Second
	// DefaultJoinErrorBackoff slows down a client that tries to join where it may not.
	DefaultJoinErrorBackoff = 5 * time.Second
)

func (c Config) withDefaults() Config {
	orDefault(&c.HoldDeadline, 2*time.Second)
	orDefault(&c.ShutdownGrace, 25*time.Second)
	orDefault(&c.DrainBatch, defaultDrainBatch)
	orDefault(&c.DrainPause, 100*time.Millisecond)
	orDefault(&c.MaxInFlight, defaultInFlight)
	orDefault(&c.MaxReplay, defaultReplay)
	if c.Hierarchies == nil {
		c.Hierarchies = room.Tree{"wedding"}
	}
	if c.Slot == "" {
		c.Slot = "wedsync"
	}
	if c.Publication == "" {
		c.Publication = "supabase_realtime"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Socket.FrameLimit == 0 {
		c.Socket.FrameLimit = unlessZero(c.Limits.FrameBytes)
	}
	if c.Socket.IdleTimeout == 0 {
		c.Socket.IdleTimeout = unlessZero(c.Limits.IdleTimeout)
	}
	c.Socket = c.Socket.WithDefaults()
	return c
}

// unlessZero turns a limit that does not exist into one that is never reached.
func unlessZero[T int64 | time.Duration](n T) T {
	if n == 0 {
		return 1 << 60 // of nanoseconds: 36 years
	}
	return n
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate says everything that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Node == "" {
		bad("the node has no name: set --node, for example eu-west-1")
	}
	if c.Region == "" {
		bad("the node has no region: set --region, for example eu-west")
	}
	address := func(flag, value string) {
		if _, _, err := net.SplitHostPort(value); err != nil {
			bad("%s %q is not an address: use host:port, for example 127.0.0.1:4000", flag, value)
		}
	}
	address("--listen", c.Listen)
	for _, a := range c.Also {
		address("--listen", a)
	}
	address("--log-listen", c.LogListen)
	if c.Dir == "" {
		bad("there is no data directory: set --data; the log of urgent messages is kept in it")
	}
	if c.JWTSecret == "" && c.JWKS == "" && !c.Dev {
		bad("there is no JWT secret, so anybody could connect: set --jwt-secret or WEDSYNC_JWT_SECRET, or --jwks (or --dev on your own machine)")
	}
	if c.Accounts && c.JWTSecret == "" {
		bad("accounts need a JWT secret to sign with: set --jwt-secret")
	}
	if c.Policy != nil && c.PolicyFile != "" {
		bad("Policy and PolicyFile are both set: use one")
	}
	if err := c.Limits.Validate(); err != nil {
		errs = append(errs, err)
	}
	if c.Limits.PayloadBytes > backbone.MaxPayload {
		bad("--max-payload is %d: events of more than %d bytes cannot be kept", c.Limits.PayloadBytes, backbone.MaxPayload)
	}
	for _, kind := range c.Hierarchies {
		if kind == "" || strings.Contains(kind, ":") {
			bad("--hierarchy %q: give the first segment of the topics, for example wedding", kind)
		}
	}
	if c.JWTSecret != "" && len(c.JWTSecret) < auth.MinSecret {
		bad("the JWT secret has %d bytes: use at least %d random ones", len(c.JWTSecret), auth.MinSecret)
	}
	if c.ClusterSecret == "" && (!c.Dev || len(c.Peers) > 0 || c.PeersFile != "") {
		bad("there is no cluster secret: set --cluster-secret or WEDSYNC_CLUSTER_SECRET to the same random value on every node")
	}
	names := map[string]bool{}
	for _, p := range c.Peers {
		if p.Node == "" || p.Region == "" || p.URL == "" {
			bad("peer %q is incomplete: use --peer NODE@REGION=nats://host:port", p.Node)
		}
		if names[p.Node] {
			bad("two nodes are called %q: every node needs its own name", p.Node)
		}
		names[p.Node] = true
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"--error-backoff", c.ErrorBackoff}, {"--join-error-backoff", c.JoinErrorBackoff},
		{"HoldDeadline", c.HoldDeadline}, {"ShutdownGrace", c.ShutdownGrace}, {"--drain-pause", c.DrainPause}, {"--escalate-after", c.EscalateAfter},
	} {
		if d.value < 0 {
			bad("%s is %s: a duration cannot be negative", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"--drain-batch", c.DrainBatch}, {"MaxInFlight", c.MaxInFlight}, {"MaxReplay", c.MaxReplay}} {
		if n.value < 0 {
			bad("%s is %d: use a positive number, or 0 for the default", n.name, n.value)
		}
	}
	return errors.Join(errs...)
}
