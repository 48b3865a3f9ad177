package main

import (
	"time"

	"github.com/wedsync/wedsync/server/limit"
)

// limits are the flags of limit.Limits. Their defaults are those of limit.Default: a test holds them
// together.
type limits struct {
	MaxJoinsPerSecond          int           `help:"Joins of all clients per second, averaged over up to a minute. For this and all other limits, 0 means none." default:"100" group:"Limits"`
	MaxEventsPerSecond         int           `help:"Broadcasts sent and delivered per second, averaged likewise. Urgent ones are counted and never stopped." default:"100" group:"Limits"`
	MaxPresenceEventsPerSecond int           `help:"Presence messages per second, averaged likewise." default:"1000" group:"Limits"`
	MaxChangesPerSecond        int           `help:"Postgres changes delivered per second, averaged likewise; more are skipped." default:"100" group:"Limits"`
	MaxChannels                int           `help:"Channels of one socket." default:"100" group:"Limits"`
	PresenceCalls              int           `help:"Calls of track and untrack of one channel in the presence window." default:"5" group:"Limits"`
	PresenceWindow             time.Duration `help:"The presence window." default:"30s" group:"Limits"`
	MaxPayload                 int           `help:"Bytes of the payload of one broadcast." default:"3000500" group:"Limits"`
	MaxFrame                   int64         `help:"Bytes of one WebSocket message of a client." default:"5000000" group:"Limits"`
	IdleTimeout                time.Duration `help:"A client that says nothing for so long is disconnected." default:"60s" group:"Limits"`
	NoChannelTimeout           time.Duration `help:"How often sockets without a channel are looked for and closed." default:"10m" group:"Limits"`
	MaxConnections             int           `help:"Open sockets; further clients wait." default:"16384" group:"Limits"`
	MaxConnectsPerSecond       int           `help:"Handshakes per second; further clients wait." default:"500" group:"Limits"`
	MaxUsers                   int           `help:"Sockets that have joined a channel; further ones are refused." default:"0" group:"Limits"`
}

func (l limits) limits() limit.Limits {
	return limit.Limits{
		JoinsPerSecond: l.MaxJoinsPerSecond, EventsPerSecond: l.MaxEventsPerSecond,
		PresencePerSecond: l.MaxPresenceEventsPerSecond, ChangesPerSecond: l.MaxChangesPerSecond,
		ChannelsPerSocket: l.MaxChannels, PresenceCalls: l.PresenceCalls, PresenceWindow: l.PresenceWindow,
		PayloadBytes: l.MaxPayload, FrameBytes: l.MaxFrame, IdleTimeout: l.IdleTimeout, NoChannelTimeout: l.NoChannelTimeout,
		Connections: l.MaxConnections, ConnectsPerSecond: l.MaxConnectsPerSecond, ConcurrentUsers: l.MaxUsers,
	}
}
