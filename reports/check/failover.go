package check

import (
	"cmp"
	"slices"
)

// Failover is what one session went through that a fault took away, as its client saw it. Times are
// counted from the intent to inject, so they are bounds from above. A duration is -1 if it did not
// happen.
//
//	intent ──detect──▶ session ends ──rejoin──▶ next session joined ──catch up──▶ has all that it missed
//
// It has all when the server says so, or, in histories that do not tell, with the last replayed message.
type Failover struct {
	Vendor    *Vendor
	Injection *Injection
	From, To  string // regions; To is "" if it never joined again
	Detect    int64
	Rejoin    int64
	CatchUp   int64
	Replayed  int   // messages that came by replay after the rejoin
	Gap       int64 // last message before the fault to the first one after: how long its screen stood still

	next     int64 // session number that replaced it
	joinedAt int64
	lastSeen int64
	seenNext bool
	caught   bool // CatchUp is the server's word
}

// Failovers lists every session that was joined in a region when that region's fault began, by
// injection, then vendor.
func (j *Judgement) Failovers() []Failover {
	var all []Failover
	for i := range j.Injections {
		inj := &j.Injections[i]
		for n := range j.Vendors {
			v := &j.Vendors[n]
			if v.Arrived == 0 {
				continue
			}
			for k := range v.Sessions {
				s := &v.Sessions[k]
				joined := s.joined()
				if slices.Contains(inj.Regions, s.Region) && joined.from < inj.Intent && inj.Intent < joined.to && !s.Left {
					all = append(all, v.failover(s, inj))
				}
			}
		}
	}
	j.screens(all)
	return all
}

func (v *Vendor) failover(s *Session, inj *Injection) Failover {
	f := Failover{Vendor: v, Injection: inj, From: s.Region, Detect: -1, Rejoin: -1, CatchUp: -1, Gap: -1}
	if s.Ended == 0 || s.Ended > inj.window().to {
		return f // it never noticed
	}
	f.Detect = s.Ended - inj.Intent
	var next *Session
	for i := range v.Sessions {
		c := &v.Sessions[i]
		if c.N > s.N && c.Joined > inj.Intent && (next == nil || c.Joined < next.Joined) {
			next = c
		}
	}
	if next != nil {
		f.To, f.Rejoin = next.Region, max(next.Joined-s.Ended, 0)
		f.next, f.joinedAt = next.N, next.Joined
		if next.Caught != 0 {
			f.CatchUp, f.caught = next.Caught-next.Joined, true
		}
	}
	return f
}

// screens fills in what the recipients were shown around their failovers.
func (j *Judgement) screens(all []Failover) {
	of := map[int32][]*Failover{}
	for i := range all {
		v := all[i].Vendor
		n := j.vendorOf[v.ID]
		of[n] = append(of[n], &all[i])
	}
	for i := range j.arrivals {
		a := &j.arrivals[i]
		for _, f := range of[a.vendor] {
			switch {
			case a.at < f.Injection.Intent:
				f.lastSeen = a.at
			case !f.seenNext && f.joinedAt > 0:
				f.seenNext = true
				if f.lastSeen > 0 {
					f.Gap = a.at - f.lastSeen
				}
			}
			if a.replayed && int64(a.session) == f.next && f.joinedAt > 0 {
				f.Replayed++
				if !f.caught {
					f.CatchUp = max(f.CatchUp, a.at-f.joinedAt)
				}
			}
		}
	}
}

// Summarize returns the sorted values of one figure of failovers, those that did not happen left out.
func Summarize(all []Failover, figure func(*Failover) int64) *Latencies {
	l := &Latencies{}
	for i := range all {
		if v := figure(&all[i]); v >= 0 {
			l.add(v)
		}
	}
	slices.SortFunc(l.values, cmp.Compare[int64])
	return l
}

// Recovery is how the single-homed vendors that one fault displaced came back. Each figure has a value for
// every vendor that got so far: its Len is their number.
type Recovery struct {
	Injection *Injection
	Displaced int       // vendors whose only session was in a region under the fault
	Detect    Latencies // intent to inject → the vendor's client gives the session up
	Rejoin    Latencies // → joined elsewhere
	CatchUp   Latencies // → has all that it missed; 0 if that is nothing and the history does not tell
	Whole     Latencies // intent → caught up
}

// Recoveries returns one for each injection that displaced a single-homed vendor.
func (j *Judgement) Recoveries() []Recovery {
	var all []Recovery
	for _, f := range j.Failovers() {
		if f.Vendor.DualHomed() {
			continue
		}
		if n := len(all); n == 0 || all[n-1].Injection != f.Injection {
			all = append(all, Recovery{Injection: f.Injection})
		}
		r := &all[len(all)-1]
		r.Displaced++
		if f.Detect < 0 {
			continue
		}
		r.Detect.add(f.Detect)
		if f.Rejoin < 0 {
			continue
		}
		r.Rejoin.add(f.Rejoin)
		r.CatchUp.add(max(f.CatchUp, 0))
		r.Whole.add(f.Detect + f.Rejoin + max(f.CatchUp, 0))
	}
	for i := range all {
		for _, l := range []*Latencies{&all[i].Detect, &all[i].Rejoin, &all[i].CatchUp, &all[i].Whole} {
			l.sort()
		}
	}
	return all
}
