package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// Config describes a wedding.
type Config struct {
	ID      string   // its name in the run: letters, digits and . _ : -
	Index   int      // its number in the run: spreads the weddings over the regions
	Vendors []Vendor // who works there
	Regions []Region // where the servers are
	Seed    uint64   // decides what is drawn: preferred regions, schedules

	Topic   string           // the channel, without the prefix realtime:; default wedding:<ID>
	Private bool             // join it as a private channel
	Token   string           // a JWT, where the servers ask for one
	Version protocol.Version // default V2

	UrgentSLA time.Duration // an urgent message later than this is late; default 200 ms
	UpdateSLA time.Duration // the same for an ordinary one; default 500 ms

	Limit     time.Duration // how long a publish waits for its recipients before it names the missing; default 2 s
	GiveUp    time.Duration // how long a publish without an answer is tried again; default 10 s
	Drain     time.Duration // how long Leave waits for what is still under way; default 10 s
	Arrival   time.Duration // how long Arrive waits for the last vendor; default 30 s
	Handshake time.Duration // how long one connection attempt may take; default the client's own
	Patience  time.Duration // the same before a vendor has arrived: a server under a storm lets it stand in line; default the client's own
	Silence   time.Duration // after how long without a sign of life a session is given up; default the client's own
	Parallel  int           // how many vendors connect at a time; default 4

	Stalled *Stalled // who stops reading now and then; nil: nobody

	NetDial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
	TLS     *tls.Config
	Logger  *slog.Logger
	Observe func(Observation) // what happens, as it happens, for metrics; nil: nobody asks. Must not block.
}

// goodbye bounds how long sockets take to close when nobody waits for messages any more.
const goodbye = 2 * time.Second

// nameForm is what message ids may consist of, less the separator of their parts.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,20}$`)

func orElse[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *Config) defaults() {
	orElse(&c.Topic, "wedding:"+c.ID)
	orElse(&c.Version, protocol.V2)
	orElse(&c.UrgentSLA, 200*time.Millisecond)
	orElse(&c.UpdateSLA, 500*time.Millisecond)
	orElse(&c.Limit, 2*time.Second)
	orElse(&c.GiveUp, 10*time.Second)
	orElse(&c.Drain, 10*time.Second)
	orElse(&c.Arrival, max(30*time.Second, c.Patience))
	orElse(&c.Parallel, 4)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Observation) {}
	}
}

// Validate says all that is wrong with the config.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !nameForm.MatchString(c.ID) {
		wrong("id: %q should be 1 to 20 of letters, digits and . _ : -", c.ID)
	}
	if err := checkRegions(c.Regions); err != nil {
		errs = append(errs, err)
	}
	if len(c.Vendors) == 0 {
		wrong("vendors: a wedding needs at least one")
	}
	names := map[string]bool{}
	for _, v := range c.Vendors {
		if !nameForm.MatchString(v.Name) {
			wrong("vendors: the name %q should be 1 to 20 of letters, digits and . _ : -", v.Name)
		}
		if names[v.Name] {
			wrong("vendors: %q stands there twice", v.Name)
		}
		names[v.Name] = true
		if v.Type == "" {
			wrong("vendors: %s: the type is missing (florist, planner, …)", v.Name)
		}
		if v.Homes != 1 && v.Homes != 2 {
			wrong("vendors: %s: homes is %d, should be 1 or 2", v.Name, v.Homes)
		} else if v.Homes > len(c.Regions) {
			wrong("vendors: %s: %d homes need as many regions, there is %d", v.Name, v.Homes, len(c.Regions))
		}
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"sla", c.UrgentSLA}, {"sla", c.UpdateSLA}, {"limit", c.Limit}, {"giveUp", c.GiveUp}, {"drain", c.Drain},
		{"arrival", c.Arrival}, {"handshake", c.Handshake}, {"arriveTimeout", c.Patience},
		{"silence", c.Silence}} {
		if d.is < 0 {
			wrong("%s: %s is negative", d.name, d.is)
		}
	}
	if c.Stalled != nil {
		errs = append(errs, c.Stalled.Validate())
	}
	if c.Parallel < 0 {
		wrong("parallel: %d is negative", c.Parallel)
	}
	return errors.Join(errs...)
}
