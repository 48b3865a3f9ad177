// Package limit is what one node allows its clients, and how it counts.
//
//	Limits     the numbers, with the documented defaults       zero means: no limit
//	Rate       an average of events per second                 joins, events, presence, changes
//	Window     so many calls in a span of time                 presence calls of one channel
//	Users      how many sockets have joined a channel
//	Admission  the door: handshakes wait for their turn, as many as the node can bear
//	Node       one of each for a node, and the metric that counts every limit that bites
//
// A rate is judged by its average over up to a minute, so short bursts pass. What happens to the one
// who goes over a limit is the protocol's business and stands with the callers: a refused join, a
// channel that is shut down. The caller also counts it (Node.Reached), because only it knows that
// somebody was turned away.
//
// The door is the exception: a storm of connections is no fault of the clients that come in it, so
// they are delayed and not turned away.
//
// All numbers are per node. Time comes from the clock of the machine and nothing here has a ticker:
// a Rate moves on when it is used.
package limit

import (
	"errors"
	"fmt"
	"time"
)

// Limits of one node. Zero means no limit, everywhere.
type Limits struct {
	JoinsPerSecond    int // joins of all clients, on average
	EventsPerSecond   int // broadcasts sent and delivered, on average
	PresencePerSecond int // tracks, states and diffs sent to clients, on average
	ChangesPerSecond  int // Postgres changes delivered, on average

	ChannelsPerSocket int
	PresenceCalls     int           // track and untrack calls of one channel in PresenceWindow
	PresenceWindow    time.Duration // must be set if PresenceCalls is
	PayloadBytes      int           // of one broadcast or one presence payload
	FrameBytes        int64         // of one WebSocket message of a client

	IdleTimeout      time.Duration // a socket without any frame of its client is closed
	NoChannelTimeout time.Duration // between two sweeps of sockets that have no channel left

	Connections       int // open sockets; further handshakes wait
	ConnectsPerSecond int // handshakes that pass at most; further ones wait
	ConcurrentUsers   int // sockets that have joined a channel; further ones are refused
}

// Default returns the documented limits of the protocol. Three are this server's own: the number of
// connections and of connects per second, and users, of which the original takes 200.
func Default() Limits {
	return Limits{
		JoinsPerSecond: 100, EventsPerSecond: 100, PresencePerSecond: 1000, ChangesPerSecond: 100,
		ChannelsPerSocket: 100, PresenceCalls: 5, PresenceWindow: 30 * time.Second,
		PayloadBytes: 3_000_500, FrameBytes: 5_000_000,
		IdleTimeout: time.Minute, NoChannelTimeout: 10 * time.Minute,
		Connections: 16_384, ConnectsPerSecond: 500,
	}
}

// Validate says everything that is wrong at once.
func (l Limits) Validate() error {
	var errs []error
	for _, n := range []struct {
		flag  string
		value int64
	}{
		{"--max-joins-per-second", int64(l.JoinsPerSecond)}, {"--max-events-per-second", int64(l.EventsPerSecond)},
		{"--max-presence-events-per-second", int64(l.PresencePerSecond)}, {"--max-changes-per-second", int64(l.ChangesPerSecond)},
		{"--max-channels", int64(l.ChannelsPerSocket)}, {"--presence-calls", int64(l.PresenceCalls)},
		{"--max-payload", int64(l.PayloadBytes)}, {"--max-frame", l.FrameBytes},
		{"--max-connections", int64(l.Connections)}, {"--max-connects-per-second", int64(l.ConnectsPerSecond)},
		{"--max-users", int64(l.ConcurrentUsers)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d: use a positive number, or 0 for no limit", n.flag, n.value))
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--presence-window", l.PresenceWindow}, {"--idle-timeout", l.IdleTimeout}, {"--no-channel-timeout", l.NoChannelTimeout},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %s: use a positive duration, or 0 for no limit", d.flag, d.value))
		}
	}
	if l.PresenceCalls > 0 && l.PresenceWindow == 0 {
		errs = append(errs, fmt.Errorf("--presence-calls is %d without a time: set --presence-window, for example to 30s", l.PresenceCalls))
	}
	return errors.Join(errs...)
}
