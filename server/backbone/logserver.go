package backbone

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/wedsync/wedsync/protocol"
)

// maxMessage is what a log server accepts in one message: the largest event with its frame.
const maxMessage = MaxPayload + 16<<10

// logServer is the embedded log server of this node. It stands alone: no cluster, no gateway, so
// nothing here ever elects anything. Each lane is an account of its own, urgent and normal with a
// stream of their own.
type logServer struct {
	srv *server.Server
	log *serverLog
}

// laneKey derives the key pair of a lane's user from the cluster secret. Log users prove that they
// have it by signing a nonce, so neither the secret nor a password ever crosses the network.
func laneKey(secret string, lane protocol.Lane) (nkeys.KeyPair, error) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("wedsync log user " + accountName(lane)))
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the %v lane: %w", lane, err)
	}
	return key, nil
}

// startLogServer returns when the server accepts connections and the logs on disk are read.
func startLogServer(ctx context.Context, cfg *Config) (*logServer, error) {
	host, portText, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("log listen address %q: %w", cfg.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("log listen address %q: the port must be a number", cfg.Listen)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	dir := filepath.Join(cfg.Dir, "log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the log directory: %w", err)
	}
	opts := &server.Options{
		ServerName: cfg.Node, Host: host, Port: port, NoSigs: true,
		JetStream: true, StoreDir: dir, DisableJetStreamBanner: true,
		SyncAlways: cfg.SyncAlways, SyncInterval: time.Second,
		JetStreamMaxMemory: 64 << 20,
		// Both streams reserve their MaxBytes; the rest is room for indexes.
		JetStreamMaxStore: int64(len(logged))*cfg.MaxBytes + 64<<20,
		MaxPayload:        maxMessage,
		MaxPending:        64 << 20,
		PingInterval:      2 * time.Second, MaxPingsOut: 2,
		// A peer that stops reading is dropped within this time, and never slows a publisher down.
		WriteDeadline: time.Second, NoFastProducerStall: true,
	}
	for _, lane := range lanes {
		key, err := laneKey(cfg.Secret, lane)
		if err != nil {
			return nil, err
		}
		public, err := key.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("deriving the key of the %v lane: %w", lane, err)
		}
		account := server.NewAccount(accountName(lane))
		opts.Accounts = append(opts.Accounts, account)
		opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public, Account: account})
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("configuring the log server: %w", err)
	}
	s := &logServer{srv: srv, log: newServerLog(cfg.Logger)}
	srv.SetLoggerV2(s.log, false, false, false)
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("starting the log server on %s in %s: %w", cfg.Listen, dir, err)
	}
	return s, nil
}

func (s *logServer) start(ctx context.Context) error {
	// Start returns when the listener is up, or has failed, which only the logger is told.
	s.srv.Start()
	if err := s.log.fatal(); err != nil {
		return err
	}
	for ctx.Err() == nil && !s.srv.ReadyForConnections(100*time.Millisecond) {
		if err := s.log.fatal(); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("it was not ready in time: %w", ctx.Err())
	}
	for _, lane := range logged {
		account, err := s.srv.LookupAccount(accountName(lane))
		if err != nil {
			return fmt.Errorf("account of the %v lane: %w", lane, err)
		}
		if err := account.EnableJetStream(nil, nil); err != nil {
			return fmt.Errorf("reading the log of the %v lane: %w", lane, err)
		}
	}
	return s.log.fatal()
}

// url returns the address at which it listens.
func (s *logServer) url() string { return s.srv.ClientURL() }

func (s *logServer) close() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// openStream creates or updates the stream of a lane in the own log. A subject is an event id and
// holds one message, a second one is refused: exact dedup for as long as the log reaches back.
func openStream(ctx context.Context, nc *nats.Conn, cfg *Config, lane protocol.Lane) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening the log of the %v lane: %w", lane, err)
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:                 streamName(lane),
		Subjects:             []string{eventPrefix(cfg.Node, lane) + ">"},
		Retention:            jetstream.LimitsPolicy,
		Storage:              jetstream.FileStorage,
		Replicas:             1,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		MaxAge:               cfg.MaxAge,
		MaxBytes:             cfg.MaxBytes,
		AllowDirect:          true,                         // reader
		AllowAtomicPublish:   true,                         // repair
		Duplicates:           min(cfg.MaxAge, time.Second), // unused: the subject is the id
	})
	if err != nil {
		return nil, fmt.Errorf("opening the log of the %v lane: %w; was the data directory used with another node name?", lane, err)
	}
	return stream.CachedInfo(), nil
}

// streamInfo asks the log at the other end of a connection about a lane.
func streamInfo(ctx context.Context, nc *nats.Conn, lane protocol.Lane) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("asking the log about the %v lane: %w", lane, err)
	}
	stream, err := js.Stream(ctx, streamName(lane))
	if err != nil {
		return nil, fmt.Errorf("asking the log about the %v lane: %w", lane, err)
	}
	return stream.CachedInfo(), nil
}

// findStored returns what the log at the other end of a connection holds on a subject, or nil.
func findStored(ctx context.Context, nc *nats.Conn, lane protocol.Lane, subject string) ([]byte, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("asking the log about an event: %w", err)
	}
	stream, err := js.Stream(ctx, streamName(lane))
	if err != nil {
		return nil, fmt.Errorf("asking the log about an event: %w", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("asking the log about an event: %w", err)
	}
	return msg.Data, nil
}

// purgeBefore removes everything before a sequence number from the own log.
func purgeBefore(ctx context.Context, nc *nats.Conn, lane protocol.Lane, seq uint64) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("trimming the log of the %v lane: %w", lane, err)
	}
	stream, err := js.Stream(ctx, streamName(lane))
	if err != nil {
		return fmt.Errorf("trimming the log of the %v lane: %w", lane, err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(seq)); err != nil {
		return fmt.Errorf("trimming the log of the %v lane: %w", lane, err)
	}
	return nil
}

// How the log words its refusals: of an id that it has, and of anything when it is full.
var (
	refusalHeld = server.ErrMaxMsgsPerSubject.Error()
	refusalFull = server.ErrMaxBytes.Error()
)
