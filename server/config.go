package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/socket"
)

// Config is one node. Sizes and counts that are zero mean their defaults; durations are taken as
// they are unless a default is named.
type Config struct {
	Node   string // unique name, 1..64 of A-Z a-z 0-9 _ -
	Region string // where the node is

	Listen    string          // HTTP and WebSocket, host:port
	LogListen string          // the log server that the peers connect to, host:port
	Peers     []backbone.Peer // every other node of the system; this one may be among them
	Dir       string          // the node's data; the log survives in it
	// SyncInterval lets the log be written to disk every few minutes instead of before every ok:
	// faster, and an acknowledged event survives a killed process, but not a power cut of two regions.
	SyncInterval bool

	JWTSecret     string // HMAC secret of the clients' tokens
	ClusterSecret string // what nodes show each other; the same everywhere
	Dev           bool   // development: secrets may be missing, and then any token is accepted
	Flaw          room.Flaw

	ErrorBackoff     time.Duration // before a refused handshake is answered; 0: at once
	JoinErrorBackoff time.Duration // before a refused join is answered; 0: at once
	HoldDeadline     time.Duration // for two regions to hold an event; default 2 s
	ShutdownGrace    time.Duration // for everything to end in order; default 5 s

	MaxChannels int // per socket; default 100
	MaxPayload  int // bytes of one broadcast's payload; default 3,000,500
	MaxInFlight int // publishes of one socket that wait for their hold; default 256
	MaxReplay   int // events sent again to one resuming member; default 10,000

	Socket socket.Config // Logger and Metrics are filled in
	Policy auth.Policy   // default auth.Members
	Logger *slog.Logger
}

// Defaults of the limits, as the protocol has them.
const (
	defaultChannels = 100
	defaultPayload  = 3_000_500
	defaultInFlight = 256
	defaultReplay   = 10_000

	// DefaultErrorBackoff slows down a client that tries to connect with a bad token.
	DefaultErrorBackoff = 2 * time.Second
	// DefaultJoinErrorBackoff slows down a client that tries to join where it may not.
	DefaultJoinErrorBackoff = 5 * time.Second
)

func (c Config) withDefaults() Config {
	orDefault(&c.HoldDeadline, 2*time.Second)
	orDefault(&c.ShutdownGrace, 5*time.Second)
	orDefault(&c.MaxChannels, defaultChannels)
	orDefault(&c.MaxPayload, defaultPayload)
	orDefault(&c.MaxInFlight, defaultInFlight)
	orDefault(&c.MaxReplay, defaultReplay)
	if c.Policy == nil {
		c.Policy = auth.Members
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Socket = c.Socket.WithDefaults()
	return c
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
	address("--log-listen", c.LogListen)
	if c.Dir == "" {
		bad("there is no data directory: set --data; the log of urgent messages is kept in it")
	}
	if c.JWTSecret == "" && !c.Dev {
		bad("there is no JWT secret, so anybody could connect: set --jwt-secret or WEDSYNC_JWT_SECRET (or --dev on your own machine)")
	}
	if c.JWTSecret != "" && len(c.JWTSecret) < auth.MinSecret {
		bad("the JWT secret has %d bytes: use at least %d random ones", len(c.JWTSecret), auth.MinSecret)
	}
	if c.ClusterSecret == "" && (!c.Dev || len(c.Peers) > 0) {
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
		{"HoldDeadline", c.HoldDeadline}, {"ShutdownGrace", c.ShutdownGrace},
	} {
		if d.value < 0 {
			bad("%s is %s: a duration cannot be negative", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxChannels", c.MaxChannels}, {"MaxPayload", c.MaxPayload}, {"MaxInFlight", c.MaxInFlight}, {"MaxReplay", c.MaxReplay}} {
		if n.value < 0 {
			bad("%s is %d: use a positive number, or 0 for the default", n.name, n.value)
		}
	}
	return errors.Join(errs...)
}
