package generator

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// VendorsPerWedding is as everywhere.
const VendorsPerWedding = 12

// Config is what a comparison needs.
type Config struct {
	Weddings int           // of the large crowd
	Few      int           // weddings of the small one
	Every    time.Duration // how often somebody speaks at each wedding
	Settle   time.Duration // from when all have joined to the measurement
	Measure  time.Duration // how long it takes
	Rounds   int

	Server string // path of wedsync-server
	K6     string // path of k6 with the extension
	Self   string // path of this program, which can be the bare client

	Progress io.Writer
}

// Validate says all that is wrong.
func (c *Config) Validate() error {
	var errs []error
	if c.Few < 1 || c.Weddings <= c.Few {
		errs = append(errs, fmt.Errorf("%d weddings and %d: memory per vendor is a slope between a small crowd and a larger one", c.Few, c.Weddings))
	}
	if c.Every < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("every is %v: k6's timers are good for 10 ms and more", c.Every))
	}
	if c.Measure <= 0 || c.Settle < 0 {
		errs = append(errs, errors.New("measure must be longer than nothing, settle not negative"))
	}
	if most := 45 * time.Second; c.Settle+c.Measure > most {
		errs = append(errs, fmt.Errorf("settle and measure take %v: the bare client sends no heartbeats, and is closed after a minute; use %v at most", c.Settle+c.Measure, most))
	}
	if c.Rounds < 1 {
		errs = append(errs, fmt.Errorf("%d rounds: there must be one at least", c.Rounds))
	}
	return errors.Join(errs...)
}

// vendors is how many sockets a number of weddings has.
func vendors(weddings int) int { return weddings * VendorsPerWedding }

// perSecond is how many messages a crowd is sent in a second.
func (c *Config) perSecond(weddings int) float64 {
	return float64(weddings*(VendorsPerWedding-1)) / c.Every.Seconds()
}
