package check

// Moved is the reason of a session that its client left because a server asked it to: the node drains.
const Moved = "moved"

// Moves counts the sessions that were moved. A move is seamless if the session that took over had joined
// before the old one was left, so that the vendor was connected all the time.
type Moves struct {
	Moved    int
	Seamless int
	Gaps     Latencies // of the others: from leaving to the join of the next session
}

// Moves looks at every session that was left for the server's sake.
func (j *Judgement) Moves() *Moves {
	all := &Moves{}
	for i := range j.Vendors {
		v := &j.Vendors[i]
		for k := range v.Sessions {
			s := &v.Sessions[k]
			if !s.Left || s.Why != Moved || s.Joined == 0 {
				continue
			}
			all.Moved++
			switch joined := v.joinedAfter(s); {
			case joined == 0:
				all.Gaps.add(forever)
			case joined <= s.Ended:
				all.Seamless++
			default:
				all.Gaps.add(joined - s.Ended)
			}
		}
	}
	all.Gaps.sort()
	return all
}

// joinedAfter is when the first session that began after s joined; 0: none did.
func (v *Vendor) joinedAfter(s *Session) int64 {
	var first int64
	for i := range v.Sessions {
		c := &v.Sessions[i]
		if c.N > s.N && c.Joined != 0 && (first == 0 || c.Joined < first) {
			first = c.Joined
		}
	}
	return first
}
