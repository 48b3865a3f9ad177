package check

import (
	"math"
	"slices"
)

// span is a stretch of time, [from, to).
type span struct{ from, to int64 }

const forever = math.MaxInt64

func (s span) overlaps(o span) bool { return s.from < o.to && o.from < s.to }

func (s span) meet(o span) span { return span{max(s.from, o.from), min(s.to, o.to)} }

func (s span) empty() bool { return s.from >= s.to }

// minus returns what is left of s outside of cuts, which may overlap each other.
func (s span) minus(cuts []span) []span {
	left := []span{s}
	for _, c := range cuts {
		var next []span
		for _, l := range left {
			for _, rest := range []span{{l.from, min(l.to, c.from)}, {max(l.from, c.to), l.to}} {
				if !rest.empty() {
					next = append(next, rest)
				}
			}
		}
		left = next
	}
	return left
}

// gaps returns what no part covers of whole.
func gaps(whole span, parts []span) []span {
	slices.SortFunc(parts, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	var open []span
	at := whole.from
	for _, p := range parts {
		if p.from > at && at < whole.to {
			open = append(open, span{at, min(p.from, whole.to)})
		}
		at = max(at, p.to)
	}
	if at < whole.to {
		open = append(open, span{at, whole.to})
	}
	return open
}

// displace works out when each vendor was displaced: without a joined session in a region free of
// faults, because of a fault.
//
//	fault on eu-west            |=============|
//	session 1 in eu-west  ------|---x                      x: the client notices
//	session 2 in us-east             dial....|----------
//	displaced                   |############|
func (h *History) displace(d *Diary) {
	faults := map[string][]span{}
	for i := range d.Injections {
		if d.Injections[i].Serving {
			continue
		}
		for _, region := range d.Injections[i].Regions {
			faults[region] = append(faults[region], d.Injections[i].window())
		}
	}
	for i := range h.Vendors {
		h.Vendors[i].displace(faults)
	}
}

func (v *Vendor) displace(faults map[string][]span) {
	v.displaced, v.offline = nil, nil
	if v.Arrived == 0 {
		return
	}
	var all, covered, struck []span // sessions, their parts outside of faults, and their parts under one
	for i := range v.Sessions {
		joined := v.Sessions[i].joined()
		if joined.empty() {
			continue
		}
		all = append(all, joined)
		cuts := faults[v.Sessions[i].Region]
		covered = append(covered, joined.minus(cuts)...)
		for _, c := range cuts {
			if hit := joined.meet(c); !hit.empty() {
				struck = append(struck, hit)
			}
		}
	}
	v.offline = gaps(span{v.Arrived, forever}, all)
	if len(struck) == 0 {
		return
	}
	for _, gap := range gaps(span{v.Arrived, forever}, covered) {
		if slices.ContainsFunc(struck, gap.overlaps) {
			v.displaced = append(v.displaced, gap)
		}
	}
}

// joined is when the session was joined.
func (s *Session) joined() span {
	switch {
	case s.Joined == 0:
		return span{}
	case s.Ended == 0:
		return span{s.Joined, forever}
	}
	return span{s.Joined, s.Ended}
}

// due is the time over which the connections of a message's recipients count.
func (m *Message) due() span { return span{m.Sent, m.Sent + int64(SLA) + 1} }

// Displaced reports whether a fault had taken the recipient's sessions while the message was due.
func (p *Pair) Displaced() bool {
	return slices.ContainsFunc(p.Vendor.displaced, p.Message.due().overlaps)
}

// Stalled reports whether the recipient had stopped reading, or was catching up, while the message was due.
// A recipient that a fault had displaced as well is displaced.
func (p *Pair) Stalled() bool {
	return !p.Displaced() && p.Vendor.stalled(p.Message)
}

// stalled tells whether the vendor had stopped reading, or was catching up, while the message was due.
func (v *Vendor) stalled(m *Message) bool {
	return slices.ContainsFunc(v.Pauses, func(p Pause) bool { return p.span().overlaps(m.due()) })
}

// Offline reports whether the recipient had no joined session at some time while the message was due.
func (p *Pair) Offline() bool { return slices.ContainsFunc(p.Vendor.offline, p.Message.due().overlaps) }
