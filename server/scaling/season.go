package scaling

import (
	"errors"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // containers have no time zones
)

// Season is an entry of the calendar: certain days, from a time of day to another.
type Season struct {
	Name     string
	Dates    []Date         // these days, or
	Weekdays []time.Weekday // these; none: every day
	Months   []time.Month   // of the weekdays; none: all

	From, To Clock // local time; a To that is not after From is on the next day
	Zone     *time.Location
	Lead     time.Duration // that it has effect before From

	Factor  float64  // by which the load is multiplied; 1 changes nothing
	Floor   int      // least number of nodes; 0 changes nothing
	Regions []string // none: all
}

// Date is a day of a calendar.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// Clock is a time of day.
type Clock struct{ Hour, Minute int }

func (c Clock) minutes() int { return c.Hour*60 + c.Minute }

func (s *Season) validate(p *Policy) error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("calendar %q: "+format, append([]any{s.Name}, args...)...))
	}
	if s.Name == "" {
		fail("the entry has no name: give it one, it is what the log will say")
	}
	if len(s.Dates) > 0 && len(s.Weekdays)+len(s.Months) > 0 {
		fail("use either dates, or weekdays and months")
	}
	if s.Factor == 1 && s.Floor == 0 {
		fail("the entry changes nothing: give it a floor (nodes) or a factor (of the load)")
	}
	if !(s.Factor >= 1 && s.Factor <= maxFactor) {
		fail("factor is %v: use 1 to %d", s.Factor, maxFactor)
	}
	if s.Floor < 0 || s.Floor > maxReplicas {
		fail("floor is %d: use 0 to %d", s.Floor, maxReplicas)
	}
	if s.Lead < 0 || s.Lead > maxLead {
		fail("lead is %v: use 0s to %v", s.Lead, maxLead)
	}
	if s.Zone == nil {
		fail("the entry has no time zone: set zone, for example Europe/London")
	}
	for _, region := range s.Regions {
		if _, ok := p.Regions[region]; !ok {
			fail("region %q is not among the regions of the policy", region)
		}
	}
	return errors.Join(errs...)
}

// active says whether a time is in the season, or at most Lead before it.
func (s *Season) active(now time.Time) bool {
	local := now.In(s.Zone)
	// The season of a day may reach into the next one, and has effect before it begins.
	for day := -1; day <= 1+int(s.Lead/(24*time.Hour)); day++ {
		y, m, d := local.AddDate(0, 0, day).Date()
		// AddDate counts days of the calendar, so noon, which every day has, names the day.
		noon := time.Date(y, m, d, 12, 0, 0, 0, s.Zone)
		if !s.on(noon) {
			continue
		}
		begin := time.Date(y, m, d, s.From.Hour, s.From.Minute, 0, 0, s.Zone)
		end := time.Date(y, m, d, s.To.Hour, s.To.Minute, 0, 0, s.Zone)
		if s.To.minutes() <= s.From.minutes() {
			end = time.Date(y, m, d+1, s.To.Hour, s.To.Minute, 0, 0, s.Zone)
		}
		if !now.Before(begin.Add(-s.Lead)) && now.Before(end) {
			return true
		}
	}
	return false
}

// on says whether the season has a day.
func (s *Season) on(day time.Time) bool {
	if len(s.Dates) > 0 {
		y, m, d := day.Date()
		return slices.Contains(s.Dates, Date{y, m, d})
	}
	return (len(s.Weekdays) == 0 || slices.Contains(s.Weekdays, day.Weekday())) &&
		(len(s.Months) == 0 || slices.Contains(s.Months, day.Month()))
}

// season is what the calendar says about a region: of several entries the largest factor and the largest floor.
func (p *Policy) season(region string, now time.Time) (factor float64, floor int) {
	factor = 1
	for i := range p.Calendar {
		s := &p.Calendar[i]
		if (len(s.Regions) == 0 || slices.Contains(s.Regions, region)) && s.active(now) {
			factor, floor = max(factor, s.Factor), max(floor, s.Floor)
		}
	}
	return factor, floor
}
