package socket

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/telemetry"
)

// Config is shared by all sockets of a node. Zero values of the limits mean the defaults.
type Config struct {
	FrameLimit   int64         // largest message of a client, bytes; default 5,000,000; a larger one closes with 1009
	IdleTimeout  time.Duration // without any frame of the client, close with 1000; default 60 s
	WriteTimeout time.Duration // a peer that takes less than 64 KiB in this time counts as gone; default 10 s
	CloseGrace   time.Duration // how long a closing socket waits for the peer; default 1 s

	UrgentFrames, UrgentBytes int // bounds of the urgent lane of a write queue; default 4,096 and 8 MiB
	NormalFrames, NormalBytes int // bounds of the normal lane; default 4,096 and 4 MiB
	BulkFrames, BulkBytes     int // bounds of the bulk lane, beyond which it is shed; default 256 and 1 MiB

	Logger  *slog.Logger
	Metrics *telemetry.Metrics

	writers *writers // of all sockets with this configuration
}

// WithDefaults fills in what is zero. The sockets of a node share one result of it.
func (c Config) WithDefaults() Config {
	orDefault(&c.FrameLimit, 5_000_000)
	orDefault(&c.IdleTimeout, time.Minute)
	orDefault(&c.WriteTimeout, 10*time.Second)
	orDefault(&c.CloseGrace, time.Second)
	orDefault(&c.UrgentFrames, 4096)
	orDefault(&c.UrgentBytes, 8<<20)
	orDefault(&c.NormalFrames, 4096)
	orDefault(&c.NormalBytes, 4<<20)
	orDefault(&c.BulkFrames, 256)
	orDefault(&c.BulkBytes, 1<<20)
	c.writers = newWriters()
	return c
}

// limit is the bounds of a lane.
func (c *Config) limit(lane protocol.Lane) limit {
	switch lane {
	case protocol.Urgent:
		return limit{c.UrgentFrames, c.UrgentBytes}
	case protocol.Bulk:
		return limit{c.BulkFrames, c.BulkBytes}
	}
	return limit{c.NormalFrames, c.NormalBytes}
}

// Validate says everything that is wrong with a configuration whose defaults are filled in.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"FrameLimit", c.FrameLimit}, {"IdleTimeout", int64(c.IdleTimeout)},
		{"WriteTimeout", int64(c.WriteTimeout)}, {"CloseGrace", int64(c.CloseGrace)},
		{"UrgentFrames", int64(c.UrgentFrames)}, {"UrgentBytes", int64(c.UrgentBytes)},
		{"NormalFrames", int64(c.NormalFrames)}, {"NormalBytes", int64(c.NormalBytes)},
		{"BulkFrames", int64(c.BulkFrames)}, {"BulkBytes", int64(c.BulkBytes)},
	} {
		if f.value <= 0 {
			errs = append(errs, fmt.Errorf("socket %s is %d: use a positive value, or 0 for the default", f.name, f.value))
		}
	}
	if c.Logger == nil || c.Metrics == nil {
		errs = append(errs, errors.New("socket Logger and Metrics must be set"))
	}
	return errors.Join(errs...)
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
