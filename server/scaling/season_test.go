package scaling

import (
	"testing"
	"time"
)

// When an entry has effect: with its lead, over midnight, in its own zone, and when the clocks change.
func TestActive(t *testing.T) {
	saturday := Season{Weekdays: []time.Weekday{time.Saturday}, From: Clock{17, 0}, To: Clock{23, 30}}
	night := Season{Weekdays: []time.Weekday{time.Saturday}, Months: []time.Month{time.October}, From: Clock{20, 0}, To: Clock{4, 0}}
	date := Season{Dates: []Date{{2026, time.December, 31}}, From: Clock{18, 0}, To: Clock{2, 0}}
	with := func(s Season, zone string, lead time.Duration) Season {
		var err error
		if s.Zone, err = time.LoadLocation(zone); err != nil {
			t.Fatal(err)
		}
		s.Lead = lead
		return s
	}
	for name, c := range map[string]struct {
		season      Season
		from, until string // it is active from one second on, and not any more from another one
	}{
		"an evening":            {with(saturday, "UTC", 0), "2026-06-20T17:00:00Z", "2026-06-20T23:30:00Z"},
		"with a lead":           {with(saturday, "UTC", 90*time.Minute), "2026-06-20T15:30:00Z", "2026-06-20T23:30:00Z"},
		"a lead from Friday":    {with(saturday, "UTC", 20*time.Hour), "2026-06-19T21:00:00Z", "2026-06-20T23:30:00Z"},
		"a lead from Wednesday": {with(saturday, "UTC", 72*time.Hour), "2026-06-17T17:00:00Z", "2026-06-20T23:30:00Z"},
		"London":                {with(saturday, "Europe/London", 0), "2026-06-20T16:00:00Z", "2026-06-20T22:30:00Z"},
		"London in winter":      {with(saturday, "Europe/London", 0), "2026-01-10T17:00:00Z", "2026-01-10T23:30:00Z"},
		"New York":              {with(saturday, "America/New_York", 0), "2026-06-20T21:00:00Z", "2026-06-21T03:30:00Z"},
		"Kolkata":               {with(saturday, "Asia/Kolkata", time.Hour), "2026-06-20T10:30:00Z", "2026-06-20T18:00:00Z"},
		"Auckland":              {with(saturday, "Pacific/Auckland", 0), "2026-06-20T05:00:00Z", "2026-06-20T11:30:00Z"},
		"over midnight":         {with(night, "UTC", 0), "2026-10-17T20:00:00Z", "2026-10-18T04:00:00Z"},
		"over the end of summer time, when the night has an hour more": {
			with(night, "Europe/London", 0), "2026-10-24T19:00:00Z", "2026-10-25T04:00:00Z"},
		"over the end of its months": {with(night, "UTC", 0), "2026-10-31T20:00:00Z", "2026-11-01T04:00:00Z"},
		"a date, into the next year": {with(date, "UTC", 30*time.Hour), "2026-12-30T12:00:00Z", "2027-01-01T02:00:00Z"},
		"all day":                    {with(Season{Dates: []Date{{2026, time.May, 2}}}, "UTC", 0), "2026-05-02T00:00:00Z", "2026-05-03T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			until, err := time.Parse(time.RFC3339, c.until)
			if err != nil {
				t.Fatal(err)
			}
			for at, want := range map[time.Time]bool{
				from.Add(-time.Second): false, from: true, until.Add(-time.Second): true, until: false,
				from.Add(until.Sub(from) / 2): true,
			} {
				if got := c.season.active(at); got != want {
					t.Errorf("at %v: %v", at, got)
				}
			}
		})
	}
}

// Every day without days means every day.
func TestEveryDay(t *testing.T) {
	s := Season{From: Clock{9, 0}, To: Clock{10, 0}, Zone: time.UTC}
	for day := 1; day <= 31; day++ {
		if at := time.Date(2026, 3, day, 9, 30, 0, 0, time.UTC); !s.active(at) || s.active(at.Add(time.Hour)) {
			t.Errorf("%v", at)
		}
	}
}

func TestOverlappingSeasons(t *testing.T) {
	p := &Policy{Calendar: []Season{
		{Floor: 3, Factor: 1, Zone: time.UTC}, {Floor: 2, Factor: 4, Zone: time.UTC}, {Floor: 9, Factor: 9, Zone: time.UTC, Regions: []string{"us"}},
	}}
	if factor, floor := p.season("eu", time.Unix(1_800_000_000, 0)); factor != 4 || floor != 3 {
		t.Errorf("factor %v, floor %d", factor, floor)
	}
}
