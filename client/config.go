package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// The defaults of Config, and what has no setting.
const (
	DefaultHeartbeatInterval = 600 * time.Millisecond
	DefaultSilenceLimit      = time.Second
	DefaultDialTimeout       = time.Second
	DefaultJoinTimeout       = 2 * time.Second
	DefaultFailoverJitter    = 100 * time.Millisecond

	// DefaultReturnAfter is what Config.ReturnAfter should be where nothing speaks against it; its
	// zero value means never.
	DefaultReturnAfter = 3 * time.Second

	// LeaveTimeout is how long a session that leaves waits for the server to close the socket.
	LeaveTimeout = 500 * time.Millisecond

	// refusalPatience is how long the very first join waits for a server that refuses it: servers
	// delay refusals (2 s for a handshake, 5 s for a join), and who has the wrong token should read
	// so instead of "timeout".
	refusalPatience = 7 * time.Second

	// maxFrame ends a session whose server sends a larger frame. The protocol's own cap is 5 MB.
	maxFrame = 8 << 20

	// maxPause bounds what a server may ask for that is busy: it may be wrong about itself, and others wait.
	maxPause = 30 * time.Second

	maxKey = 64 // bytes of Config.Key
)

// Endpoint is one node that can be a home.
type Endpoint struct {
	Region string
	URL    string // ws://host:port/socket or wss://…/realtime/v1; "/websocket" is appended
}

// Config is what a client is made of.
//
// Callbacks may be nil. They are called from the goroutines of the sessions: OnMessage and
// OnDuplicate one at a time, the others at any time. A session reads nothing while it is in a
// callback, so one that takes long makes its server look silent; a callback must not wait for the
// client itself (Publish, Close). Bytes handed to callbacks are theirs.
type Config struct {
	Endpoints []Endpoint // most preferred first; a region may have several
	Homes     int        // 1 or 2; default 1
	Topic     string     // without "realtime:"
	Private   bool
	Key       string           // the supplier's name and presence key; at most 64 bytes
	Token     string           // JWT
	Version   protocol.Version // default V2

	Receipts bool // wants the receipts of its own urgent messages (OnReceipt)
	Confirm  bool // sends a receipt for each urgent message that it is shown

	HeartbeatInterval time.Duration // a heartbeat is sent after so long without a frame; default 600 ms
	SilenceLimit      time.Duration // a session ends after so long without a frame; default 1 s
	DialTimeout       time.Duration // for the connection, and once more for the handshake; default 1 s
	JoinTimeout       time.Duration // from the join to its reply; default 2 s
	FailoverJitter    time.Duration // a fail-over waits a random time up to this; default 100 ms, negative none
	ReturnAfter       time.Duration // a displaced home tries its preferred region every so long; 0 never

	NetDial func(ctx context.Context, network, addr string) (net.Conn, error) // default net.Dialer
	TLS     *tls.Config
	Logger  *slog.Logger // default: none

	OnMessage   func(Message) // each message once
	OnDuplicate func(Message) // a message that was shown before, with the session that brought it again
	OnState     func(State)   // each change of each session, in order within a session
	OnReceipt   func(Receipt) // each (message, recipient) once
	OnShed      func(n int64) // so many bulk messages were not sent, because the client read too slowly
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.HeartbeatInterval, DefaultHeartbeatInterval)
	set(&c.SilenceLimit, DefaultSilenceLimit)
	set(&c.DialTimeout, DefaultDialTimeout)
	set(&c.JoinTimeout, DefaultJoinTimeout)
	set(&c.FailoverJitter, DefaultFailoverJitter)
	c.FailoverJitter = max(c.FailoverJitter, 0)
	if c.Homes == 0 {
		c.Homes = 1
	}
	if c.Version == 0 {
		c.Version = protocol.V2
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.NetDial == nil {
		c.NetDial = (&net.Dialer{}).DialContext
	}
	if c.OnMessage == nil {
		c.OnMessage = func(Message) {}
	}
	if c.OnDuplicate == nil {
		c.OnDuplicate = func(Message) {}
	}
	if c.OnState == nil {
		c.OnState = func(State) {}
	}
	if c.OnReceipt == nil {
		c.OnReceipt = func(Receipt) {}
	}
	if c.OnShed == nil {
		c.OnShed = func(int64) {}
	}
	return c
}

// Validate says all that is wrong with the configuration; zero durations stand for defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(len(c.Endpoints) == 0, "Endpoints is empty: name at least one node")
	regions := map[string]bool{}
	for i, e := range c.Endpoints {
		regions[e.Region] = true
		wrong(e.Region == "", "Endpoints[%d] has no Region", i)
		u, err := url.Parse(e.URL)
		wrong(err != nil || u.Host == "" || (u.Scheme != "ws" && u.Scheme != "wss"),
			"Endpoints[%d].URL %q is not of the form ws://host:port/socket", i, e.URL)
	}
	wrong(c.Homes < 1 || c.Homes > 2, "Homes is %d: use 1 or 2", c.Homes)
	wrong(c.Homes == 2 && len(regions) < 2, "Homes is 2, but Endpoints has one region: two homes need two regions")
	wrong(c.Topic == "", "Topic is empty")
	wrong(len(protocol.WireTopic(c.Topic)) > protocol.MaxField, "Topic has %d bytes, the most is %d",
		len(c.Topic), protocol.MaxField-len(protocol.Prefix))
	wrong(len(c.Key) > maxKey, "Key has %d bytes, the most is %d", len(c.Key), maxKey)
	wrong(c.Version != protocol.V1 && c.Version != protocol.V2, "Version is %v: use protocol.V1 or protocol.V2", c.Version)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"HeartbeatInterval", c.HeartbeatInterval}, {"SilenceLimit", c.SilenceLimit},
		{"DialTimeout", c.DialTimeout}, {"JoinTimeout", c.JoinTimeout},
	} {
		wrong(d.value < 0, "%s is %v: use a positive duration", d.name, d.value)
	}
	wrong(c.ReturnAfter < 0, "ReturnAfter is %v: use 0 for never", c.ReturnAfter)
	wrong(c.HeartbeatInterval >= c.SilenceLimit,
		"HeartbeatInterval %v must be shorter than SilenceLimit %v by at least a round trip", c.HeartbeatInterval, c.SilenceLimit)
	return errors.Join(errs...)
}
