package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"
)

// ScheduleConfig describes when something is to happen.
type ScheduleConfig struct {
	Every  time.Duration // the period
	For    time.Duration // for how long; 0: until the drill or the wedding ends it
	Jitter time.Duration // each instant is moved by up to half of this, either way; at most Every
}

// Validate says all that is wrong with the config.
func (c *ScheduleConfig) Validate() error {
	var errs []error
	if c.Every <= 0 {
		errs = append(errs, errors.New("every: should be more than 0, as in '5s'"))
	}
	if c.For < 0 {
		errs = append(errs, errors.New("for: is negative"))
	}
	if c.Jitter < 0 || c.Jitter > c.Every {
		errs = append(errs, errors.New("jitter: should be between 0 and every"))
	}
	return errors.Join(errs...)
}

// Schedule is a row of instants, fixed when it is made: start + shift + k × every ± jitter, for k = 0, 1, 2…
//
// The shift is drawn once, from the seed, between 0 and every, so that many weddings do not move in step. The row is
// never moved by a caller who is late: the instants that he missed are handed out at once, one after the other, and
// messages sent for them are charged from the instant, not from the sending (an open model).
type Schedule struct {
	cfg   ScheduleConfig
	w     *Wedding
	rnd   *rand.Rand
	first time.Time
	k     int64
}

// Schedule makes a schedule that starts now.
func (w *Wedding) Schedule(cfg ScheduleConfig) (*Schedule, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := w.schedules.Add(1)
	rnd := rand.New(rand.NewPCG(w.cfg.Seed, hash(w.cfg.Seed, w.cfg.ID, strconv.FormatInt(n, 10))))
	shift := time.Duration(rnd.Int64N(int64(cfg.Every)))
	return &Schedule{cfg: cfg, w: w, rnd: rnd, first: time.Now().Add(shift)}, nil
}

// Wait waits and returns true; false means that the drill has said stop, or that ctx is done, before.
func (f *Fleet) Wait(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-f.stop:
	case <-ctx.Done():
	}
	return false
}

// Next waits for the next instant and returns it; false means that the schedule is over: its time is up, the drill has
// said stop, the wedding has ended, or ctx is done. Not for concurrent use.
func (s *Schedule) Next(ctx context.Context) (time.Time, bool) {
	offset := time.Duration(s.k) * s.cfg.Every
	if s.cfg.For > 0 && offset >= s.cfg.For {
		return time.Time{}, false
	}
	s.k++
	at := s.first.Add(offset)
	if s.cfg.Jitter > 0 {
		at = at.Add(time.Duration(s.rnd.Int64N(int64(s.cfg.Jitter))) - s.cfg.Jitter/2)
	}
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	// An end that has come already goes before an instant that has.
	select {
	case <-s.w.fleet.Stopped():
		return time.Time{}, false
	case <-s.w.leaving:
		return time.Time{}, false
	case <-ctx.Done():
		return time.Time{}, false
	default:
	}
	select {
	case <-wait.C:
		return at, true
	case <-s.w.fleet.Stopped():
	case <-s.w.leaving:
	case <-ctx.Done():
	}
	return time.Time{}, false
}
